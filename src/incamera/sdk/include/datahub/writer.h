/*
 * Sending data. Device Data Hub, in the camera since AXIS OS 12.11. Made by incamera from
 * data/datahub.toml.
 */
#ifndef INCAMERA_DATAHUB_WRITER_H
#define INCAMERA_DATAHUB_WRITER_H

#include "../incamera-axis-os.h"
#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DHWriter DHWriter;

typedef uint64_t DHProductionId;

typedef uint32_t DHConsumerMatchStatus;
#define DH_CONSUMER_NO_MATCH 0
#define DH_CONSUMER_MATCH 1

/* Called in a thread of the library. */
typedef void (*DHConsumerMatchUpdateCallback)(DHProductionId id, DHConsumerMatchStatus status, void *user_data);

void dh_writer_destroy(DHWriter *writer);
void dh_writer_set_consumer_match_update_callback(DHWriter *writer, DHConsumerMatchUpdateCallback
    callback, void *user_data);
bool dh_writer_register_production(DHWriter *writer, const DHTopicData *instance_keys,
    DHProductionId *id, DHError **error);
/* INSTANCE_KEYS: NULL for a topic without. */
bool dh_writer_write_data(DHWriter *writer, const DHTopicData *instance_keys, const DHTopicData
    *data, const DHTimestamp *timestamp, DHError **error);

#ifdef __cplusplus
}
#endif

#endif
