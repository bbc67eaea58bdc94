/* Prints what the camera tells of its memory, and writes one sample of a topic of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <datahub/client.h>
#include <datahub/subscriber.h>

static void show(const DHTopicSample *sample, void *data)
{
    (void)data;
    const char *json = dh_topic_data_get_json_data(dh_topic_sample_get_data(sample));
    if (json && !dh_topic_sample_is_historical(sample))
        printf("%s: %s\n", dh_topic_sample_get_topic_name(sample), json);
}

static void matched(DHProductionId id, DHConsumerMatchStatus status, void *data)
{
    *(int *)data = status == DH_CONSUMER_MATCH;
    printf("%llu has a reader: %d\n", (unsigned long long)id, *(int *)data);
}

static bool subscribe(DHSubscriber *subscriber, DHError **error)
{
    DHFilter *filter = dh_filter_create();
    DHSubscribeOptions *options = dh_subscribe_options_create();
    bool done = dh_filter_add_topic_name(filter, "com.axis.device.memory-utilization.v1", error) &&
                dh_subscribe_options_add_filter(options, filter, error);
    dh_subscribe_options_set_enable_data_updates(options, true);
    dh_subscribe_options_set_start_from(options, DH_START_FROM_NOW);
    done = done && dh_subscriber_set_data_callback(subscriber, show, NULL, error) &&
           dh_subscriber_subscribe(subscriber, options, error);
    dh_filter_destroy(filter);
    dh_subscribe_options_destroy(options);
    return done;
}

static bool write_one(DHWriter *writer, DHError **error)
{
    DHProductionId id;
    DHTopicData *data = dh_topic_data_create();
    DHTimestamp *now = dh_timestamp_create();
    bool done = dh_writer_register_production(writer, NULL, &id, error) &&
                dh_topic_data_set_json_data(data, "{\"lamp\":1}", error) &&
                dh_writer_write_data(writer, NULL, data, now, error);
    dh_timestamp_destroy(now);
    dh_topic_data_destroy(data);
    return done;
}

int main(void)
{
    int has_reader = 0;
    DHError *error = NULL;
    DHSubscriber *subscriber = NULL;
    DHWriter *writer = NULL;
    DHClient *client = dh_client_create("lamp", &error);
    bool done = client && dh_client_set_logging(client, DH_LOG_INFO, DH_LOG_TARGET_SYSLOG, &error) &&
                dh_client_connect(client, &error);
    if (done)
        subscriber = dh_client_create_subscriber(client, "reader", &error);
    if (subscriber && subscribe(subscriber, &error))
        writer = dh_client_create_writer(client, "writer", "com.example.lamp", &error);
    if (writer) {
        dh_writer_set_consumer_match_update_callback(writer, matched, &has_reader);
        done = write_one(writer, &error);
        pause();
    }
    if (error) {
        fprintf(stderr, "%u: %s\n", dh_error_get_code(error), dh_error_to_string(error));
        dh_error_destroy(error);
    }
    dh_writer_destroy(writer);
    dh_subscriber_destroy(subscriber);
    if (client && dh_client_get_connection_state(client) == DH_CONN_CONNECTED)
        dh_client_disconnect(client, NULL);
    dh_client_destroy(client);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
