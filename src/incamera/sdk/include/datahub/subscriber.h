/*
 * Receiving data. Device Data Hub, in the camera since AXIS OS 12.11. Made by incamera from
 * data/datahub.toml.
 */
#ifndef INCAMERA_DATAHUB_SUBSCRIBER_H
#define INCAMERA_DATAHUB_SUBSCRIBER_H

#include "../incamera-axis-os.h"
#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct DHSubscriber DHSubscriber;
typedef struct DHFilter DHFilter;
typedef struct DHSubscribeOptions DHSubscribeOptions;
typedef struct DHTopicSample DHTopicSample;

typedef uint32_t DHStartFrom;
#define DH_START_FROM_NOW 0

/* Called in a thread of the library. */
typedef void (*DHDataCallback)(const DHTopicSample *sample, void *user_data);

void dh_subscriber_destroy(DHSubscriber *subscriber);
bool dh_subscriber_set_data_callback(DHSubscriber *subscriber, DHDataCallback callback, void
    *user_data, DHError **error);
bool dh_subscriber_subscribe(DHSubscriber *subscriber, const DHSubscribeOptions *options, DHError
    **error);
DHFilter *dh_filter_create(void);
void dh_filter_destroy(DHFilter *filter);
bool dh_filter_add_topic_name(DHFilter *filter, const char *name, DHError **error);
DHSubscribeOptions *dh_subscribe_options_create(void);
void dh_subscribe_options_destroy(DHSubscribeOptions *options);
bool dh_subscribe_options_add_filter(DHSubscribeOptions *options, const DHFilter *filter, DHError
    **error);
void dh_subscribe_options_set_enable_data_updates(DHSubscribeOptions *options, bool enable);
void dh_subscribe_options_set_enable_instance_updates(DHSubscribeOptions *options, bool enable);
void dh_subscribe_options_set_start_from(DHSubscribeOptions *options, DHStartFrom start);
const char *dh_topic_sample_get_topic_name(const DHTopicSample *sample);
const DHTopicData *dh_topic_sample_get_data(const DHTopicSample *sample);
bool dh_topic_sample_is_historical(const DHTopicSample *sample);

#ifdef __cplusplus
}
#endif

#endif
