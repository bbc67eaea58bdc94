/*
 * Subscribers. Message Broker, in the camera since AXIS OS 11.9. Made by incamera from
 * data/mdb.toml.
 */
#ifndef INCAMERA_MDB_SUBSCRIBER_H
#define INCAMERA_MDB_SUBSCRIBER_H

#include "../incamera-axis-os.h"
#include <stdbool.h>
#include "connection.h"
#include "subscriber_config.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdb_subscriber mdb_subscriber_t;

/* The configuration may be destroyed afterwards. Destroy the subscriber before the connection. */
mdb_subscriber_t *mdb_subscriber_create_async(mdb_connection_t *connection, mdb_subscriber_config_t
    *config, mdb_on_done_t on_done, void *user_data, mdb_error_t **error);
bool mdb_subscriber_manual_subscribe_async(mdb_subscriber_t *self, mdb_on_done_t on_done, void
    *user_data, mdb_error_t **error);
void mdb_subscriber_destroy(mdb_subscriber_t **self);

#ifdef __cplusplus
}
#endif

#endif
