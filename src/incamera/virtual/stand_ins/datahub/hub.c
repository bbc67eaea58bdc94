/* The stand-in of the Data Hub's client: topics, writers and subscribers. All programs of a camera share a log and the
   definitions of topics. */
#include "messages.h"
#include "resources.h"

#include <datahub/client.h>

enum { MOST_DATA = 1024 * 1024, MOST_NAMES = 256 };

struct DHError {
    DHErrorCode code;
    char message[];
};

struct DHTimestamp {
    int64_t microseconds;
};

struct DHTopic {
    char name[256];
};

struct DHTopicData {
    char *json;
};

struct DHTopicList {
    uint32_t count;
    char *names[MOST_NAMES];
};

struct DHFilter {
    unsigned count;
    char *names[MOST_TOPICS];
};

struct DHSubscribeOptions {
    unsigned count;
    char *names[MOST_TOPICS];
    bool data, instances;
    DHStartFrom start;
};

struct DHTopicSample {
    const struct message *message;
    DHTopicData data;
};

struct DHSubscriber {
    DHClient *client;
    struct reader *reader;
    DHDataCallback callback;
    void *user_data;
};

struct production {
    struct production *next;
    DHProductionId id;
    char *key;
};

struct DHWriter {
    DHWriter *next;
    DHClient *client;
    char *topic;
    struct production *productions;
    DHConsumerMatchUpdateCallback callback;
    void *user_data;
    bool is_read, busy;
};

struct DHClient {
    struct hub hub;
    DHWriter *writers;
};

/* What a reader's calls are about. */
struct delivery {
    DHDataCallback callback;
    void *user_data;
    bool enabled;
};

static bool fail(DHError **error, DHErrorCode code, const char *message)
{
    if (!error)
        return false;
    *error = malloc(sizeof **error + strlen(message) + 1);
    if (*error) {
        (*error)->code = code;
        strcpy((*error)->message, message);
    }
    return false;
}

void dh_error_destroy(DHError *error)
{
    free(error);
}

const char *dh_error_to_string(const DHError *error)
{
    return error ? error->message : "no error";
}

DHErrorCode dh_error_get_code(const DHError *error)
{
    return error ? error->code : DH_ERR_UNKNOWN_ERROR;
}

DHTimestamp *dh_timestamp_create(void)
{
    DHTimestamp *timestamp = malloc(sizeof *timestamp);
    if (timestamp)
        timestamp->microseconds = messages_now(CLOCK_REALTIME);
    return timestamp;
}

void dh_timestamp_destroy(DHTimestamp *timestamp)
{
    free(timestamp);
}

DHTopicData *dh_topic_data_create(void)
{
    return calloc(1, sizeof(DHTopicData));
}

void dh_topic_data_destroy(DHTopicData *data)
{
    if (data)
        free(data->json);
    free(data);
}

bool dh_topic_data_set_json_data(DHTopicData *data, const char *json, DHError **error)
{
    if (!data || !json)
        return fail(error, DH_ERR_INVALID_PARAMS, "no data or no JSON");
    if (strlen(json) > MOST_DATA)
        return fail(error, DH_ERR_DATA_TOO_BIG, "the data have more than a megabyte");
    if (!is_json(json))
        return fail(error, DH_ERR_INVALID_DATA, "that is not JSON");
    char *copy = strdup(json);
    if (!copy)
        return fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
    free(data->json);
    data->json = copy;
    return true;
}

const char *dh_topic_data_get_json_data(const DHTopicData *data)
{
    return data ? data->json : NULL;
}

/* Topics: a file of each, with its definition. Those of the scene are the camera's own. */

static const char *const own_topics[] = {HUB_SCENE_TOPIC, HUB_FRAME_TOPIC};

static bool is_own(const char *name)
{
    return strcmp(name, own_topics[0]) == 0 || strcmp(name, own_topics[1]) == 0;
}

static void topic_path(const DHClient *client, const char *name, char *path)
{
    snprintf(path, 2 * PATH_SIZE, "%s/topics/%s", client->hub.folder, name);
}

