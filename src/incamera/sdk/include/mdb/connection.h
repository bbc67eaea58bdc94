/*
 * The connection to the message broker. Message Broker, in the camera since AXIS OS 11.9. Made by
 * incamera from data/mdb.toml.
 */
#ifndef INCAMERA_MDB_CONNECTION_H
#define INCAMERA_MDB_CONNECTION_H

#include "../incamera-axis-os.h"
#include "error.h"
#include "signatures.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdb_connection mdb_connection_t;

mdb_connection_t *mdb_connection_create(mdb_on_error_t on_error, void *user_data, mdb_error_t
    **error);
void mdb_connection_destroy(mdb_connection_t **self);

#ifdef __cplusplus
}
#endif

#endif
