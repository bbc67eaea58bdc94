/* Prints the app's folder on each SD card and network share that can be written. */
#include <stdio.h>
#include <stdlib.h>

#include <axsdk/axstorage.h>

static AXStorage *used;

static void ready(AXStorage *storage, gpointer data, GError *error)
{
    (void)data;
    if (error) {
        g_error_free(error);
        return;
    }
    g_autofree gchar *id = ax_storage_get_storage_id(storage, NULL), *path = ax_storage_get_path(storage, NULL);
    used = storage;
    printf("%s: %s (%d)\n", id, path, ax_storage_get_type(storage, NULL) == LOCAL_TYPE);
}

static void released(gpointer data, GError *error)
{
    (void)data;
    g_clear_error(&error);
    used = NULL;
}

static void changed(gchar *id, gpointer data, GError *error)
{
    (void)data;
    g_clear_error(&error);
    gboolean exiting = ax_storage_get_status(id, AX_STORAGE_EXITING_EVENT, NULL);
    gboolean full = ax_storage_get_status(id, AX_STORAGE_FULL_EVENT, NULL);
    if (exiting && used)
        ax_storage_release_async(used, released, NULL, NULL);
    else if (!used && !full && ax_storage_get_status(id, AX_STORAGE_WRITABLE_EVENT, NULL))
        ax_storage_setup_async(id, ready, NULL, NULL);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    guint subscribed = 0;
    GList *disks = ax_storage_list(&error);
    for (GList *disk = disks; disk; disk = disk->next)
        subscribed = ax_storage_subscribe(disk->data, changed, NULL, &error);
    if (g_error_matches(error, AX_STORAGE_ERROR, AX_STORAGE_ERROR_SUBSCRIPTION))
        return EXIT_FAILURE;
    g_main_loop_run(loop);
    ax_storage_unsubscribe(subscribed, NULL);
    g_list_free_full(disks, g_free);
    return EXIT_SUCCESS;
}