static bool is_topic(const DHClient *client, const char *name)
{
    char path[2 * PATH_SIZE];
    if (!is_topic_name(name))
        return false;
    topic_path(client, name, path);
    return is_own(name) || access(path, F_OK) == 0;
}

static bool is_connected(const DHClient *client, DHError **error)
{
    if (!client)
        return fail(error, DH_ERR_INVALID_PARAMS, "no client");
    if (!client->hub.running || client->hub.down)
        return fail(error, DH_ERR_NOT_CONNECTED, "the client is not connected");
    return true;
}

static DHTopic *new_topic(const char *name, DHError **error)
{
    DHTopic *topic = malloc(sizeof *topic);
    if (topic)
        snprintf(topic->name, sizeof topic->name, "%s", name);
    else
        fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
    return topic;
}

const char *dh_topic_get_name(const DHTopic *topic)
{
    return topic ? topic->name : NULL;
}

void dh_topic_destroy(DHTopic *topic)
{
    free(topic);
}

DHTopic *dh_client_get_topic(DHClient *client, const char *name, DHError **error)
{
    if (!is_connected(client, error))
        return NULL;
    if (is_topic(client, name))
        return new_topic(name, error);
    fail(error, DH_ERR_INVALID_TOPIC, "there is no such topic");
    return NULL;
}

