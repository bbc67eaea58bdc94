/* The camera's library for the message broker, opened at run time. */
#ifndef ACAP_MDB_H
#define ACAP_MDB_H

#include "mdb_functions.h"
#include "messages.h"

typedef struct mdb_error_t {
    int code;
    char *message;
} mdb_error_t;

typedef struct mdb_message_payload {
    size_t size;
    uint8_t *data;
} mdb_message_payload_t;

typedef struct mdb_connection mdb_connection_t;
typedef struct mdb_message mdb_message_t;
typedef struct mdb_subscriber_config mdb_subscriber_config_t;
typedef struct mdb_subscriber mdb_subscriber_t;
typedef void (*mdb_on_error_t)(const mdb_error_t *error, void *user_data);
typedef void (*mdb_on_done_t)(const mdb_error_t *error, void *user_data);
typedef void (*mdb_subscriber_on_message_t)(const mdb_message_t *message, void *user_data);

static struct {
    MDB_FUNCTIONS(LIBRARY_POINTER)
} mdb;

static const struct library_function mdb_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&mdb.name - (char *)&mdb)},
    MDB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define MDB_COUNT (sizeof mdb_table / sizeof *mdb_table)

/* Open the library. Returns NULL, or what is said against it. */
static const char *mdb_open(const char *soname)
{
    return library_open(soname, &mdb, mdb_table, MDB_COUNT);
}

/* The first function of the library that is missing, or NULL; *SINCE: the AXIS OS that has it. */
static const char *mdb_lacks(const char **since)
{
    for (size_t number = 0; number < MDB_COUNT; number++) {
        const char *names[] = {mdb_table[number].name, NULL};
        if (library_lacks(names, &mdb, mdb_table, MDB_COUNT)) {
            *since = mdb_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

static void message_fail(message_queue *queue, int code, const char *text)
{
    queue->failed = 1;
    queue->code = code;
    snprintf(queue->text, sizeof queue->text, "%s", text ? text : "the library does not say why");
    message_wake(queue);
}

/* An answer that the program waits for has come. FAILED: with an error. */
static void message_answered(message_queue *queue, int failed, int code, const char *text)
{
    pthread_mutex_lock(&message_mutex);
    queue->done++;
    if (failed)
        message_fail(queue, code, text);
    pthread_cond_broadcast(&message_answer);
    pthread_mutex_unlock(&message_mutex);
}

/* Wait until COUNT answers have come, for at most MILLISECONDS. Returns whether they have, or one of them was an error. */
static int message_wait(message_queue *queue, unsigned count, unsigned milliseconds)
{
    struct timespec end;
    int late = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_nsec += (long)milliseconds * 1000000;
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_mutex_lock(&message_mutex);
    while (queue->done < count && !queue->failed && !late)
        late = pthread_cond_timedwait(&message_answer, &message_mutex, &end) != 0;
    int done = queue->done >= count || queue->failed;
    pthread_mutex_unlock(&message_mutex);
    return done;
}

/* The connection is gone: all that read are told. */
static void message_lose(int code, const char *text)
{
    pthread_mutex_lock(&message_mutex);
    for (message_queue *queue = message_queues; queue; queue = queue->next)
        message_fail(queue, code, text);
    pthread_cond_broadcast(&message_answer);
    pthread_mutex_unlock(&message_mutex);
}

/* A topic that is read. The library does not say with a message which it was. It is never freed, as its queue. */
typedef struct {
    message_queue *queue;
    char topic[];
} mdb_reader;

static int mdb_is_lost;

static void mdb_lost(const mdb_error_t *error, void *user_data)
{
    (void)user_data;
    __atomic_store_n(&mdb_is_lost, 1, __ATOMIC_RELEASE);
    message_lose(error ? error->code : 0, error ? error->message : NULL);
}

static mdb_connection_t *mdb_connect(mdb_error_t **error)
{
    __atomic_store_n(&mdb_is_lost, 0, __ATOMIC_RELEASE);
    mdb_connection_t *connection = mdb.mdb_connection_create(mdb_lost, NULL, error);
    if (!connection)
        __atomic_store_n(&mdb_is_lost, 1, __ATOMIC_RELEASE);
    return connection;
}

static int mdb_is_connected(void)
{
    return !__atomic_load_n(&mdb_is_lost, __ATOMIC_ACQUIRE);
}

/* The broker's time. Where `long` has 32 bits, the library's time_t has, too, in every AXIS OS with the broker. This module
   may have been compiled with a longer one. */
typedef struct {
    long seconds, nanoseconds;
} mdb_time;

static void mdb_came(const mdb_message_t *message, void *user_data)
{
    const mdb_reader *reader = user_data;
    const mdb_message_payload_t *payload = mdb.mdb_message_get_payload(message);
    const mdb_time *time = (const void *)mdb.mdb_message_get_timestamp(message);
    double stamp = time ? (double)time->seconds + (double)time->nanoseconds / 1e9 : -1;
    if (payload)
        message_put(reader->queue, reader->topic, payload->data, payload->size, stamp, 0);
}

static void mdb_done(const mdb_error_t *error, void *user_data)
{
    message_answered(user_data, error != NULL, error ? error->code : 0, error ? error->message : NULL);
}

static mdb_subscriber_t *mdb_subscribe(mdb_connection_t *connection, const char *topic, const char *source,
                                       message_queue *queue, mdb_error_t **error)
{
    size_t size = strlen(topic) + 1;
    mdb_reader *reader = malloc(sizeof *reader + size);
    if (!reader)
        return NULL;
    reader->queue = queue;
    memcpy(reader->topic, topic, size);
    mdb_subscriber_config_t *config = mdb.mdb_subscriber_config_create(topic, source, mdb_came, reader, error);
    mdb_subscriber_t *subscriber =
        config ? mdb.mdb_subscriber_create_async(connection, config, mdb_done, queue, error) : NULL;
    if (config)
        mdb.mdb_subscriber_config_destroy(&config);
    if (!subscriber)
        free(reader);
    return subscriber;
}

#endif
