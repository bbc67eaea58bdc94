/*
 * Named texts. Message Broker, in the camera since AXIS OS 11.9. Made by incamera from
 * data/mdb.toml.
 */
#ifndef INCAMERA_MDB_DICTIONARY_H
#define INCAMERA_MDB_DICTIONARY_H

#include "../incamera-axis-os.h"
#include <stdbool.h>
#include "error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mdb_dict mdb_dict_t;

bool mdb_dict_set_str(mdb_dict_t *self, const char *key, const char *value, mdb_error_t **error);
const char *mdb_dict_get_str(const mdb_dict_t *self, const char *key, mdb_error_t **error);

#ifdef __cplusplus
}
#endif

#endif