DHTopic *dh_client_create_topic(DHClient *client, const char *definition, DHError **error)
{
    char name[256], path[2 * PATH_SIZE];
    if (!is_connected(client, error))
        return NULL;
    if (!is_json(definition)) {
        fail(error, DH_ERR_INVALID_PARAMS, "the definition of the topic is not JSON");
        return NULL;
    }
    json_member(definition, "topic_name", name, sizeof name);
    if (!is_topic_name(name)) {
        fail(error, DH_ERR_INVALID_TOPIC, "the definition has no valid topic_name");
        return NULL;
    }
    messages_path(client->hub.folder, "topics", path);
    int lock = service_lock(client->hub.folder);
    bool there = is_topic(client, name), done = false;
    if (!there && service_make_folder(path)) {
        topic_path(client, name, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        done = fd >= 0 && service_write(fd, definition, strlen(definition));
        if (fd >= 0)
            close(fd);
    }
    if (lock >= 0)
        close(lock);
    if (done)
        return new_topic(name, error);
    fail(error, there ? DH_ERR_TOPIC_EXISTS : DH_ERR_INTERNAL_ERROR, there ? "the topic is there already" : strerror(errno));
    return NULL;
}

bool dh_client_delete_topic(DHClient *client, const char *name, DHError **error)
{
    char path[2 * PATH_SIZE];
    if (!is_connected(client, error))
        return false;
    if (!is_topic(client, name))
        return fail(error, DH_ERR_INVALID_TOPIC, "there is no such topic");
    if (is_own(name))
        return fail(error, DH_ERR_AUTHENTICATION_FAILED, "the program is not authorized: the topic is the camera's own");
    topic_path(client, name, path);
    return unlink(path) == 0 || fail(error, DH_ERR_INTERNAL_ERROR, strerror(errno));
}

static void add_name(DHTopicList *list, const char *name)
{
    char *copy = list->count < MOST_NAMES ? strdup(name) : NULL;
    if (copy)
        list->names[list->count++] = copy;
}

DHTopicList *dh_client_get_topic_list(DHClient *client, DHError **error)
{
    char path[2 * PATH_SIZE];
    DHTopicList *list = is_connected(client, error) ? calloc(1, sizeof *list) : NULL;
    if (!list)
        return NULL;
    for (unsigned n = 0; n < 2; n++)
        add_name(list, own_topics[n]);
    messages_path(client->hub.folder, "topics", path);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (is_topic_name(entry->d_name))
            add_name(list, entry->d_name);
    if (directory)
        closedir(directory);
    return list;
}

uint32_t dh_topic_list_get_count(const DHTopicList *list)
{
    return list ? list->count : 0;
}

const char *dh_topic_list_get_name(const DHTopicList *list, uint32_t index)
{
    return list && index < list->count ? list->names[index] : NULL;
}

void dh_topic_list_destroy(DHTopicList *list)
{
    for (uint32_t n = 0; list && n < list->count; n++)
        free(list->names[n]);
    free(list);
}

/* Clients */

/* In the hub's thread: tell writers whether somebody reads their topics. */
static void look(void *data)
{
    DHClient *client = data;
    for (;;) {
        DHWriter *writer;
        bool now = false;
        pthread_mutex_lock(&client->hub.mutex);
        for (writer = client->writers; writer; writer = writer->next)
            if (writer->callback && writer->productions &&
                (now = messages_is_read(client->hub.folder, writer->topic)) != writer->is_read)
                break;
        if (!writer) {
            pthread_mutex_unlock(&client->hub.mutex);
            return;
        }
        writer->is_read = now;
        writer->busy = true;
        for (const struct production *production = writer->productions; production; production = production->next) {
            DHProductionId id = production->id;
            pthread_mutex_unlock(&client->hub.mutex);
            writer->callback(id, now ? DH_CONSUMER_MATCH : DH_CONSUMER_NO_MATCH, writer->user_data);
            pthread_mutex_lock(&client->hub.mutex);
        }
        writer->busy = false;
        pthread_cond_broadcast(&client->hub.idle);
        pthread_mutex_unlock(&client->hub.mutex);
    }
}

DHClient *dh_client_create(const char *name, DHError **error)
{
    DHClient *client = name && *name ? calloc(1, sizeof *client) : NULL;
    if (!client) {
        fail(error, DH_ERR_INVALID_PARAMS, "a client needs a name");
        return NULL;
    }
    pthread_mutex_init(&client->hub.mutex, NULL);
    pthread_cond_init(&client->hub.idle, NULL);
    client->hub.look = look;
    return client;
}

bool dh_client_set_logging(DHClient *client, DHLogLevel level, DHLogTarget target, DHError **error)
{
    if (!client || level > DH_LOG_TRACE || target > DH_LOG_TARGET_SYSLOG)
        return fail(error, DH_ERR_INVALID_PARAMS, "no such level, or no such target");
    return true; /* nothing is logged */
}

/* An app whose manifest lacks resources.deviceDataHub is refused. */
bool dh_client_connect(DHClient *client, DHError **error)
{
    if (!client)
        return fail(error, DH_ERR_INVALID_PARAMS, "no client");
    if (messages_setting("INCAMERA_MESSAGES_DENIED") || !may_use_resource("deviceDataHub"))
        return fail(error, DH_ERR_AUTHENTICATION_FAILED, "the program may not use the Data Hub");
    if (client->hub.running && !client->hub.down)
        return fail(error, DH_ERR_ALREADY_CONNECTED, "the client is connected already");
    hub_end(&client->hub);
    return hub_start(&client->hub, client) || fail(error, DH_ERR_CONNECTION_ERROR, strerror(errno));
}

bool dh_client_disconnect(DHClient *client, DHError **error)
{
    if (!client || !client->hub.running)
        return fail(error, DH_ERR_NOT_CONNECTED, "the client is not connected");
    hub_end(&client->hub);
    return true;
}

DHConnectionState dh_client_get_connection_state(const DHClient *client)
{
    return client && client->hub.running && !client->hub.down ? DH_CONN_CONNECTED : DH_CONN_DISCONNECTED;
}

void dh_client_destroy(DHClient *client)
{
    if (!client)
        return;
    hub_end(&client->hub);
    while (client->hub.readers)
        hub_remove(&client->hub, client->hub.readers);
    pthread_cond_destroy(&client->hub.idle);
    pthread_mutex_destroy(&client->hub.mutex);
    free(client);
}

/* Subscribers */

DHFilter *dh_filter_create(void)
{
    return calloc(1, sizeof(DHFilter));
}

void dh_filter_destroy(DHFilter *filter)
{
    for (unsigned n = 0; filter && n < filter->count; n++)
        free(filter->names[n]);
    free(filter);
}

static bool append(char **names, unsigned *count, const char *name, DHError **error)
{
    if (*count == MOST_TOPICS)
        return fail(error, DH_ERR_MAX_TOPIC, "too many topics");
    char *copy = strdup(name);
    if (!copy)
        return fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
    names[(*count)++] = copy;
    return true;
}

bool dh_filter_add_topic_name(DHFilter *filter, const char *name, DHError **error)
{
    if (!filter || !is_topic_name(name))
        return fail(error, filter ? DH_ERR_INVALID_TOPIC : DH_ERR_INVALID_PARAMS, "no filter, or no name of a topic");
    return append(filter->names, &filter->count, name, error);
}

DHSubscribeOptions *dh_subscribe_options_create(void)
{
    return calloc(1, sizeof(DHSubscribeOptions));
}

void dh_subscribe_options_destroy(DHSubscribeOptions *options)
{
    for (unsigned n = 0; options && n < options->count; n++)
        free(options->names[n]);
    free(options);
}

bool dh_subscribe_options_add_filter(DHSubscribeOptions *options, const DHFilter *filter, DHError **error)
{
    if (!options || !filter)
        return fail(error, DH_ERR_INVALID_PARAMS, "no options or no filter");
    for (unsigned n = 0; n < filter->count; n++)
        if (!append(options->names, &options->count, filter->names[n], error))
            return false;
    return true;
}

void dh_subscribe_options_set_enable_data_updates(DHSubscribeOptions *options, bool enable)
{
    options->data = enable;
}

void dh_subscribe_options_set_enable_instance_updates(DHSubscribeOptions *options, bool enable)
{
    options->instances = enable; /* no function is known that receives them */
}

void dh_subscribe_options_set_start_from(DHSubscribeOptions *options, DHStartFrom start)
{
    options->start = start;
}

DHSubscriber *dh_client_create_subscriber(DHClient *client, const char *name, DHError **error)
{
    if (!is_connected(client, error))
        return NULL;
    DHSubscriber *subscriber = name && *name ? calloc(1, sizeof *subscriber) : NULL;
    if (subscriber)
        subscriber->client = client;
    else
        fail(error, DH_ERR_INVALID_PARAMS, "a subscriber needs a name");
    return subscriber;
}

void dh_subscriber_destroy(DHSubscriber *subscriber)
{
    if (subscriber && subscriber->reader)
        hub_remove(&subscriber->client->hub, subscriber->reader);
    free(subscriber);
}

bool dh_subscriber_set_data_callback(DHSubscriber *subscriber, DHDataCallback callback, void *user_data, DHError **error)
{
    if (!subscriber || subscriber->reader)
        return fail(error, DH_ERR_INVALID_PARAMS, "no subscriber, or it has subscribed already");
    subscriber->callback = callback;
    subscriber->user_data = user_data;
    return true;
}

static void deliver(void *data, const struct message *message)
{
    const struct delivery *delivery = data;
    if (!message || !delivery->enabled || !delivery->callback)
        return;
    const DHTopicSample sample = {message, {(char *)message->data}};
    delivery->callback(&sample, delivery->user_data);
}

bool dh_subscriber_subscribe(DHSubscriber *subscriber, const DHSubscribeOptions *options, DHError **error)
{
    if (!subscriber || !options || !options->count || subscriber->reader)
        return fail(error, DH_ERR_INVALID_SUBSCRIPTION, "no filter, or it has subscribed already");
    if (!is_connected(subscriber->client, error))
        return false;
    struct delivery *delivery = calloc(1, sizeof *delivery);
    struct reader *reader = reader_new(deliver, delivery, free);
    if (!delivery || !reader) {
        free(delivery);
        free(reader);
        return fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
    }
    *delivery = (struct delivery){subscriber->callback, subscriber->user_data, options->data};
    for (; reader->count < options->count; reader->count++)
        reader->topics[reader->count] = strdup(options->names[reader->count]);
    reader->historical = options->start != DH_START_FROM_NOW;
    subscriber->reader = reader;
    hub_activate(&subscriber->client->hub, reader);
    hub_add(&subscriber->client->hub, reader);
    return true;
}

const char *dh_topic_sample_get_topic_name(const DHTopicSample *sample)
{
    return sample->message->topic;
}

const DHTopicData *dh_topic_sample_get_data(const DHTopicSample *sample)
{
    return &sample->data;
}

bool dh_topic_sample_is_historical(const DHTopicSample *sample)
{
    return sample->message->historical;
}

/* Writers */

DHWriter *dh_client_create_writer(DHClient *client, const char *name, const char *topic, DHError **error)
{
    if (!is_connected(client, error))
        return NULL;
    if (!name || !*name || !is_topic(client, topic)) {
        fail(error, name && *name ? DH_ERR_INVALID_TOPIC : DH_ERR_INVALID_PARAMS, "there is no such topic, or no name");
        return NULL;
    }
    DHWriter *writer = calloc(1, sizeof *writer);
    if (!writer || !(writer->topic = strdup(topic))) {
        free(writer);
        fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
        return NULL;
    }
    writer->client = client;
    pthread_mutex_lock(&client->hub.mutex);
    writer->next = client->writers;
    client->writers = writer;
    pthread_mutex_unlock(&client->hub.mutex);
    return writer;
}

void dh_writer_destroy(DHWriter *writer)
{
    if (!writer)
        return;
    struct hub *hub = &writer->client->hub;
    pthread_mutex_lock(&hub->mutex);
    for (DHWriter **at = &writer->client->writers; *at; at = &(*at)->next)
        if (*at == writer) {
            *at = writer->next;
            break;
        }
    while (writer->busy && !(hub->running && pthread_equal(pthread_self(), hub->thread)))
        pthread_cond_wait(&hub->idle, &hub->mutex);
    pthread_mutex_unlock(&hub->mutex);
    while (writer->productions) {
        struct production *production = writer->productions;
        writer->productions = production->next;
        free(production->key);
        free(production);
    }
    free(writer->topic);
    free(writer);
}

void dh_writer_set_consumer_match_update_callback(DHWriter *writer, DHConsumerMatchUpdateCallback callback,
                                                  void *user_data)
{
    pthread_mutex_lock(&writer->client->hub.mutex);
    writer->callback = callback;
    writer->user_data = user_data;
    pthread_mutex_unlock(&writer->client->hub.mutex);
}

static const struct production *find_production(const DHWriter *writer, const DHTopicData *keys)
{
    const char *key = keys && keys->json ? keys->json : "";
    for (const struct production *production = writer->productions; production; production = production->next)
        if (strcmp(production->key, key) == 0)
            return production;
    return NULL;
}

bool dh_writer_register_production(DHWriter *writer, const DHTopicData *instance_keys, DHProductionId *id,
                                   DHError **error)
{
    static DHProductionId last;
    if (!writer || !id)
        return fail(error, DH_ERR_INVALID_PARAMS, "no writer, or no place for the number");
    if (!is_connected(writer->client, error))
        return false;
    if (find_production(writer, instance_keys))
        return fail(error, DH_ERR_INSTANCE_EXISTS, "this instance is registered already");
    struct production *production = calloc(1, sizeof *production);
    char *key = strdup(instance_keys && instance_keys->json ? instance_keys->json : "");
    if (!production || !key) {
        free(production);
        free(key);
        return fail(error, DH_ERR_INTERNAL_ERROR, "no memory");
    }
    production->key = key;
    pthread_mutex_lock(&writer->client->hub.mutex);
    production->id = *id = ++last;
    production->next = writer->productions;
    writer->productions = production;
    writer->is_read = false; /* so that this instance is told, too */
    pthread_mutex_unlock(&writer->client->hub.mutex);
    hub_wake(&writer->client->hub);
    return true;
}

bool dh_writer_write_data(DHWriter *writer, const DHTopicData *instance_keys, const DHTopicData *data,
                          const DHTimestamp *timestamp, DHError **error)
{
    if (!writer || !data || !data->json || !timestamp)
        return fail(error, DH_ERR_INVALID_PARAMS, "no writer, no data, or no time");
    if (!is_connected(writer->client, error))
        return false;
    if (!find_production(writer, instance_keys))
        return fail(error, DH_ERR_INVALID_INSTANCE, "this instance is not registered");
    if (!is_topic(writer->client, writer->topic))
        return fail(error, DH_ERR_INVALID_TOPIC, "the topic was deleted");
    const char *key = instance_keys && instance_keys->json ? instance_keys->json : "";
    return messages_write(writer->client->hub.folder, writer->topic, key, data->json) ||
           fail(error, DH_ERR_INTERNAL_ERROR, strerror(errno));
}
