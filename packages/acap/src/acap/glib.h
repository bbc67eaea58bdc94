/* GLib's names for C types, what acap calls of it, and what takes callbacks out of its thread: a queue with a file
   descriptor that is readable when something is in it. */
#ifndef ACAP_GLIB_H
#define ACAP_GLIB_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "library.h"

typedef int gboolean;
typedef int gint;
typedef unsigned guint;
typedef char gchar;
typedef double gdouble;
typedef void *gpointer;
typedef const void *gconstpointer;

typedef struct {
    uint32_t domain;
    int code;
    char *message;
} GError;

typedef struct _GList {
    void *data;
    struct _GList *next, *prev;
} GList;

/* What is on its way from GLib's thread to the program. */
typedef struct queue_item {
    struct queue_item *next;
    void *event;
    char *name, *value;
} queue_item;

typedef struct acap_queue {
    struct acap_queue *next;
    int fd;
    queue_item *first;
} acap_queue;

/* One for all queues of a module: it is held for moments only. */
static pthread_mutex_t queues = PTHREAD_MUTEX_INITIALIZER;

static acap_queue *queue_new(void)
{
    acap_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->fd >= 0)
        return queue;
    free(queue);
    return NULL;
}

/* Add an item. The lock is held. Returns whether the queue takes it. */
static int queue_put(acap_queue *queue, void *event, const char *name, const char *value)
{
    uint64_t one = 1;
    queue_item *item = queue->fd < 0 ? NULL : calloc(1, sizeof *item);
    if (!item)
        return 0;
    item->event = event;
    item->name = name ? strdup(name) : NULL;
    item->value = value ? strdup(value) : NULL;
    queue_item **last = &queue->first;
    while (*last)
        last = &(*last)->next;
    *last = item;
    if (write(queue->fd, &one, sizeof one) < 0) {
        /* It is readable anyway. */
    }
    return 1;
}

/* Take all items. The file descriptor is then no longer readable. */
static queue_item *queue_take(acap_queue *queue)
{
    uint64_t count;
    pthread_mutex_lock(&queues);
    queue_item *first = queue->first;
    queue->first = NULL;
    if (queue->fd >= 0 && read(queue->fd, &count, sizeof count) < 0) {
        /* It was not. */
    }
    pthread_mutex_unlock(&queues);
    return first;
}

/* Free an item, and return the one after it. */
static queue_item *queue_next(queue_item *item)
{
    queue_item *next = item->next;
    free(item->name);
    free(item->value);
    free(item);
    return next;
}

/* Close the file descriptor. Nothing is put in any more. */
static void queue_close(acap_queue *queue)
{
    pthread_mutex_lock(&queues);
    close(queue->fd);
    queue->fd = -1;
    pthread_mutex_unlock(&queues);
}

#endif
