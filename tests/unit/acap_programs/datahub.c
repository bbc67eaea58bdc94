/* Uses the Data Hub as its documentation describes it: a topic of its own, which it writes and reads. */
#include <assert.h>
#include <datahub/client.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static const char topic_name[] = "acap.counter.people";
static const char definition[] =
    "{\"topic_name\": \"acap.counter.people\", \"description\": \"People.\",\n \"version\": \"1.0\", \"data_schema\": "
    "{\"type\": \"object\", \"properties\": {\"count\": {\"type\": \"integer\"}}}}";
static sem_t read_by_somebody, read_by_nobody, came;
static DHProductionId ids[2];
static unsigned matches, historical;
static char seen[256];

static void on_match(DHProductionId id, DHConsumerMatchStatus status, void *data)
{
    assert(data == &ids && (id == ids[0] || id == ids[1]));
    matches++;
    sem_post(status == DH_CONSUMER_MATCH ? &read_by_somebody : &read_by_nobody);
}

static void on_data(const DHTopicSample *sample, void *data)
{
    assert(data == &came && strcmp(dh_topic_sample_get_topic_name(sample), topic_name) == 0);
    historical += dh_topic_sample_is_historical(sample);
    strcat(seen, dh_topic_data_get_json_data(dh_topic_sample_get_data(sample)));
    sem_post(&came);
}

static void on_scene(const DHTopicSample *sample, void *data)
{
    (void)data;
    assert(strstr(dh_topic_data_get_json_data(dh_topic_sample_get_data(sample)), "\"channel_id\":1"));
    sem_post(&came);
}

static void expect(DHError **error, DHErrorCode code)
{
    assert(*error && dh_error_get_code(*error) == code && *dh_error_to_string(*error));
    dh_error_destroy(*error);
    *error = NULL;
}

static DHTopicData *json(const char *text)
{
    DHError *error = NULL;
    DHTopicData *data = dh_topic_data_create();
    assert(dh_topic_data_set_json_data(data, text, &error) && !error);
    return data;
}

static void write_count(DHWriter *writer, const char *instance, const char *text)
{
    DHError *error = NULL;
    DHTopicData *data = json(text), *keys = instance ? json(instance) : NULL;
    DHTimestamp *now = dh_timestamp_create();
    assert(dh_writer_write_data(writer, keys, data, now, &error) && !error);
    dh_timestamp_destroy(now);
    dh_topic_data_destroy(data);
    dh_topic_data_destroy(keys);
}

static DHSubscriber *subscribe(DHClient *client, const char *name, DHDataCallback function, DHStartFrom start)
{
    DHError *error = NULL;
    DHSubscriber *subscriber = dh_client_create_subscriber(client, "reader", &error);
    DHFilter *filter = dh_filter_create();
    DHSubscribeOptions *options = dh_subscribe_options_create();
    assert(dh_subscriber_set_data_callback(subscriber, function, &came, &error));
    assert(!dh_subscriber_subscribe(subscriber, options, &error));
    expect(&error, DH_ERR_INVALID_SUBSCRIPTION);
    assert(dh_filter_add_topic_name(filter, name, &error));
    assert(dh_subscribe_options_add_filter(options, filter, &error));
    dh_filter_destroy(filter);
    dh_subscribe_options_set_enable_data_updates(options, true);
    dh_subscribe_options_set_enable_instance_updates(options, false);
    dh_subscribe_options_set_start_from(options, start);
    assert(dh_subscriber_subscribe(subscriber, options, &error) && !error);
    dh_subscribe_options_destroy(options);
    return subscriber;
}

