/*
 * Functions that the message broker calls, in threads of its own. Message Broker, in the camera
 * since AXIS OS 11.9. Made by incamera from data/mdb.toml.
 */
#ifndef INCAMERA_MDB_SIGNATURES_H
#define INCAMERA_MDB_SIGNATURES_H

#include "../incamera-axis-os.h"
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdb_message mdb_message_t;
typedef struct mdb_channel_info mdb_channel_info_t;

/* Copy the error: it belongs to the caller. */
typedef void (*mdb_on_error_t)(const mdb_error_t *error, void *user_data);
/* ERROR is NULL where all went well. */
typedef void (*mdb_on_done_t)(const mdb_error_t *error, void *user_data);
/* MESSAGE is valid until the function returns. */
typedef void (*mdb_subscriber_on_message_t)(const mdb_message_t *message, void *user_data);
typedef void (*mdb_subscriber_on_channel_registered_t)(const mdb_channel_info_t *info, void *user_data);
typedef void (*mdb_subscriber_on_channel_unregistered_t)(void *user_data);

#ifdef __cplusplus
}
#endif

#endif
