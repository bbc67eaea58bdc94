/* What comes from the message broker or the Data Hub: a queue with a file descriptor that is readable when something is
   in it. The libraries call back in threads of their own. The callbacks here take no Python. */
#ifndef ACAP_MESSAGES_H
#define ACAP_MESSAGES_H

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "library.h"

typedef struct message_item {
    struct message_item *next;
    char *topic;
    double time, stamp; /* seconds since 1970 when it came; the library's own time, or -1 */
    int historical;
    size_t size;
    char data[];
} message_item;

/* A late callback may still have it, so that it is never freed. It is small once it is closed. */
typedef struct message_queue {
    struct message_queue *next;
    int fd;
    unsigned count, most, dropped;
    unsigned done; /* answers that have come */
    int failed, code;
    char text[256]; /* why it failed */
    message_item *first, **last;
} message_queue;

/* One for all queues of a module: it is held for moments only. */
static pthread_mutex_t message_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t message_answer = PTHREAD_COND_INITIALIZER;
static message_queue *message_queues;

static message_queue *message_queue_new(unsigned most)
{
    message_queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    queue->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->fd < 0) {
        free(queue);
        return NULL;
    }
    queue->most = most;
    queue->last = &queue->first;
    pthread_mutex_lock(&message_mutex);
    queue->next = message_queues;
    message_queues = queue;
    pthread_mutex_unlock(&message_mutex);
    return queue;
}

static void message_wake(message_queue *queue)
{
    uint64_t one = 1;
    if (queue->fd >= 0 && write(queue->fd, &one, sizeof one) < 0) {
        /* It is readable anyway. */
    }
}

static message_item *message_drop(message_queue *queue)
{
    message_item *item = queue->first;
    queue->first = item->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return item;
}

/* Free an item, and return the one after it. */
static message_item *message_next(message_item *item)
{
    message_item *next = item->next;
    free(item->topic);
    free(item);
    return next;
}

/* Add a message. The oldest one is dropped when there are too many. */
static void message_put(message_queue *queue, const char *topic, const void *data, size_t size, double stamp,
                        int historical)
{
    struct timespec now;
    message_item *item = malloc(sizeof *item + size);
    if (!item)
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    item->next = NULL;
    item->topic = strdup(topic ? topic : "");
    item->time = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
    item->stamp = stamp;
    item->historical = historical;
    item->size = size;
    memcpy(item->data, data, size);
    pthread_mutex_lock(&message_mutex);
    if (queue->fd < 0) {
        message_next(item);
    } else {
        *queue->last = item;
        queue->last = &item->next;
        if (++queue->count > queue->most) {
            message_next(message_drop(queue));
            queue->dropped++;
        }
        message_wake(queue);
    }
    pthread_mutex_unlock(&message_mutex);
}

/* Take all messages. The file descriptor is then no longer readable. */
static message_item *message_take(message_queue *queue)
{
    uint64_t count;
    pthread_mutex_lock(&message_mutex);
    message_item *first = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    queue->count = 0;
    if (queue->fd >= 0 && read(queue->fd, &count, sizeof count) < 0) {
        /* It was not. */
    }
    pthread_mutex_unlock(&message_mutex);
    return first;
}

static void message_close(message_queue *queue)
{
    pthread_mutex_lock(&message_mutex);
    for (message_queue **at = &message_queues; *at; at = &(*at)->next)
        if (*at == queue) {
            *at = queue->next;
            break;
        }
    close(queue->fd);
    queue->fd = -1;
    while (queue->first)
        message_next(message_drop(queue));
    pthread_mutex_unlock(&message_mutex);
}

#endif
