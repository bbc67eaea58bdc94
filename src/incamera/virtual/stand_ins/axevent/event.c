/* Events. */
#include "objects.h"

#include <time.h>

static gint64 now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (gint64)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static AXEvent *make_event(const AXEventKeyValueSet *set, gint64 microseconds)
{
    AXEvent *event = g_malloc0(sizeof *event);
    event->set = copy_set(set);
    event->microseconds = microseconds;
    event->value.tv_sec = (glong)(microseconds / 1000000);
    event->value.tv_usec = (glong)(microseconds % 1000000);
    GDateTime *seconds = g_date_time_new_from_unix_utc(microseconds / 1000000);
    if (seconds) {
        event->time = g_date_time_add(seconds, microseconds % 1000000);
        g_date_time_unref(seconds);
    }
    return event;
}

AXEvent *ax_event_new(AXEventKeyValueSet *key_value_set, GTimeVal *time_stamp)
{
    if (!key_value_set)
        return NULL;
    return make_event(key_value_set, time_stamp ? (gint64)time_stamp->tv_sec * 1000000 + time_stamp->tv_usec : now());
}

AXEvent *ax_event_new2(AXEventKeyValueSet *key_value_set, GDateTime *time_stamp)
{
    if (!key_value_set)
        return NULL;
    return make_event(key_value_set, time_stamp ? g_date_time_to_unix(time_stamp) * 1000000 +
                                                      g_date_time_get_microsecond(time_stamp)
                                                : now());
}

void ax_event_free(AXEvent *event)
{
    if (!event)
        return;
    ax_event_key_value_set_free(event->set);
    if (event->time)
        g_date_time_unref(event->time);
    g_free(event);
}

const AXEventKeyValueSet *ax_event_get_key_value_set(AXEvent *event)
{
    return event ? event->set : NULL;
}

const GTimeVal *ax_event_get_time_stamp(AXEvent *event)
{
    return event ? &event->value : NULL;
}

GDateTime *ax_event_get_time_stamp2(AXEvent *event)
{
    return event ? event->time : NULL;
}
