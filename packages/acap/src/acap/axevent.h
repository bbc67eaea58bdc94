/* The camera's library for events, opened at run time. It calls back in the thread that serves GLib's default main
   context. The callbacks here take no Python: they put what comes into a queue. */
#ifndef ACAP_AXEVENT_H
#define ACAP_AXEVENT_H

#include "axevent_functions.h"
#include "glib.h"

typedef struct _AXEvent AXEvent;
typedef struct _AXEventHandler AXEventHandler;
typedef struct _AXEventKeyValueSet AXEventKeyValueSet;
typedef struct _GDateTime GDateTime;
typedef unsigned AXEventValueType;
typedef void (*AXSubscriptionCallback)(guint subscription, AXEvent *event, gpointer user_data);
typedef void (*AXDeclarationCompleteCallback)(guint declaration, gpointer user_data);
typedef gboolean (*GSourceFunc)(gpointer data);
typedef void (*GDestroyNotify)(gpointer data);

#define EVENT_GLIB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, g_error_free, (GError * error), "9.80") \
    FUNCTION(void, g_free, (gpointer memory), "9.80") \
    FUNCTION(int64_t, g_date_time_to_unix, (GDateTime * time), "9.80") \
    FUNCTION(gint, g_date_time_get_microsecond, (GDateTime * time), "9.80") \
    FUNCTION(guint, g_timeout_add_full, \
             (gint priority, guint milliseconds, GSourceFunc function, gpointer data, GDestroyNotify notify), "9.80")

static struct {
    AXEVENT_FUNCTIONS(LIBRARY_POINTER)
    EVENT_GLIB_FUNCTIONS(LIBRARY_POINTER)
} axevent;

static const struct library_function axevent_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&axevent.name - (char *)&axevent)},
    AXEVENT_FUNCTIONS(FUNCTION)
    EVENT_GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define AXEVENT_COUNT (sizeof axevent_table / sizeof *axevent_table)

/* Open the library. Returns NULL, or what is said against it. */
static const char *axevent_open(const char *soname)
{
    return library_open(soname, &axevent, axevent_table, AXEVENT_COUNT);
}

/* The first function of the library that is missing, or NULL; *SINCE: the AXIS OS that has it. */
static const char *axevent_lacks(const char **since)
{
    for (size_t number = 0; number < AXEVENT_COUNT; number++) {
        const char *names[] = {axevent_table[number].name, NULL};
        if (library_lacks(names, &axevent, axevent_table, AXEVENT_COUNT)) {
            *since = axevent_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

static void event_came(guint subscription, AXEvent *event, gpointer user_data)
{
    (void)subscription;
    pthread_mutex_lock(&queues);
    int taken = queue_put(user_data, event, NULL, NULL);
    pthread_mutex_unlock(&queues);
    if (!taken)
        axevent.ax_event_free(event);
}

static void event_declared(guint declaration, gpointer user_data)
{
    (void)declaration;
    pthread_mutex_lock(&queues);
    queue_put(user_data, NULL, NULL, NULL);
    pthread_mutex_unlock(&queues);
}

/* In GLib's thread: no callback runs now, and none will come. */
static gboolean event_free_queue(gpointer data)
{
    acap_queue *queue = data;
    while (queue->first) {
        if (queue->first->event)
            axevent.ax_event_free(queue->first->event);
        queue->first = queue_next(queue->first);
    }
    free(queue);
    return 0;
}

/* Close a queue for which no new callbacks come. */
static void event_end_queue(acap_queue *queue)
{
    queue_close(queue);
    axevent.g_timeout_add_full(0, 0, event_free_queue, queue, NULL);
}

static gboolean event_subscribe(AXEventHandler *handler, AXEventKeyValueSet *set, guint *number, acap_queue *queue,
                                GError **error)
{
    return axevent.ax_event_handler_subscribe(handler, set, number, event_came, queue, error);
}

static gboolean event_declare(AXEventHandler *handler, AXEventKeyValueSet *set, gboolean stateless, guint *number,
                              acap_queue *queue, GError **error)
{
    return axevent.ax_event_handler_declare(handler, set, stateless, number, event_declared, queue, error);
}

/* Microseconds since 1970. The time belongs to the event. */
static int64_t event_time(AXEvent *event)
{
    GDateTime *time = axevent.ax_event_get_time_stamp2(event);
    return time ? axevent.g_date_time_to_unix(time) * 1000000 + axevent.g_date_time_get_microsecond(time) : 0;
}

#endif
