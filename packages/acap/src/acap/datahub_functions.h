/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define DATAHUB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, dh_error_destroy, (DHError *error), "12.11") \
    FUNCTION(const char *, dh_error_to_string, (const DHError *error), "12.11") \
    FUNCTION(DHErrorCode, dh_error_get_code, (const DHError *error), "12.11") \
    FUNCTION(DHTimestamp *, dh_timestamp_create, (void), "12.11") \
    FUNCTION(void, dh_timestamp_destroy, (DHTimestamp *timestamp), "12.11") \
    FUNCTION(DHTopicData *, dh_topic_data_create, (void), "12.11") \
    FUNCTION(void, dh_topic_data_destroy, (DHTopicData *data), "12.11") \
    FUNCTION(bool, dh_topic_data_set_json_data, (DHTopicData *data, const char *json, DHError **error), "12.11") \
    FUNCTION(const char *, dh_topic_data_get_json_data, (const DHTopicData *data), "12.11") \
    FUNCTION(const char *, dh_topic_get_name, (const DHTopic *topic), "12.11") \
    FUNCTION(void, dh_topic_destroy, (DHTopic *topic), "12.11") \
    FUNCTION(uint32_t, dh_topic_list_get_count, (const DHTopicList *list), "12.11") \
    FUNCTION(const char *, dh_topic_list_get_name, (const DHTopicList *list, uint32_t index), "12.11") \
    FUNCTION(void, dh_topic_list_destroy, (DHTopicList *list), "12.11") \
    FUNCTION(void, dh_subscriber_destroy, (DHSubscriber *subscriber), "12.11") \
    FUNCTION(bool, dh_subscriber_set_data_callback, (DHSubscriber *subscriber, DHDataCallback callback, void *user_data, DHError **error), "12.11") \
    FUNCTION(bool, dh_subscriber_subscribe, (DHSubscriber *subscriber, const DHSubscribeOptions *options, DHError **error), "12.11") \
    FUNCTION(DHFilter *, dh_filter_create, (void), "12.11") \
    FUNCTION(void, dh_filter_destroy, (DHFilter *filter), "12.11") \
    FUNCTION(bool, dh_filter_add_topic_name, (DHFilter *filter, const char *name, DHError **error), "12.11") \
    FUNCTION(DHSubscribeOptions *, dh_subscribe_options_create, (void), "12.11") \
    FUNCTION(void, dh_subscribe_options_destroy, (DHSubscribeOptions *options), "12.11") \
    FUNCTION(bool, dh_subscribe_options_add_filter, (DHSubscribeOptions *options, const DHFilter *filter, DHError **error), "12.11") \
    FUNCTION(void, dh_subscribe_options_set_start_from, (DHSubscribeOptions *options, DHStartFrom start), "12.11") \
    FUNCTION(void, dh_subscribe_options_set_enable_data_updates, (DHSubscribeOptions *options, bool enable), "12.11") \
    FUNCTION(void, dh_subscribe_options_set_enable_instance_updates, (DHSubscribeOptions *options, bool enable), "12.11") \
    FUNCTION(const char *, dh_topic_sample_get_topic_name, (const DHTopicSample *sample), "12.11") \
    FUNCTION(const DHTopicData *, dh_topic_sample_get_data, (const DHTopicSample *sample), "12.11") \
    FUNCTION(bool, dh_topic_sample_is_historical, (const DHTopicSample *sample), "12.11") \
    FUNCTION(void, dh_writer_destroy, (DHWriter *writer), "12.11") \
    FUNCTION(void, dh_writer_set_consumer_match_update_callback, (DHWriter *writer, DHConsumerMatchUpdateCallback callback, void *user_data), "12.11") \
    FUNCTION(bool, dh_writer_register_production, (DHWriter *writer, const DHTopicData *instance_keys, DHProductionId *id, DHError **error), "12.11") \
    FUNCTION(bool, dh_writer_write_data, (DHWriter *writer, const DHTopicData *instance_keys, const DHTopicData *data, const DHTimestamp *timestamp, DHError **error), "12.11") \
    FUNCTION(DHClient *, dh_client_create, (const char *name, DHError **error), "12.11") \
    FUNCTION(void, dh_client_destroy, (DHClient *client), "12.11") \
    FUNCTION(bool, dh_client_set_logging, (DHClient *client, DHLogLevel level, DHLogTarget target, DHError **error), "12.11") \
    FUNCTION(bool, dh_client_connect, (DHClient *client, DHError **error), "12.11") \
    FUNCTION(bool, dh_client_disconnect, (DHClient *client, DHError **error), "12.11") \
    FUNCTION(DHConnectionState, dh_client_get_connection_state, (const DHClient *client), "12.11") \
    FUNCTION(DHTopic *, dh_client_create_topic, (DHClient *client, const char *definition, DHError **error), "12.11") \
    FUNCTION(DHTopic *, dh_client_get_topic, (DHClient *client, const char *name, DHError **error), "12.11") \
    FUNCTION(bool, dh_client_delete_topic, (DHClient *client, const char *name, DHError **error), "12.11") \
    FUNCTION(DHTopicList *, dh_client_get_topic_list, (DHClient *client, DHError **error), "12.11") \
    FUNCTION(DHSubscriber *, dh_client_create_subscriber, (DHClient *client, const char *name, DHError **error), "12.11") \
    FUNCTION(DHWriter *, dh_client_create_writer, (DHClient *client, const char *name, const char *topic, DHError **error), "12.11")
