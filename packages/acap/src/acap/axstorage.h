/* The camera's library for SD cards and network shares, opened at run time.

   It calls back in the thread that serves GLib's default main context. The callbacks here take no Python: they write to a
   file descriptor that the program waits for. */
#ifndef ACAP_AXSTORAGE_H
#define ACAP_AXSTORAGE_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "axstorage_functions.h"
#include "library.h"

/* GLib's names for C types. */
typedef int gboolean;
typedef unsigned guint;
typedef char gchar;
typedef void *gpointer;

typedef struct {
    uint32_t domain;
    int code;
    char *message;
} GError;

typedef struct _GList {
    void *data;
    struct _GList *next, *prev;
} GList;

typedef struct _AXStorage AXStorage;
typedef int AXStorageType;
typedef int AXStorageStatusEventId;
typedef void (*AXStorageSubscriptionCallback)(gchar *storage_id, gpointer user_data, GError *error);
typedef void (*AXStorageSetupCallback)(AXStorage *storage, gpointer user_data, GError *error);
typedef void (*AXStorageReleaseCallback)(gpointer user_data, GError *error);

#define STORAGE_GLIB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, g_error_free, (GError * error), "9.80") \
    FUNCTION(void, g_free, (gpointer memory), "9.80") \
    FUNCTION(void, g_list_free, (GList * list), "9.80")

static struct {
    AXSTORAGE_FUNCTIONS(LIBRARY_POINTER)
    STORAGE_GLIB_FUNCTIONS(LIBRARY_POINTER)
} axstorage;

static const struct library_function axstorage_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&axstorage.name - (char *)&axstorage)},
    AXSTORAGE_FUNCTIONS(FUNCTION)
    STORAGE_GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define AXSTORAGE_COUNT (sizeof axstorage_table / sizeof *axstorage_table)

/* Open the library. Returns NULL, or what is said against it. */
static const char *axstorage_open(const char *soname)
{
    return library_open(soname, &axstorage, axstorage_table, AXSTORAGE_COUNT);
}

/* The first function of the library that is missing, or NULL; *SINCE: the AXIS OS that has it. */
static const char *axstorage_lacks(const char **since)
{
    for (size_t number = 0; number < AXSTORAGE_COUNT; number++) {
        const char *names[] = {axstorage_table[number].name, NULL};
        if (library_lacks(names, &axstorage, axstorage_table, AXSTORAGE_COUNT)) {
            *since = axstorage_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

/* What the program waits for: the end of a call, or changes. It is shared with callbacks, and the last one frees it. */
typedef struct {
    int fd, owners, done, code;
    AXStorage *storage;
    char message[256];
} storage_wait;

static storage_wait *storage_new_wait(void)
{
    storage_wait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return NULL;
    wait->owners = 1;
    wait->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wait->fd >= 0)
        return wait;
    free(wait);
    return NULL;
}

static void storage_leave(storage_wait *wait)
{
    if (__atomic_sub_fetch(&wait->owners, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(wait->fd);
    free(wait);
}

static void storage_wake(storage_wait *wait)
{
    uint64_t one = 1;
    if (write(wait->fd, &one, sizeof one) < 0) {
        /* It cannot overflow. */
    }
}

static void storage_finish(storage_wait *wait, GError *error)
{
    if (error) {
        wait->code = error->code;
        snprintf(wait->message, sizeof wait->message, "%s", error->message ? error->message : "unknown error");
        axstorage.g_error_free(error);
    }
}

static void storage_nothing(gpointer user_data, GError *error)
{
    (void)user_data;
    if (error)
        axstorage.g_error_free(error);
}

enum { STORAGE_WAITS, STORAGE_DONE, STORAGE_LEFT };

static void storage_set_up(AXStorage *storage, gpointer user_data, GError *error)
{
    storage_wait *wait = user_data;
    int waits = STORAGE_WAITS;
    if (!storage && !error)
        snprintf(wait->message, sizeof wait->message, "the library does not say why");
    storage_finish(wait, error);
    wait->storage = storage;
    /* Nobody waits any longer: what was set up must be released. */
    if (!__atomic_compare_exchange_n(&wait->done, &waits, STORAGE_DONE, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) && storage)
        axstorage.ax_storage_release_async(storage, storage_nothing, NULL, NULL);
    storage_wake(wait);
    storage_leave(wait);
}

/* Returns whether the setup is done. If not, nobody waits for it any longer. */
static int storage_leave_setup(storage_wait *wait)
{
    int waits = STORAGE_WAITS;
    return !__atomic_compare_exchange_n(&wait->done, &waits, STORAGE_LEFT, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static int storage_is_done(const storage_wait *wait)
{
    return __atomic_load_n(&wait->done, __ATOMIC_ACQUIRE) == STORAGE_DONE;
}

static void storage_released(gpointer user_data, GError *error)
{
    storage_wait *wait = user_data;
    storage_finish(wait, error);
    __atomic_store_n(&wait->done, STORAGE_DONE, __ATOMIC_RELEASE);
    storage_wake(wait);
    storage_leave(wait);
}

/* A subscription's callback may be on its way when it ends: what it reads is never freed. */
static pthread_mutex_t storage_watches = PTHREAD_MUTEX_INITIALIZER;

static void storage_changed(gchar *storage_id, gpointer user_data, GError *error)
{
    storage_wait *wait = user_data;
    (void)storage_id;
    storage_nothing(NULL, error);
    pthread_mutex_lock(&storage_watches);
    if (wait->fd >= 0)
        storage_wake(wait);
    pthread_mutex_unlock(&storage_watches);
}

static void storage_end_watch(storage_wait *wait)
{
    pthread_mutex_lock(&storage_watches);
    close(wait->fd);
    wait->fd = -1;
    pthread_mutex_unlock(&storage_watches);
}

static void storage_forget(AXStorage *storage)
{
    axstorage.ax_storage_release_async(storage, storage_nothing, NULL, NULL);
}

static int storage_set_up_async(gchar *id, storage_wait *wait, GError **error)
{
    __atomic_add_fetch(&wait->owners, 1, __ATOMIC_RELAXED);
    if (axstorage.ax_storage_setup_async(id, storage_set_up, wait, error))
        return 1;
    storage_leave(wait);
    return 0;
}

static int storage_release_async(AXStorage *storage, storage_wait *wait, GError **error)
{
    __atomic_add_fetch(&wait->owners, 1, __ATOMIC_RELAXED);
    if (axstorage.ax_storage_release_async(storage, storage_released, wait, error))
        return 1;
    storage_leave(wait);
    return 0;
}

static unsigned storage_subscribe(gchar *id, storage_wait *wait, GError **error)
{
    return axstorage.ax_storage_subscribe(id, storage_changed, wait, error);
}

#endif
