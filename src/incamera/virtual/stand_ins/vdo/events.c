/* All streams of this program, and events: one byte for each in a pipe that the program waits for. */
#include "objects.h"

#include <fcntl.h>
#include <unistd.h>

struct event {
    guint32 kind, id;
};

static VdoStream *first_stream;
static VdoStream *watchers[16];
static int streams_lock;

static void lock_streams(void)
{
    while (__atomic_exchange_n(&streams_lock, 1, __ATOMIC_ACQUIRE))
        ;
}

static void unlock_streams(void)
{
    __atomic_store_n(&streams_lock, 0, __ATOMIC_RELEASE);
}

/* A full pipe loses the event: nobody reads. */
static void send_event(VdoStream *to, guint kind, guint id)
{
    struct event event = {kind, id};
    if (to->event_writer >= 0 && write(to->event_writer, &event, sizeof event) < 0)
        to->lost++;
}

static void tell_watchers(guint kind, guint id)
{
    for (guint number = 0; number < sizeof watchers / sizeof *watchers; number++)
        if (watchers[number])
            send_event(watchers[number], kind, id);
}

/* Open the stream's pipe of events. The stream 0 is told which streams there are. */
bool open_events(VdoStream *self)
{
    gint ends[2];
    if (self->event_fd >= 0)
        return true;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    self->event_fd = ends[0];
    self->event_writer = ends[1];
    if (self->id != 0)
        return true;
    lock_streams();
    for (guint number = 0; number < sizeof watchers / sizeof *watchers; number++)
        if (!watchers[number]) {
            watchers[number] = self;
            break;
        }
    for (VdoStream *stream = first_stream; stream; stream = stream->next)
        send_event(self, VDO_STREAM_EVENT_EXISTING, stream->id);
    unlock_streams();
    return true;
}

void close_events(VdoStream *self)
{
    lock_streams();
    for (guint number = 0; number < sizeof watchers / sizeof *watchers; number++)
        if (watchers[number] == self)
            watchers[number] = NULL;
    unlock_streams();
    if (self->event_fd >= 0) {
        close(self->event_fd);
        close(self->event_writer);
    }
    self->event_fd = self->event_writer = -1;
}

/* Tell of an event of the stream's own. */
void tell_stream(VdoStream *self, guint kind)
{
    send_event(self, kind, self->id);
}

void add_stream(VdoStream *self)
{
    lock_streams();
    self->next = first_stream;
    first_stream = self;
    tell_watchers(VDO_STREAM_EVENT_CREATED, self->id);
    unlock_streams();
}

void remove_stream(VdoStream *self)
{
    lock_streams();
    for (VdoStream **at = &first_stream; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
            tell_watchers(VDO_STREAM_EVENT_CLOSED, self->id);
            break;
        }
    unlock_streams();
}

/* Take a reference, unless another thread has just given the last one back. */
static bool is_kept(VdoStream *stream)
{
    guint references = __atomic_load_n(&stream->object.references, __ATOMIC_ACQUIRE);
    while (references > 0)
        if (__atomic_compare_exchange_n(&stream->object.references, &references, references + 1, false,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return true;
    return false;
}

/* The stream ID of this program, with a reference for the caller. */
VdoStream *find_stream(guint id)
{
    VdoStream *found = NULL;
    lock_streams();
    for (VdoStream *stream = first_stream; stream && !found; stream = stream->next)
        if (stream->id == id && is_kept(stream))
            found = stream;
    unlock_streams();
    return found;
}

gint vdo_stream_get_event_fd(VdoStream *self, GError **error)
{
    if (!open_events(self)) {
        fail(error, VDO_ERROR_FAILED, "the stream has no event descriptor");
        return -1;
    }
    return self->event_fd;
}

VdoMap *vdo_stream_get_event(VdoStream *self, GError **error)
{
    struct event event;
    if (self->event_fd < 0 || read(self->event_fd, &event, sizeof event) != (ssize_t)sizeof event) {
        fail(error, VDO_ERROR_NO_EVENT, "there is no event");
        return NULL;
    }
    VdoMap *map = vdo_map_new();
    vdo_map_set_uint32(map, "event", event.kind);
    vdo_map_set_uint32(map, "id", event.id);
    return map;
}
