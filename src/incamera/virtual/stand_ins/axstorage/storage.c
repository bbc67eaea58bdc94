/* The stand-in of the library for SD cards and network shares. A storage is a folder of INCAMERA_STORAGE, or a folder of
   /var/spool/storage where something is mounted. The file .NAME beside it holds words that tell how it is: exiting,
   full, readonly. Callbacks come in the thread that serves GLib's default main context. */
#include <axsdk/axstorage.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PERIOD_MS 100 /* how often a subscription looks for changes */

struct _AXStorage {
    gchar *id;
    bool released;
};

struct status {
    bool available, exiting, writable, full;
};

GQuark ax_storage_error_quark(void)
{
    return g_quark_from_static_string("ax-storage-error-quark");
}

static void fail(GError **error, gint code, const char *message)
{
    g_set_error_literal(error, ax_storage_error_quark(), code, message);
}

static const char *root(void)
{
    const char *folder = getenv("INCAMERA_STORAGE");
    return folder && *folder ? folder : "/var/spool/storage";
}

/* An app that lacks the group `storage`. */
static bool is_denied(GError **error)
{
    const char *text = getenv("INCAMERA_STORAGE_DENIED");
    if (!text || strcmp(text, "1") != 0)
        return false;
    fail(error, AX_STORAGE_ERROR_GENERIC, "the program is not in the group storage");
    return true;
}

static const char *const known[] = {"SD_DISK", "NetworkShare"};

static bool is_known(const char *id)
{
    for (size_t n = 0; id && n < sizeof known / sizeof *known; n++)
        if (strcmp(id, known[n]) == 0)
            return true;
    return false;
}

static bool is_connected(const char *path)
{
    struct stat here, above;
    if (stat(path, &here) != 0 || !S_ISDIR(here.st_mode))
        return false;
    const char *folder = getenv("INCAMERA_STORAGE");
    return (folder && *folder) || (stat(root(), &above) == 0 && here.st_dev != above.st_dev);
}

static bool has_word(const char *text, const char *word)
{
    return strstr(text, word) != NULL;
}

static struct status status_of(const char *id)
{
    char path[512], words[256] = "";
    struct status status = {0};
    struct statvfs space;
    snprintf(path, sizeof path, "%s/%s", root(), id);
    status.available = is_connected(path);
    if (!status.available)
        return status;
    bool writes = access(path, W_OK) == 0;
    status.full = statvfs(path, &space) == 0 && space.f_blocks && !space.f_bavail;
    snprintf(path, sizeof path, "%s/.%s", root(), id);
    FILE *file = fopen(path, "re");
    if (file) {
        words[fread(words, 1, sizeof words - 1, file)] = 0;
        fclose(file);
    }
    status.exiting = has_word(words, "exiting");
    status.full = status.full || has_word(words, "full");
    status.writable = writes && !status.exiting && !has_word(words, "readonly");
    return status;
}

GList *ax_storage_list(GError **error)
{
    GList *list = NULL;
    if (is_denied(error))
        return NULL;
    for (size_t n = 0; n < sizeof known / sizeof *known; n++)
        if (status_of(known[n]).available)
            list = g_list_append(list, g_strdup(known[n]));
    return list;
}

gboolean ax_storage_get_status(gchar *storage_id, AXStorageStatusEventId event, GError **error)
{
    if (is_denied(error))
        return FALSE;
    if (!is_known(storage_id) || event >= AX_STORAGE_STATUS_EVENT_ID_END) {
        fail(error, AX_STORAGE_ERROR_INVALID_ARGUMENT, "there is no such storage, or no such status");
        return FALSE;
    }
    struct status status = status_of(storage_id);
    switch (event) {
    case AX_STORAGE_AVAILABLE_EVENT: return status.available;
    case AX_STORAGE_EXITING_EVENT: return status.exiting;
    case AX_STORAGE_WRITABLE_EVENT: return status.writable;
    default: return status.full;
    }
}

