/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define AXOVERLAY_FUNCTIONS(FUNCTION) \
    FUNCTION(void, axoverlay_init_axoverlay_settings, (axoverlay_settings *axoverlay_settings), "9.80") \
    FUNCTION(void, axoverlay_init, (axoverlay_settings *axoverlay_settings, GError **error), "9.80") \
    FUNCTION(gboolean, axoverlay_is_backend_supported, (axoverlay_backend_type backend), "9.80") \
    FUNCTION(void, axoverlay_redraw, (GError **error), "9.80") \
    FUNCTION(void, axoverlay_init_overlay_data, (axoverlay_overlay_data *data), "9.80") \
    FUNCTION(gint, axoverlay_create_overlay, (axoverlay_overlay_data *data, gpointer user_data, GError **error), "9.80") \
    FUNCTION(void, axoverlay_destroy_overlay, (gint id, GError **error), "9.80")
