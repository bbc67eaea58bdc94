/*
 * What is known of a channel. Message Broker, in the camera since AXIS OS 11.9. Made by incamera
 * from data/mdb.toml.
 */
#ifndef INCAMERA_MDB_CHANNEL_INFO_H
#define INCAMERA_MDB_CHANNEL_INFO_H

#include "../incamera-axis-os.h"
#include "dictionary.h"
#include "error.h"
#include "signatures.h"

#ifdef __cplusplus
extern "C" {
#endif

mdb_channel_info_t *mdb_channel_info_create(mdb_error_t **error);
mdb_channel_info_t *mdb_channel_info_copy(const mdb_channel_info_t *self, mdb_error_t **error);
const mdb_dict_t *mdb_channel_info_get_application_data(const mdb_channel_info_t *self, mdb_error_t
    **error);
mdb_dict_t *mdb_channel_info_get_application_data_mutable(mdb_channel_info_t *self, mdb_error_t
    **error);
void mdb_channel_info_destroy(mdb_channel_info_t **self);

#ifdef __cplusplus
}
#endif

#endif