struct subscription {
    struct subscription *next;
    guint number;
    gchar *id;
    AXStorageSubscriptionCallback callback;
    gpointer data;
    struct status last;
    bool told;
    guint source;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct subscription *first;
static guint last_number;

/* Called in the context's thread. The first time, it always calls back: the program then asks how the storage is. */
static gboolean look(gpointer data)
{
    struct subscription *subscription = data;
    struct status status = status_of(subscription->id);
    bool changed = !subscription->told || memcmp(&status, &subscription->last, sizeof status) != 0;
    subscription->last = status;
    subscription->told = true;
    if (changed)
        subscription->callback(subscription->id, subscription->data, NULL);
    return TRUE;
}

static void free_subscription(gpointer data)
{
    struct subscription *subscription = data;
    g_free(subscription->id);
    g_free(subscription);
}

guint ax_storage_subscribe(gchar *storage_id, AXStorageSubscriptionCallback callback, gpointer user_data, GError **error)
{
    if (is_denied(error))
        return 0;
    if (!is_known(storage_id) || !callback) {
        fail(error, AX_STORAGE_ERROR_SUBSCRIPTION, "there is no such storage");
        return 0;
    }
    struct subscription *subscription = g_malloc0(sizeof *subscription);
    subscription->id = g_strdup(storage_id);
    subscription->callback = callback;
    subscription->data = user_data;
    pthread_mutex_lock(&lock);
    guint number = subscription->number = ++last_number;
    subscription->next = first;
    first = subscription;
    subscription->source = g_timeout_add_full(G_PRIORITY_DEFAULT, PERIOD_MS, look, subscription, free_subscription);
    pthread_mutex_unlock(&lock);
    return number;
}

gboolean ax_storage_unsubscribe(guint id, GError **error)
{
    guint source = 0;
    pthread_mutex_lock(&lock);
    for (struct subscription **place = &first; *place; place = &(*place)->next)
        if ((*place)->number == id) {
            source = (*place)->source;
            *place = (*place)->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    if (!source) {
        fail(error, AX_STORAGE_ERROR_UNSUBSCRIBE, "there is no such subscription");
        return FALSE;
    }
    g_source_remove(source);
    return TRUE;
}

/* What an asynchronous call has to do in the context's thread. */
struct call {
    AXStorage *storage;
    AXStorageSetupCallback setup;
    AXStorageReleaseCallback release;
    gpointer data;
};

static void call_later(struct call call, GSourceFunc function)
{
    struct call *copy = g_malloc0(sizeof *copy);
    *copy = call;
    g_timeout_add_full(G_PRIORITY_DEFAULT, 0, function, copy, g_free);
}

static void free_storage(AXStorage *storage)
{
    g_free(storage->id);
    g_free(storage);
}

static const char *app_name(void)
{
    const char *name = getenv("INCAMERA_APP_NAME");
    return name && *name ? name : program_invocation_short_name;
}

static void area_of(const AXStorage *storage, char *path, size_t size)
{
    snprintf(path, size, "%s/%s/areas/%s", root(), storage->id, app_name());
}

/* Make the app's own folder. */
static bool make_area(const AXStorage *storage)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s/areas", root(), storage->id);
    mkdir(path, 0755);
    area_of(storage, path, sizeof path);
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static gboolean finish_setup(gpointer data)
{
    struct call *call = data;
    GError *error = NULL;
    struct status status = status_of(call->storage->id);
    if (!status.writable)
        fail(&error, AX_STORAGE_ERROR_SETUP, "the storage is not writable");
    else if (!make_area(call->storage))
        fail(&error, AX_STORAGE_ERROR_SETUP, "the app's folder cannot be made");
    if (error) {
        free_storage(call->storage);
        call->storage = NULL;
    }
    /* The callback owns the error. */
    call->setup(call->storage, call->data, error);
    return FALSE;
}

gboolean ax_storage_setup_async(gchar *storage_id, AXStorageSetupCallback callback, gpointer user_data, GError **error)
{
    if (is_denied(error))
        return FALSE;
    if (!is_known(storage_id) || !callback) {
        fail(error, AX_STORAGE_ERROR_INVALID_ARGUMENT, "there is no such storage");
        return FALSE;
    }
    AXStorage *storage = g_malloc0(sizeof *storage);
    storage->id = g_strdup(storage_id);
    call_later((struct call){.storage = storage, .setup = callback, .data = user_data}, finish_setup);
    return TRUE;
}

static gboolean finish_release(gpointer data)
{
    struct call *call = data;
    free_storage(call->storage);
    call->release(call->data, NULL);
    return FALSE;
}

static bool is_usable(const AXStorage *storage, GError **error)
{
    if (storage && !storage->released)
        return true;
    fail(error, AX_STORAGE_ERROR_INVALID_ARGUMENT, "the storage is not set up");
    return false;
}

gboolean ax_storage_release_async(AXStorage *storage, AXStorageReleaseCallback callback, gpointer user_data,
                                  GError **error)
{
    if (!is_usable(storage, error))
        return FALSE;
    if (!callback) {
        fail(error, AX_STORAGE_ERROR_INVALID_ARGUMENT, "a release needs a callback");
        return FALSE;
    }
    storage->released = true;
    call_later((struct call){.storage = storage, .release = callback, .data = user_data}, finish_release);
    return TRUE;
}

gchar *ax_storage_get_path(AXStorage *storage, GError **error)
{
    char path[512];
    if (!is_usable(storage, error))
        return NULL;
    area_of(storage, path, sizeof path);
    return g_strdup(path);
}

gchar *ax_storage_get_storage_id(AXStorage *storage, GError **error)
{
    return is_usable(storage, error) ? g_strdup(storage->id) : NULL;
}

AXStorageType ax_storage_get_type(AXStorage *storage, GError **error)
{
    if (!is_usable(storage, error))
        return UNKNOWN_TYPE;
    return strcmp(storage->id, "SD_DISK") == 0 ? LOCAL_TYPE : EXTERNAL_TYPE;
}
