/* Uses a storage as the documentation of axstorage describes it: subscribe, set up, write, release on EXITING.
   FLAG is the file that tells the storage's status. */
#include <assert.h>
#include <axsdk/axstorage.h>
#include <stdio.h>
#include <string.h>

typedef struct _GMainLoop GMainLoop;
GMainLoop *g_main_loop_new(void *context, gboolean running);
void g_main_loop_run(GMainLoop *loop);
void g_main_loop_quit(GMainLoop *loop);
void g_main_loop_unref(GMainLoop *loop);
void g_list_free(GList *list);
void g_error_free(GError *error);

static GMainLoop *loop;
static AXStorage *storage;
static const char *flag;
static guint subscription;
static gboolean asked;

static void released(gpointer data, GError *error)
{
    assert(!error && strcmp(data, "SD_DISK") == 0);
    assert(ax_storage_unsubscribe(subscription, NULL));
    g_main_loop_quit(loop);
}

static void set_up(AXStorage *disk, gpointer data, GError *error)
{
    (void)data;
    assert(disk && !error);
    storage = disk;
    gchar *id = ax_storage_get_storage_id(disk, &error), *path = ax_storage_get_path(disk, &error);
    assert(id && strcmp(id, "SD_DISK") == 0 && path && ax_storage_get_type(disk, &error) == LOCAL_TYPE && !error);
    char name[512];
    snprintf(name, sizeof name, "%s/counter.txt", path);
    FILE *file = fopen(name, "w");
    assert(file && fputs("counter: 1\n", file) >= 0 && fclose(file) == 0);
    g_free(id);
    g_free(path);
    file = fopen(flag, "w");
    assert(file && fputs("exiting", file) >= 0 && fclose(file) == 0);
}

static void changed(gchar *id, gpointer data, GError *error)
{
    (void)data;
    assert(!error);
    gboolean exiting = ax_storage_get_status(id, AX_STORAGE_EXITING_EVENT, &error);
    gboolean available = ax_storage_get_status(id, AX_STORAGE_AVAILABLE_EVENT, &error);
    gboolean writable = ax_storage_get_status(id, AX_STORAGE_WRITABLE_EVENT, &error);
    gboolean full = ax_storage_get_status(id, AX_STORAGE_FULL_EVENT, &error);
    assert(!error && available);
    if (exiting && storage) {
        AXStorage *disk = storage;
        storage = NULL;
        assert(ax_storage_release_async(disk, released, (gpointer) "SD_DISK", &error) && !error);
        assert(!ax_storage_get_path(disk, NULL));
    } else if (writable && !full && !exiting && !asked) {
        asked = TRUE;
        assert(ax_storage_setup_async(id, set_up, NULL, &error) && !error);
    }
}

int main(int argc, char **argv)
{
    GError *error = NULL;
    assert(argc == 2);
    flag = argv[1];
    GList *list = ax_storage_list(&error);
    assert(list && !error && !list->next && strcmp(list->data, "SD_DISK") == 0);
    g_free(list->data);
    g_list_free(list);
    assert(ax_storage_subscribe((gchar *)"USB", changed, NULL, &error) == 0);
    assert(error && error->domain == AX_STORAGE_ERROR && error->code == AX_STORAGE_ERROR_SUBSCRIPTION);
    g_error_free(error);
    error = NULL;
    loop = g_main_loop_new(NULL, FALSE);
    subscription = ax_storage_subscribe((gchar *)"SD_DISK", changed, NULL, &error);
    assert(subscription > 0 && !error);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    assert(!ax_storage_unsubscribe(subscription, NULL));
    puts("done");
    return 0;
}
