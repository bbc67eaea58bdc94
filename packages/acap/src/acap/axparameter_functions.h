/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define AXPARAMETER_FUNCTIONS(FUNCTION) \
    FUNCTION(AXParameter *, ax_parameter_new, (const gchar *app_name, GError **error), "9.80") \
    FUNCTION(gboolean, ax_parameter_add, (AXParameter *parameter, const gchar *name, const gchar *initial_value, const gchar *type, GError **error), "9.80") \
    FUNCTION(gboolean, ax_parameter_remove, (AXParameter *parameter, const gchar *name, GError **error), "9.80") \
    FUNCTION(gboolean, ax_parameter_set, (AXParameter *parameter, const gchar *name, const gchar *value, gboolean do_sync, GError **error), "9.80") \
    FUNCTION(gboolean, ax_parameter_get, (AXParameter *parameter, const gchar *name, gchar **value, GError **error), "9.80") \
    FUNCTION(GList *, ax_parameter_list, (AXParameter *parameter, GError **error), "9.80") \
    FUNCTION(gboolean, ax_parameter_register_callback, (AXParameter *parameter, const gchar *name, AXParameterCallback callback, gpointer userdata, GError **error), "9.80") \
    FUNCTION(void, ax_parameter_unregister_callback, (AXParameter *parameter, const gchar *name), "9.80")