static DHWriter *open_writer(DHClient *client)
{
    DHError *error = NULL;
    assert(!dh_client_get_topic(client, topic_name, &error));
    expect(&error, DH_ERR_INVALID_TOPIC);
    assert(!dh_client_create_topic(client, "{\"topic_name\": \"../x\"}", &error));
    expect(&error, DH_ERR_INVALID_TOPIC);
    assert(!dh_client_create_topic(client, "{\"topic_name\": ", &error));
    expect(&error, DH_ERR_INVALID_PARAMS);
    DHTopic *topic = dh_client_create_topic(client, definition, &error);
    assert(topic && strcmp(dh_topic_get_name(topic), topic_name) == 0);
    dh_topic_destroy(topic);
    assert(!dh_client_create_topic(client, definition, &error));
    expect(&error, DH_ERR_TOPIC_EXISTS);
    assert((topic = dh_client_get_topic(client, topic_name, &error)));
    dh_topic_destroy(topic);
    DHWriter *writer = dh_client_create_writer(client, "writer", topic_name, &error);
    dh_writer_set_consumer_match_update_callback(writer, on_match, &ids);
    DHTopicData *keys = json("{\"channel_id\": 1}");
    assert(dh_writer_register_production(writer, NULL, &ids[0], &error));
    assert(dh_writer_register_production(writer, keys, &ids[1], &error) && ids[0] != ids[1]);
    assert(!dh_writer_register_production(writer, keys, &ids[1], &error));
    expect(&error, DH_ERR_INSTANCE_EXISTS);
    dh_topic_data_destroy(keys);
    return writer;
}

static void list_topics(DHClient *client)
{
    DHError *error = NULL;
    unsigned found = 0;
    DHTopicList *list = dh_client_get_topic_list(client, &error);
    for (uint32_t number = 0; number < dh_topic_list_get_count(list); number++)
        found += strcmp(dh_topic_list_get_name(list, number), topic_name) == 0;
    assert(found == 1);
    dh_topic_list_destroy(list);
}

int main(void)
{
    DHError *error = NULL;
    sem_init(&read_by_somebody, 0, 0);
    sem_init(&read_by_nobody, 0, 0);
    sem_init(&came, 0, 0);
    DHClient *client = dh_client_create("counter", &error);
    assert(client && dh_client_get_connection_state(client) == DH_CONN_DISCONNECTED);
    assert(dh_client_set_logging(client, DH_LOG_WARNING, DH_LOG_TARGET_CONSOLE, &error));
    assert(!dh_client_get_topic(client, topic_name, &error));
    expect(&error, DH_ERR_NOT_CONNECTED);
    assert(dh_client_connect(client, &error) && !error);
    assert(!dh_client_connect(client, &error));
    expect(&error, DH_ERR_ALREADY_CONNECTED);
    assert(dh_client_get_connection_state(client) == DH_CONN_CONNECTED);
    DHWriter *writer = open_writer(client);
    list_topics(client);
    write_count(writer, NULL, "{\"count\":\n 0}");
    DHSubscriber *subscriber = subscribe(client, topic_name, on_data, DH_START_FROM_NOW);
    DHSubscriber *from_the_start = subscribe(client, topic_name, on_data, 1);
    sem_wait(&came);
    assert(strcmp(seen, "{\"count\":  0}") == 0 && historical == 1);
    sem_wait(&read_by_somebody);
    sem_wait(&read_by_somebody);
    write_count(writer, NULL, "{\"count\": 1}");
    write_count(writer, "{\"channel_id\": 1}", "[\"\\\\\", {\"a\": []}, -1.5e3, true, null]");
    for (int number = 0; number < 4; number++)
        sem_wait(&came);
    assert(historical == 1 && strstr(seen, "[\"\\\\\", {\"a\": []}, -1.5e3, true, null]"));
    DHTopicData *wrong = dh_topic_data_create();
    assert(!dh_topic_data_set_json_data(wrong, "{\"count\": }", &error));
    expect(&error, DH_ERR_INVALID_DATA);
    dh_topic_data_destroy(wrong);
    dh_subscriber_destroy(subscriber);
    dh_subscriber_destroy(from_the_start);
    sem_wait(&read_by_nobody);
    sem_wait(&read_by_nobody);
    assert(matches == 4);
    dh_writer_destroy(writer);
    subscriber = subscribe(client, "com.axis.scene.frame.v1", on_scene, DH_START_FROM_NOW);
    sem_wait(&came);
    dh_subscriber_destroy(subscriber);
    assert(!dh_client_delete_topic(client, "com.axis.scene.frame.v1", &error));
    expect(&error, DH_ERR_AUTHENTICATION_FAILED);
    assert(dh_client_delete_topic(client, topic_name, &error) && !error);
    assert(dh_client_disconnect(client, &error) && dh_client_connect(client, &error));
    assert(dh_client_disconnect(client, &error) && !error);
    assert(!dh_client_disconnect(client, &error));
    expect(&error, DH_ERR_NOT_CONNECTED);
    dh_client_destroy(client);
    puts("done");
    return 0;
}
