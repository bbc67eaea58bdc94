/* All streams of this program, and events, which the service writes into a pipe that the program waits for. */
#include "objects.h"

static VdoStream *first_stream;
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

/* Open the pipe of the stream's events: the stream 0 is told of all streams. */
bool attach_events(VdoStream *self, GError **error)
{
    if (self->event_fd >= 0)
        return true;
    if (self->facts.id && !self->own) {
        fail(error, VDO_ERROR_NOT_CONTROLLED, "the stream is not this program's own");
        return false;
    }
    struct line_message *answer = ask(self->line, self->own ? VDO_EVENTS : VDO_WATCH, NULL, 0, error);
    if (!answer)
        return false;
    self->event_fd = line_take_fd(answer, 0);
    line_free(answer);
    if (self->event_fd < 0)
        fail(error, VDO_ERROR_FAILED, "the stream has no event descriptor");
    return self->event_fd >= 0;
}

void close_events(VdoStream *self)
{
    if (self->event_fd >= 0)
        close(self->event_fd);
    self->event_fd = -1;
}

void add_stream(VdoStream *self)
{
    lock_streams();
    self->next = first_stream;
    first_stream = self;
    unlock_streams();
}

void remove_stream(VdoStream *self)
{
    lock_streams();
    for (VdoStream **at = &first_stream; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
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
        if (stream->facts.id == id && is_kept(stream))
            found = stream;
    unlock_streams();
    return found;
}

gint vdo_stream_get_event_fd(VdoStream *self, GError **error)
{
    return attach_events(self, error) ? self->event_fd : -1;
}

VdoMap *vdo_stream_get_event(VdoStream *self, GError **error)
{
    struct vdo_event event;
    ssize_t count = self->event_fd < 0 ? -1 : read(self->event_fd, &event, sizeof event);
    if (count != (ssize_t)sizeof event) {
        fail(error, count == 0 ? VDO_ERROR_INTERFACE_DOWN : VDO_ERROR_NO_EVENT,
             count == 0 ? "the video service has been stopped" : "there is no event");
        return NULL;
    }
    VdoMap *map = vdo_map_new();
    vdo_map_set_uint32(map, "event", event.kind);
    vdo_map_set_uint32(map, "id", event.id);
    return map;
}
