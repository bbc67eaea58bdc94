/* Prints what the camera sees: the scene of channel 1, as JSON. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <mdb/connection.h>
#include <mdb/error.h>
#include <mdb/subscriber.h>
#include <mdb/message.h>
#include <mdb/subscriber_config.h>

static void failed(const mdb_error_t *error, void *data)
{
    (void)data;
    fprintf(stderr, "%d: %s\n", error->code == MDB_ERROR_TIMEOUT, error->message);
}

static void subscribed(const mdb_error_t *error, void *data)
{
    if (error)
        failed(error, data);
}

static void show(const mdb_message_t *message, void *data)
{
    (void)data;
    const mdb_message_payload_t *payload = mdb_message_get_payload(message);
    const struct timespec *time = mdb_message_get_timestamp(message);
    printf("%jd: %.*s\n", (intmax_t)time->tv_sec, (int)payload->size, (const char *)payload->data);
}

int main(void)
{
    int number;
    sigset_t wanted;
    mdb_error_t *error = NULL;
    mdb_subscriber_config_t *config = NULL;
    mdb_subscriber_t *subscriber = NULL;
    mdb_connection_t *connection = mdb_connection_create(failed, NULL, &error);
    if (connection)
        config = mdb_subscriber_config_create("com.axis.analytics_scene_description.v0.beta", "1", show, NULL, &error);
    if (config)
        subscriber = mdb_subscriber_create_async(connection, config, subscribed, NULL, &error);
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigprocmask(SIG_BLOCK, &wanted, NULL);
    if (subscriber)
        sigwait(&wanted, &number);
    if (error)
        failed(error, NULL);
    mdb_error_destroy(&error);
    mdb_subscriber_config_destroy(&config);
    mdb_subscriber_destroy(&subscriber);
    mdb_connection_destroy(&connection);
    return EXIT_SUCCESS;
}
