/* The stand-in of the message broker: connections, subscribers and messages. All programs of a camera share a log. */
#include "messages.h"

#include <mdb/channel_info.h>
#include <mdb/connection.h>
#include <mdb/dictionary.h>
#include <mdb/error.h>
#include <mdb/message.h>
#include <mdb/signatures.h>
#include <mdb/subscriber.h>
#include <mdb/subscriber_config.h>

struct mdb_connection {
    struct hub hub;
    mdb_on_error_t on_error;
    void *data;
};

struct mdb_message {
    struct timespec time;
    mdb_message_payload_t payload;
    uint8_t data[];
};

struct entry {
    struct entry *next;
    char *key, *value;
};

struct mdb_dict {
    struct entry *first;
};

struct mdb_channel_info {
    mdb_dict_t application_data;
};

struct mdb_subscriber_config {
    char *topic, *source;
    bool manual;
    mdb_subscriber_on_message_t on_message;
    mdb_subscriber_on_channel_registered_t on_registered;
    mdb_subscriber_on_channel_unregistered_t on_unregistered;
    void *data, *registered_data, *unregistered_data;
};

struct mdb_subscriber {
    mdb_connection_t *connection;
    struct reader *reader;
    bool manual;
};

/* What a reader's calls are about. */
struct delivery {
    mdb_subscriber_config_t config;
    mdb_on_done_t on_done;
    void *done_data;
    bool registered;
};

static bool fail(mdb_error_t **error, mdb_error_code_t code, const char *message)
{
    if (!error)
        return false;
    *error = calloc(1, sizeof **error);
    if (*error)
        **error = (mdb_error_t){code, strdup(message)};
    return false;
}

void mdb_error_destroy(mdb_error_t **error)
{
    if (!error || !*error)
        return;
    free((*error)->message);
    free(*error);
    *error = NULL;
}

static void lost(void *data)
{
    const mdb_connection_t *self = data;
    char message[] = "the message broker is gone";
    const mdb_error_t error = {MDB_ERROR_IO, message};
    if (self->on_error)
        self->on_error(&error, self->data);
}

mdb_connection_t *mdb_connection_create(mdb_on_error_t on_error, void *user_data, mdb_error_t **error)
{
    if (messages_setting("INCAMERA_MESSAGES_DENIED")) {
        fail(error, MDB_ERROR_ACCESS_DENIED, "the program may not use the message broker");
        return NULL;
    }
    mdb_connection_t *self = calloc(1, sizeof *self);
    if (!self) {
        fail(error, MDB_ERROR_MEMORY, "no memory");
        return NULL;
    }
    pthread_mutex_init(&self->hub.mutex, NULL);
    pthread_cond_init(&self->hub.idle, NULL);
    self->on_error = on_error;
    self->data = user_data;
    self->hub.lost = lost;
    if (hub_start(&self->hub, self))
        return self;
    fail(error, MDB_ERROR_IO, strerror(errno));
    mdb_connection_destroy(&self);
    return NULL;
}

void mdb_connection_destroy(mdb_connection_t **self)
{
    if (!self || !*self)
        return;
    hub_end(&(*self)->hub);
    while ((*self)->hub.readers)
        hub_remove(&(*self)->hub, (*self)->hub.readers);
    pthread_cond_destroy(&(*self)->hub.idle);
    pthread_mutex_destroy(&(*self)->hub.mutex);
    free(*self);
    *self = NULL;
}

const mdb_message_payload_t *mdb_message_get_payload(const mdb_message_t *message)
{
    return message ? &message->payload : NULL;
}

const struct timespec *mdb_message_get_timestamp(const mdb_message_t *message)
{
    return message ? &message->time : NULL;
}

mdb_message_t *mdb_message_create(struct timespec timestamp, const uint8_t *payload, size_t payload_size,
                                  mdb_error_t **error)
{
    mdb_message_t *self = payload || !payload_size ? malloc(sizeof *self + payload_size) : NULL;
    if (!self) {
        fail(error, payload ? MDB_ERROR_MEMORY : MDB_ERROR_USER, "no payload, or no memory for it");
        return NULL;
    }
    self->time = timestamp;
    self->payload = (mdb_message_payload_t){payload_size, self->data};
    if (payload_size)
        memcpy(self->data, payload, payload_size);
    return self;
}

