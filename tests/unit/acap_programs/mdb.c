/* Uses the message broker as its documentation describes it: subscribe to what the camera sees, by itself and by hand. */
#define _GNU_SOURCE
#include <assert.h>
#include <mdb/channel_info.h>
#include <mdb/connection.h>
#include <mdb/dictionary.h>
#include <mdb/error.h>
#include <mdb/message.h>
#include <mdb/subscriber.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

static const char topic[] = "com.axis.analytics_scene_description.v0.beta";
static sem_t done, registered, came;

static void on_error(const mdb_error_t *error, void *data)
{
    (void)data;
    fprintf(stderr, "%d %s\n", error->code, error->message);
    assert(!"no error is expected");
}

static void on_done(const mdb_error_t *error, void *data)
{
    assert(!error && data == topic);
    sem_post(&done);
}

static void on_registered(const mdb_channel_info_t *info, void *data)
{
    mdb_error_t *error = NULL;
    mdb_channel_info_t *copy = mdb_channel_info_copy(info, &error);
    assert(copy && !error && data == topic);
    assert(mdb_channel_info_get_application_data(copy, &error));
    mdb_channel_info_destroy(&copy);
    sem_post(&registered);
}

static void on_unregistered(void *data)
{
    (void)data;
}

static void on_message(const mdb_message_t *message, void *data)
{
    const mdb_message_payload_t *payload = mdb_message_get_payload(message);
    assert(data == &came && payload->size > 10);
    assert(memmem(payload->data, payload->size, "\"observations\":[{", 17));
    assert(mdb_message_get_timestamp(message)->tv_sec > 1700000000);
    sem_post(&came);
}

static void never(const mdb_message_t *message, void *data)
{
    (void)message, (void)data;
    assert(!"there is no such channel");
}

static mdb_subscriber_t *subscribe(mdb_connection_t *connection, const char *source, mdb_subscriber_on_message_t function,
                                   bool by_hand)
{
    mdb_error_t *error = NULL;
    mdb_subscriber_config_t *config = mdb_subscriber_config_create(topic, source, function, &came, &error);
    assert(config && !error);
    assert(mdb_subscriber_config_set_on_channel_registered_callback(config, on_registered, (void *)topic, &error));
    assert(mdb_subscriber_config_set_on_channel_unregistered_callback(config, on_unregistered, NULL, &error));
    if (by_hand)
        assert(mdb_subscriber_config_disable_auto_subscribe(config, &error));
    mdb_subscriber_t *subscriber = mdb_subscriber_create_async(connection, config, on_done, (void *)topic, &error);
    assert(subscriber && !error);
    mdb_subscriber_config_destroy(&config);
    assert(!config);
    sem_wait(&done);
    return subscriber;
}

static void values(void)
{
    mdb_error_t *error = NULL;
    mdb_channel_info_t *info = mdb_channel_info_create(&error);
    mdb_dict_t *dictionary = mdb_channel_info_get_application_data_mutable(info, &error);
    assert(mdb_dict_set_str(dictionary, "colour", "red", &error));
    assert(mdb_dict_set_str(dictionary, "colour", "blue", &error));
    assert(strcmp(mdb_dict_get_str(dictionary, "colour", &error), "blue") == 0);
    mdb_channel_info_t *copy = mdb_channel_info_copy(info, &error);
    mdb_channel_info_destroy(&info);
    const mdb_dict_t *copied = mdb_channel_info_get_application_data(copy, &error);
    assert(strcmp(mdb_dict_get_str(copied, "colour", &error), "blue") == 0 && !error);
    assert(!mdb_dict_get_str(copied, "size", &error) && error->code == MDB_ERROR_USER);
    mdb_error_destroy(&error);
    assert(!error);
    mdb_channel_info_destroy(&copy);
    const struct timespec time = {1700000000, 5};
    mdb_message_t *message = mdb_message_create(time, (const uint8_t *)"{}", 2, &error);
    assert(mdb_message_get_payload(message)->size == 2 && mdb_message_get_timestamp(message)->tv_nsec == 5);
    mdb_message_destroy(&message);
    assert(!message);
}

int main(void)
{
    mdb_error_t *error = NULL;
    sem_init(&done, 0, 0);
    sem_init(&registered, 0, 0);
    sem_init(&came, 0, 0);
    values();
    mdb_connection_t *connection = mdb_connection_create(on_error, NULL, &error);
    assert(connection && !error);
    assert(!mdb_subscriber_config_create(NULL, "1", on_message, NULL, &error) && error->code == MDB_ERROR_USER);
    mdb_error_destroy(&error);
    mdb_subscriber_t *subscriber = subscribe(connection, "1", on_message, false);
    mdb_subscriber_t *none = subscribe(connection, "99", never, false);
    mdb_subscriber_t *by_hand = subscribe(connection, "1", on_message, true);
    for (int number = 0; number < 3; number++) {
        sem_wait(&registered);
        sem_wait(&came);
    }
    assert(!mdb_subscriber_manual_subscribe_async(subscriber, on_done, (void *)topic, &error) && error);
    mdb_error_destroy(&error);
    mdb_subscriber_destroy(&subscriber);
    mdb_subscriber_destroy(&none);
    assert(!subscriber);
    while (sem_trywait(&came) == 0)
        ;
    assert(mdb_subscriber_manual_subscribe_async(by_hand, on_done, (void *)topic, &error));
    sem_wait(&done);
    sem_wait(&came);
    mdb_subscriber_destroy(&by_hand);
    mdb_connection_destroy(&connection);
    assert(!connection);
    puts("done");
    return 0;
}
