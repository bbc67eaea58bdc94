/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define MDB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, mdb_error_destroy, (mdb_error_t **error), "11.9") \
    FUNCTION(mdb_connection_t *, mdb_connection_create, (mdb_on_error_t on_error, void *user_data, mdb_error_t **error), "11.9") \
    FUNCTION(void, mdb_connection_destroy, (mdb_connection_t **self), "11.9") \
    FUNCTION(const mdb_message_payload_t *, mdb_message_get_payload, (const mdb_message_t *message), "11.9") \
    FUNCTION(const struct timespec *, mdb_message_get_timestamp, (const mdb_message_t *message), "11.9") \
    FUNCTION(mdb_subscriber_config_t *, mdb_subscriber_config_create, (const char *topic, const char *source, mdb_subscriber_on_message_t on_message, void *user_data, mdb_error_t **error), "11.9") \
    FUNCTION(void, mdb_subscriber_config_destroy, (mdb_subscriber_config_t **self), "11.9") \
    FUNCTION(mdb_subscriber_t *, mdb_subscriber_create_async, (mdb_connection_t *connection, mdb_subscriber_config_t *config, mdb_on_done_t on_done, void *user_data, mdb_error_t **error), "11.9") \
    FUNCTION(void, mdb_subscriber_destroy, (mdb_subscriber_t **self), "11.9")
