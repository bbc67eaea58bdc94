/*
 * The camera's SD card and network share. Callbacks need a running GLib main loop. AXStorage, in
 * the camera since AXIS OS 9.80. Made by incamera from data/axstorage.toml.
 */
#ifndef INCAMERA_AXSDK_AXSTORAGE_H
#define INCAMERA_AXSDK_AXSTORAGE_H

#include "../incamera-axis-os.h"
#include <glib.h>
#include "ax_storage_error.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _AXStorage AXStorage;

typedef enum _AXStorageStatusEventId {
    AX_STORAGE_AVAILABLE_EVENT = 0,
    AX_STORAGE_EXITING_EVENT = 1,
    AX_STORAGE_WRITABLE_EVENT = 2,
    AX_STORAGE_FULL_EVENT = 3,
    AX_STORAGE_STATUS_EVENT_ID_END = 4,
} AXStorageStatusEventId;

typedef enum _AXStorageType {
    LOCAL_TYPE = 0,
    EXTERNAL_TYPE = 1,
    UNKNOWN_TYPE = 2,
} AXStorageType;

typedef void (*AXStorageSubscriptionCallback)(gchar *storage_id, gpointer user_data, GError *error);
typedef void (*AXStorageSetupCallback)(AXStorage *storage, gpointer user_data, GError *error);
typedef void (*AXStorageReleaseCallback)(gpointer user_data, GError *error);

/*
 * Names (SD_DISK, NetworkShare). Free the list with g_list_free_full (list, g_free). NULL: there
 * are none, or an error.
 */
GList *ax_storage_list(GError **error);
/* Returns 0 on error. The callback is told of changes: ask ax_storage_get_status which. */
guint ax_storage_subscribe(gchar *storage_id, AXStorageSubscriptionCallback callback, gpointer
    user_data, GError **error);
gboolean ax_storage_unsubscribe(guint id, GError **error);
/* Once it is writable, and not full. It can be used after the callback. */
gboolean ax_storage_setup_async(gchar *storage_id, AXStorageSetupCallback callback, gpointer
    user_data, GError **error);
/* Required when it is exiting. */
gboolean ax_storage_release_async(AXStorage *storage, AXStorageReleaseCallback callback, gpointer
    user_data, GError **error);
/* The app's own folder there. Free it with g_free. */
gchar *ax_storage_get_path(AXStorage *storage, GError **error);
gboolean ax_storage_get_status(gchar *storage_id, AXStorageStatusEventId event, GError **error);
/* Free it with g_free. */
gchar *ax_storage_get_storage_id(AXStorage *storage, GError **error);
AXStorageType ax_storage_get_type(AXStorage *storage, GError **error);

#ifdef __cplusplus
}
#endif

#endif
