/*
 * What all parts of the Data Hub use. Device Data Hub, in the camera since AXIS OS 12.11. Made by
 * incamera from data/datahub.toml.
 */
#ifndef INCAMERA_DATAHUB_COMMON_H
#define INCAMERA_DATAHUB_COMMON_H

#include "../incamera-axis-os.h"
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function that fails makes *ERROR point to a new error, which dh_error_destroy frees. */
typedef struct DHError DHError;
typedef struct DHTimestamp DHTimestamp;
typedef struct DHTopic DHTopic;
typedef struct DHTopicData DHTopicData;
typedef struct DHTopicList DHTopicList;

typedef uint32_t DHErrorCode;
#define DH_ERR_INVALID_PARAMS 0
#define DH_ERR_DATA_TOO_BIG 1
#define DH_ERR_NOT_CONNECTED 2
#define DH_ERR_ALREADY_CONNECTED 3
#define DH_ERR_UNKNOWN_ERROR 4
#define DH_ERR_INTERNAL_ERROR 5
#define DH_ERR_INVALID_ID 6
#define DH_ERR_INVALID_TOPIC 7
#define DH_ERR_NOT_INITIALIZED 8
#define DH_ERR_MAX_CLIENTS 9
#define DH_ERR_MAX_CONNECTIONS 10
#define DH_ERR_AUTHENTICATION_FAILED 11
#define DH_ERR_TOPIC_EXISTS 12
#define DH_ERR_MAX_TOPIC 13
#define DH_ERR_CONNECTION_ERROR 14
#define DH_ERR_INVALID_DATA 15
#define DH_ERR_INVALID_INSTANCE 16
#define DH_ERR_INVALID_KEYS 17
#define DH_ERR_INVALID_SUBSCRIPTION 18
#define DH_ERR_INSTANCE_EXISTS 19
#define DH_ERR_INSTANCES_NOT_SUPPORTED 20
#define DH_ERR_MAX_INSTANCES 21
#define DH_ERR_MAX_SUBSCRIPTIONS 22

typedef uint32_t DHConnectionState;
#define DH_CONN_DISCONNECTED 0
#define DH_CONN_CONNECTED 1

typedef uint32_t DHLogLevel;
#define DH_LOG_OFF 0
#define DH_LOG_CRITICAL 1
#define DH_LOG_ERROR 2
#define DH_LOG_WARNING 3
#define DH_LOG_INFO 4
#define DH_LOG_DEBUG 5
#define DH_LOG_TRACE 6

typedef uint32_t DHLogTarget;
#define DH_LOG_TARGET_CONSOLE 0
#define DH_LOG_TARGET_SYSLOG 1

void dh_error_destroy(DHError *error);
const char *dh_error_to_string(const DHError *error);
DHErrorCode dh_error_get_code(const DHError *error);
DHTimestamp *dh_timestamp_create(void);
void dh_timestamp_destroy(DHTimestamp *timestamp);
DHTopicData *dh_topic_data_create(void);
void dh_topic_data_destroy(DHTopicData *data);
bool dh_topic_data_set_json_data(DHTopicData *data, const char *json, DHError **error);
/* Belongs to the data. */
const char *dh_topic_data_get_json_data(const DHTopicData *data);
const char *dh_topic_get_name(const DHTopic *topic);
void dh_topic_destroy(DHTopic *topic);
uint32_t dh_topic_list_get_count(const DHTopicList *list);
const char *dh_topic_list_get_name(const DHTopicList *list, uint32_t index);
void dh_topic_list_destroy(DHTopicList *list);

#ifdef __cplusplus
}
#endif

#endif
