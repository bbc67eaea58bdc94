/*
 * Messages. Message Broker, in the camera since AXIS OS 11.9. Made by incamera from data/mdb.toml.
 */
#ifndef INCAMERA_MDB_MESSAGE_H
#define INCAMERA_MDB_MESSAGE_H

#include "../incamera-axis-os.h"
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "error.h"
#include "signatures.h"

#ifdef __cplusplus
extern "C" {
#endif

/* SIZE bytes, mostly of JSON, without a NUL at the end. */
typedef struct mdb_message_payload {
    size_t size;
    uint8_t *data;
} mdb_message_payload_t;

/* Belongs to the message. */
const mdb_message_payload_t *mdb_message_get_payload(const mdb_message_t *message);
/* Belongs to the message. Of which clock is not documented. */
const struct timespec *mdb_message_get_timestamp(const mdb_message_t *message);
mdb_message_t *mdb_message_create(struct timespec timestamp, const uint8_t *payload, size_t
    payload_size, mdb_error_t **error);
void mdb_message_destroy(mdb_message_t **self);

#ifdef __cplusplus
}
#endif

#endif
