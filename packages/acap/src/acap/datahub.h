/* The camera's library for the Device Data Hub, opened at run time. */
#ifndef ACAP_DATAHUB_H
#define ACAP_DATAHUB_H

#include <stdbool.h>

#include "datahub_functions.h"
#include "messages.h"

typedef struct DHClient DHClient;
typedef struct DHError DHError;
typedef struct DHFilter DHFilter;
typedef struct DHSubscribeOptions DHSubscribeOptions;
typedef struct DHSubscriber DHSubscriber;
typedef struct DHTimestamp DHTimestamp;
typedef struct DHTopic DHTopic;
typedef struct DHTopicData DHTopicData;
typedef struct DHTopicList DHTopicList;
typedef struct DHTopicSample DHTopicSample;
typedef struct DHWriter DHWriter;
typedef uint32_t DHErrorCode;
typedef uint32_t DHConnectionState;
typedef uint32_t DHLogLevel;
typedef uint32_t DHLogTarget;
typedef uint32_t DHStartFrom;
typedef uint32_t DHConsumerMatchStatus;
typedef uint64_t DHProductionId;
typedef void (*DHDataCallback)(const DHTopicSample *sample, void *user_data);
typedef void (*DHConsumerMatchUpdateCallback)(DHProductionId id, DHConsumerMatchStatus status, void *user_data);

static struct {
    DATAHUB_FUNCTIONS(LIBRARY_POINTER)
} datahub;

static const struct library_function datahub_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&datahub.name - (char *)&datahub)},
    DATAHUB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define DATAHUB_COUNT (sizeof datahub_table / sizeof *datahub_table)

/* Open the library. Returns NULL, or what is said against it. */
static const char *datahub_open(const char *soname)
{
    return library_open(soname, &datahub, datahub_table, DATAHUB_COUNT);
}

/* The first function of the library that is missing, or NULL; *SINCE: the AXIS OS that has it. */
static const char *datahub_lacks(const char **since)
{
    for (size_t number = 0; number < DATAHUB_COUNT; number++) {
        const char *names[] = {datahub_table[number].name, NULL};
        if (library_lacks(names, &datahub, datahub_table, DATAHUB_COUNT)) {
            *since = datahub_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

static void datahub_came(const DHTopicSample *sample, void *user_data)
{
    const char *json = datahub.dh_topic_data_get_json_data(datahub.dh_topic_sample_get_data(sample));
    if (json)
        message_put(user_data, datahub.dh_topic_sample_get_topic_name(sample), json, strlen(json), -1,
                    datahub.dh_topic_sample_is_historical(sample));
}

/* Subscribe to TOPICS, which end with NULL. START: 0 for what comes from now on, 1 for what is kept, too. */
static DHSubscriber *datahub_subscribe(DHClient *client, const char *const *topics, uint32_t start,
                                       message_queue *queue, DHError **error)
{
    DHSubscriber *subscriber = datahub.dh_client_create_subscriber(client, "acap", error);
    if (!subscriber)
        return NULL;
    DHFilter *filter = datahub.dh_filter_create();
    DHSubscribeOptions *options = datahub.dh_subscribe_options_create();
    int done = filter && options;
    for (; done && *topics; topics++)
        done = datahub.dh_filter_add_topic_name(filter, *topics, error);
    if (done && (done = datahub.dh_subscribe_options_add_filter(options, filter, error))) {
        datahub.dh_subscribe_options_set_enable_data_updates(options, true);
        datahub.dh_subscribe_options_set_enable_instance_updates(options, false);
        datahub.dh_subscribe_options_set_start_from(options, start);
        done = datahub.dh_subscriber_set_data_callback(subscriber, datahub_came, queue, error) &&
               datahub.dh_subscriber_subscribe(subscriber, options, error);
    }
    if (filter)
        datahub.dh_filter_destroy(filter);
    if (options)
        datahub.dh_subscribe_options_destroy(options);
    if (done)
        return subscriber;
    datahub.dh_subscriber_destroy(subscriber);
    return NULL;
}

/* Which productions of a writer somebody reads. A late callback may still have it, so that it is never freed. */
enum { DATAHUB_PRODUCTIONS = 64 };

typedef struct {
    unsigned count;
    uint64_t read[DATAHUB_PRODUCTIONS];
} datahub_readers;

static void datahub_matched(uint64_t id, uint32_t status, void *user_data)
{
    datahub_readers *readers = user_data;
    unsigned at = 0;
    pthread_mutex_lock(&message_mutex);
    while (at < readers->count && readers->read[at] != id)
        at++;
    if (status && at == readers->count && at < DATAHUB_PRODUCTIONS)
        readers->read[readers->count++] = id;
    else if (!status && at < readers->count)
        readers->read[at] = readers->read[--readers->count];
    pthread_mutex_unlock(&message_mutex);
}

static int datahub_is_read(datahub_readers *readers)
{
    pthread_mutex_lock(&message_mutex);
    int found = readers->count > 0;
    pthread_mutex_unlock(&message_mutex);
    return found;
}

static DHWriter *datahub_open_writer(DHClient *client, const char *topic, datahub_readers *readers, DHError **error)
{
    DHWriter *writer = datahub.dh_client_create_writer(client, "acap", topic, error);
    if (writer)
        datahub.dh_writer_set_consumer_match_update_callback(writer, datahub_matched, readers);
    return writer;
}

/* Data with JSON, or NULL. */
static DHTopicData *datahub_data(const char *json, DHError **error)
{
    DHTopicData *data = datahub.dh_topic_data_create();
    if (!data || datahub.dh_topic_data_set_json_data(data, json, error))
        return data;
    datahub.dh_topic_data_destroy(data);
    return NULL;
}

/* Register the instance KEYS, which may be NULL, if FIRST, and then send DATA for it. */
static int datahub_write(DHWriter *writer, const char *keys, const char *json, int first, DHError **error)
{
    DHProductionId id;
    DHTopicData *instance = keys ? datahub_data(keys, error) : NULL, *data = NULL;
    int done = !keys || instance;
    if (done && first)
        done = datahub.dh_writer_register_production(writer, instance, &id, error);
    if (done && json) {
        DHTimestamp *now = datahub.dh_timestamp_create();
        data = datahub_data(json, error);
        done = data && datahub.dh_writer_write_data(writer, instance, data, now, error);
        if (now)
            datahub.dh_timestamp_destroy(now);
    }
    if (instance)
        datahub.dh_topic_data_destroy(instance);
    if (data)
        datahub.dh_topic_data_destroy(data);
    return done;
}

#endif
