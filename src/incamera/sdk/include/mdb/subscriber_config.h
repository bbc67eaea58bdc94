/*
 * What a subscriber wants. Message Broker, in the camera since AXIS OS 11.9. Made by incamera from
 * data/mdb.toml.
 */
#ifndef INCAMERA_MDB_SUBSCRIBER_CONFIG_H
#define INCAMERA_MDB_SUBSCRIBER_CONFIG_H

#include "../incamera-axis-os.h"
#include <stdbool.h>
#include "error.h"
#include "signatures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdb_subscriber_config mdb_subscriber_config_t;

/* TOPIC as in com.axis.analytics_scene_description.v0.beta, SOURCE a channel's number ("1"). */
mdb_subscriber_config_t *mdb_subscriber_config_create(const char *topic, const char *source,
    mdb_subscriber_on_message_t on_message, void *user_data, mdb_error_t **error);
bool mdb_subscriber_config_disable_auto_subscribe(mdb_subscriber_config_t *self, mdb_error_t
    **error);
bool mdb_subscriber_config_set_on_channel_registered_callback(mdb_subscriber_config_t *self,
    mdb_subscriber_on_channel_registered_t on_registered, void *user_data, mdb_error_t **error);
bool mdb_subscriber_config_set_on_channel_unregistered_callback(mdb_subscriber_config_t *self,
    mdb_subscriber_on_channel_unregistered_t on_unregistered, void *user_data, mdb_error_t **error);
void mdb_subscriber_config_destroy(mdb_subscriber_config_t **self);

#ifdef __cplusplus
}
#endif

#endif
