/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define AXSTORAGE_FUNCTIONS(FUNCTION) \
    FUNCTION(GList *, ax_storage_list, (GError **error), "9.80") \
    FUNCTION(gboolean, ax_storage_get_status, (gchar *storage_id, AXStorageStatusEventId event, GError **error), "9.80") \
    FUNCTION(guint, ax_storage_subscribe, (gchar *storage_id, AXStorageSubscriptionCallback callback, gpointer user_data, GError **error), "9.80") \
    FUNCTION(gboolean, ax_storage_unsubscribe, (guint id, GError **error), "9.80") \
    FUNCTION(gboolean, ax_storage_setup_async, (gchar *storage_id, AXStorageSetupCallback callback, gpointer user_data, GError **error), "9.80") \
    FUNCTION(gboolean, ax_storage_release_async, (AXStorage *storage, AXStorageReleaseCallback callback, gpointer user_data, GError **error), "9.80") \
    FUNCTION(gchar *, ax_storage_get_path, (AXStorage *storage, GError **error), "9.80") \
    FUNCTION(AXStorageType, ax_storage_get_type, (AXStorage *storage, GError **error), "9.80")