void mdb_message_destroy(mdb_message_t **self)
{
    if (!self)
        return;
    free(*self);
    *self = NULL;
}

bool mdb_dict_set_str(mdb_dict_t *self, const char *key, const char *value, mdb_error_t **error)
{
    if (!self || !key || !value)
        return fail(error, MDB_ERROR_USER, "no dictionary, key or value");
    struct entry *entry = self->first;
    while (entry && strcmp(entry->key, key) != 0)
        entry = entry->next;
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        if (!entry || !(entry->key = strdup(key))) {
            free(entry);
            return fail(error, MDB_ERROR_MEMORY, "no memory");
        }
        entry->next = self->first;
        self->first = entry;
    }
    char *copy = strdup(value);
    if (!copy)
        return fail(error, MDB_ERROR_MEMORY, "no memory");
    free(entry->value);
    entry->value = copy;
    return true;
}

const char *mdb_dict_get_str(const mdb_dict_t *self, const char *key, mdb_error_t **error)
{
    for (const struct entry *entry = self && key ? self->first : NULL; entry; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry->value;
    fail(error, MDB_ERROR_USER, "the dictionary has no such key");
    return NULL;
}

mdb_channel_info_t *mdb_channel_info_create(mdb_error_t **error)
{
    mdb_channel_info_t *self = calloc(1, sizeof *self);
    if (!self)
        fail(error, MDB_ERROR_MEMORY, "no memory");
    return self;
}

mdb_channel_info_t *mdb_channel_info_copy(const mdb_channel_info_t *self, mdb_error_t **error)
{
    mdb_channel_info_t *copy = self ? mdb_channel_info_create(error) : NULL;
    if (!self)
        fail(error, MDB_ERROR_USER, "no channel's data");
    for (const struct entry *entry = copy ? self->application_data.first : NULL; entry && copy; entry = entry->next)
        if (!mdb_dict_set_str(&copy->application_data, entry->key, entry->value, error))
            mdb_channel_info_destroy(&copy);
    return copy;
}

const mdb_dict_t *mdb_channel_info_get_application_data(const mdb_channel_info_t *self, mdb_error_t **error)
{
    if (!self)
        fail(error, MDB_ERROR_USER, "no channel's data");
    return self ? &self->application_data : NULL;
}

mdb_dict_t *mdb_channel_info_get_application_data_mutable(mdb_channel_info_t *self, mdb_error_t **error)
{
    return (mdb_dict_t *)mdb_channel_info_get_application_data(self, error);
}

void mdb_channel_info_destroy(mdb_channel_info_t **self)
{
    if (!self || !*self)
        return;
    for (struct entry *entry = (*self)->application_data.first; entry;) {
        struct entry *next = entry->next;
        free(entry->key);
        free(entry->value);
        free(entry);
        entry = next;
    }
    free(*self);
    *self = NULL;
}

mdb_subscriber_config_t *mdb_subscriber_config_create(const char *topic, const char *source,
                                                      mdb_subscriber_on_message_t on_message, void *user_data,
                                                      mdb_error_t **error)
{
    if (!is_topic_name(topic) || !source || !*source || !on_message) {
        fail(error, MDB_ERROR_USER, "no such topic, no source, or no function");
        return NULL;
    }
    mdb_subscriber_config_t *self = calloc(1, sizeof *self);
    if (self) {
        self->topic = strdup(topic);
        self->source = strdup(source);
        self->on_message = on_message;
        self->data = user_data;
    }
    if (!self || !self->topic || !self->source) {
        mdb_subscriber_config_destroy(&self);
        fail(error, MDB_ERROR_MEMORY, "no memory");
    }
    return self;
}

bool mdb_subscriber_config_disable_auto_subscribe(mdb_subscriber_config_t *self, mdb_error_t **error)
{
    if (!self)
        return fail(error, MDB_ERROR_USER, "no configuration");
    self->manual = true;
    return true;
}

bool mdb_subscriber_config_set_on_channel_registered_callback(mdb_subscriber_config_t *self,
                                                              mdb_subscriber_on_channel_registered_t on_registered,
                                                              void *user_data, mdb_error_t **error)
{
    if (!self)
        return fail(error, MDB_ERROR_USER, "no configuration");
    self->on_registered = on_registered;
    self->registered_data = user_data;
    return true;
}

bool mdb_subscriber_config_set_on_channel_unregistered_callback(
    mdb_subscriber_config_t *self, mdb_subscriber_on_channel_unregistered_t on_unregistered, void *user_data,
    mdb_error_t **error)
{
    if (!self)
        return fail(error, MDB_ERROR_USER, "no configuration");
    self->on_unregistered = on_unregistered;
    self->unregistered_data = user_data;
    return true;
}

void mdb_subscriber_config_destroy(mdb_subscriber_config_t **self)
{
    if (!self || !*self)
        return;
    free((*self)->topic);
    free((*self)->source);
    free(*self);
    *self = NULL;
}

static void deliver(void *data, const struct message *message)
{
    struct delivery *delivery = data;
    mdb_channel_info_t info = {0};
    if (!message) {
        if (delivery->on_done)
            delivery->on_done(NULL, delivery->done_data);
        /* A channel is there as soon as somebody asks for it. */
        if (delivery->config.on_registered && !delivery->registered)
            delivery->config.on_registered(&info, delivery->config.registered_data);
        delivery->registered = true;
        return;
    }
    struct timespec time = {message->time / 1000000, message->time % 1000000 * 1000};
    mdb_message_t *own = mdb_message_create(time, (const uint8_t *)message->data, strlen(message->data), NULL);
    if (own)
        delivery->config.on_message(own, delivery->config.data);
    mdb_message_destroy(&own);
}

mdb_subscriber_t *mdb_subscriber_create_async(mdb_connection_t *connection, mdb_subscriber_config_t *config,
                                              mdb_on_done_t on_done, void *user_data, mdb_error_t **error)
{
    if (!connection || !config) {
        fail(error, MDB_ERROR_USER, "no connection or no configuration");
        return NULL;
    }
    if (connection->hub.down) {
        fail(error, MDB_ERROR_IO, "the message broker is gone");
        return NULL;
    }
    mdb_subscriber_t *self = calloc(1, sizeof *self);
    struct delivery *delivery = calloc(1, sizeof *delivery);
    struct reader *reader = reader_new(deliver, delivery, free);
    if (!self || !delivery || !reader) {
        free(self);
        free(delivery);
        free(reader);
        fail(error, MDB_ERROR_MEMORY, "no memory");
        return NULL;
    }
    delivery->config = *config; /* without its texts */
    delivery->on_done = on_done;
    delivery->done_data = user_data;
    reader->topics[0] = strdup(config->topic);
    reader->count = 1;
    reader->key = strdup(config->source);
    *self = (mdb_subscriber_t){connection, reader, config->manual};
    if (!self->manual)
        hub_activate(&connection->hub, reader);
    hub_add(&connection->hub, reader);
    return self;
}

bool mdb_subscriber_manual_subscribe_async(mdb_subscriber_t *self, mdb_on_done_t on_done, void *user_data,
                                           mdb_error_t **error)
{
    if (!self || !self->manual)
        return fail(error, MDB_ERROR_USER, "this subscriber subscribes by itself");
    struct delivery *delivery = self->reader->data;
    pthread_mutex_lock(&self->connection->hub.mutex);
    delivery->on_done = on_done;
    delivery->done_data = user_data;
    self->reader->begun = false;
    pthread_mutex_unlock(&self->connection->hub.mutex);
    hub_activate(&self->connection->hub, self->reader);
    return true;
}

void mdb_subscriber_destroy(mdb_subscriber_t **self)
{
    if (!self || !*self)
        return;
    hub_remove(&(*self)->connection->hub, (*self)->reader);
    free(*self);
    *self = NULL;
}
