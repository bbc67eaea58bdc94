/*
 * The connection to the Data Hub. The manifest asks for it with resources.deviceDataHub. Device
 * Data Hub, in the camera since AXIS OS 12.11. Made by incamera from data/datahub.toml.
 */
#ifndef INCAMERA_DATAHUB_CLIENT_H
#define INCAMERA_DATAHUB_CLIENT_H

#include "../incamera-axis-os.h"
#include "common.h"
#include "subscriber.h"
#include "writer.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DHClient DHClient;

DHClient *dh_client_create(const char *name, DHError **error);
void dh_client_destroy(DHClient *client);
bool dh_client_set_logging(DHClient *client, DHLogLevel level, DHLogTarget target, DHError **error);
bool dh_client_connect(DHClient *client, DHError **error);
bool dh_client_disconnect(DHClient *client, DHError **error);
DHConnectionState dh_client_get_connection_state(const DHClient *client);
/* DEFINITION is JSON: topic_name, description, version, data_schema. */
DHTopic *dh_client_create_topic(DHClient *client, const char *definition, DHError **error);
DHTopic *dh_client_get_topic(DHClient *client, const char *name, DHError **error);
/* To disconnect does not delete topics. */
bool dh_client_delete_topic(DHClient *client, const char *name, DHError **error);
DHTopicList *dh_client_get_topic_list(DHClient *client, DHError **error);
DHSubscriber *dh_client_create_subscriber(DHClient *client, const char *name, DHError **error);
DHWriter *dh_client_create_writer(DHClient *client, const char *name, const char *topic, DHError
    **error);

#ifdef __cplusplus
}
#endif

#endif
