/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define AXEVENT_FUNCTIONS(FUNCTION) \
    FUNCTION(AXEventKeyValueSet *, ax_event_key_value_set_new, (void), "9.80") \
    FUNCTION(void, ax_event_key_value_set_free, (AXEventKeyValueSet *key_value_set), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_add_key_value, (AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, gconstpointer value, AXEventValueType value_type, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_mark_as_source, (AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_mark_as_data, (AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_mark_as_user_defined, (AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, const gchar *user_tag, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_add_nice_names, (AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, const gchar *key_nice_name, const gchar *value_nice_name, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_get_value_type, (const AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, AXEventValueType *value_type, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_get_integer, (const AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, gint *value, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_get_boolean, (const AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, gboolean *value, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_get_double, (const AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, gdouble *value, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_key_value_set_get_string, (const AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space, gchar **value, GError **error), "9.80") \
    FUNCTION(AXEvent *, ax_event_new2, (AXEventKeyValueSet *key_value_set, GDateTime *time_stamp), "9.80") \
    FUNCTION(void, ax_event_free, (AXEvent *event), "9.80") \
    FUNCTION(const AXEventKeyValueSet *, ax_event_get_key_value_set, (AXEvent *event), "9.80") \
    FUNCTION(GDateTime *, ax_event_get_time_stamp2, (AXEvent *event), "9.80") \
    FUNCTION(AXEventHandler *, ax_event_handler_new, (void), "9.80") \
    FUNCTION(gboolean, ax_event_handler_declare, (AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, gboolean stateless, guint *declaration, AXDeclarationCompleteCallback callback, gpointer user_data, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_handler_undeclare, (AXEventHandler *event_handler, guint declaration, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_handler_send_event, (AXEventHandler *event_handler, guint declaration, AXEvent *event, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_handler_subscribe, (AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, guint *subscription, AXSubscriptionCallback callback, gpointer user_data, GError **error), "9.80") \
    FUNCTION(gboolean, ax_event_handler_unsubscribe, (AXEventHandler *event_handler, guint subscription, GError **error), "9.80")
