/*
 * Errors of the message broker. Message Broker, in the camera since AXIS OS 11.9. Made by incamera
 * from data/mdb.toml.
 */
#ifndef INCAMERA_MDB_ERROR_H
#define INCAMERA_MDB_ERROR_H

#include "../incamera-axis-os.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _mdb_error_code_t {
    MDB_ERROR_NONE = 0,
    MDB_ERROR_ACCESS_DENIED = -1,
    MDB_ERROR_IO = -2,
    MDB_ERROR_MEMORY = -3,
    MDB_ERROR_OTHER = -4,
    MDB_ERROR_TIMEOUT = -5,
    MDB_ERROR_USER = -6,
    MDB_ERROR_VERSION_ERROR = -7,
    MDB_ERROR_TOO_MANY_PENDING_MESSAGES = -8,
} mdb_error_code_t;

/* A function that fails makes *ERROR point to a new error. */
typedef struct mdb_error_t {
    mdb_error_code_t code;
    char *message;
} mdb_error_t;

/* Frees *ERROR and sets it to NULL. */
void mdb_error_destroy(mdb_error_t **error);

#ifdef __cplusplus
}
#endif

#endif
