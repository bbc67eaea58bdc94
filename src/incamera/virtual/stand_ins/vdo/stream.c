/* VdoStream. No thread draws the frames: each call first does what the camera would have done since the last.

   At each moment of capture, a free slot gets the frame. Without a free slot the frame is lost, and its number is missing.
   The stream's file descriptor is a timer, set to the next moment that has something to do. */
#include "objects.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/time.h>
#include <unistd.h>

#define MOST_STREAMS 8
static guint streams, last_id, creations_to_fail;

DEFINE_TYPE(VdoStream, vdo_stream)

static void stop(VdoStream *self)
{
    self->running = false;
    timerfd_settime(self->timer, 0, &(struct itimerspec){0}, NULL);
}

static void free_slot(struct slot *slot)
{
    if (slot->data)
        munmap(slot->data, slot->capacity);
    if (slot->fd >= 0)
        close(slot->fd);
    *slot = (struct slot){.fd = -1};
}

static void vdo_stream_finalize(GObject *object)
{
    VdoStream *self = (VdoStream *)object;
    if (self->counted)
        streams--;
    for (guint number = 0; number < self->slot_count; number++)
        free_slot(&self->slots[number]);
    if (self->timer > 0)
        close(self->timer);
    if (self->event_fd > 0)
        close(self->event_fd);
    if (self->settings)
        g_object_unref(self->settings);
}

static guint round_up(guint value, guint step)
{
    return (value + step - 1) / step * step;
}

static bool choose_geometry(VdoStream *self, GError **error)
{
    struct geometry *geometry = &self->geometry;
    VdoPair32u none = {.val = {0, 0}};
    VdoPair32u size = vdo_map_get_pair32u(self->settings, "resolution", none);
    geometry->width = vdo_map_get_uint32(self->settings, "width", size.w);
    geometry->height = vdo_map_get_uint32(self->settings, "height", size.h);
    if (geometry->width == 0 && geometry->height == 0)
        geometry->width = 1280, geometry->height = 720;
    if (!fits_channel(geometry->width, geometry->height) || geometry->width < 128 || geometry->height < 32) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "the camera has no such resolution");
        return false;
    }
    /* The nearest size that the image pipeline can do. */
    geometry->width &= ~7u;
    geometry->height &= ~1u;
    geometry->format = vdo_map_get_uint32(self->settings, "format", VDO_FORMAT_H264);
    const char *subformat = vdo_map_get_string(self->settings, "subformat", NULL, "NV12");
    geometry->y800 = strcasecmp(subformat, "Y800") == 0;
    gsize rows = geometry->height;
    guint bytes = geometry->width;
    if (geometry->format == VDO_FORMAT_YUV && (geometry->y800 || strcasecmp(subformat, "NV12") == 0)) {
        rows += geometry->y800 ? 0 : rows / 2;
    } else if (geometry->format == VDO_FORMAT_RGB) {
        bytes *= 3;
    } else if (geometry->format == VDO_FORMAT_PLANAR_RGB) {
        rows *= 3;
    } else {
        fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in has the formats yuv, rgb and planar_rgb");
        return false;
    }
    guint step = setting("INCAMERA_VDO_PITCH_STEP", 1);
    geometry->pitch = round_up(bytes, step ? step : 1);
    geometry->size = rows * geometry->pitch;
    return true;
}

static struct slot *add_slot(VdoStream *self, GError **error)
{
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    struct slot slot = {.capacity = (self->geometry.size + page - 1) / page * page};
    slot.fd = self->slot_count < MOST_SLOTS ? memfd_create("vdo-buffer", MFD_CLOEXEC) : -1;
    if (slot.fd < 0 || ftruncate(slot.fd, (off_t)slot.capacity) != 0) {
        if (slot.fd >= 0)
            close(slot.fd);
        fail(error, VDO_ERROR_OOM, "there is no memory for a buffer");
        return NULL;
    }
    slot.data = mmap(NULL, slot.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, slot.fd, 0);
    if (slot.data == MAP_FAILED) {
        close(slot.fd);
        fail(error, VDO_ERROR_BUFFER_FAILURE, "a buffer cannot be mapped");
        return NULL;
    }
    self->slots[self->slot_count] = slot;
    return &self->slots[self->slot_count++];
}

static bool add_slots(VdoStream *self, GError **error)
{
    guint count = vdo_map_get_uint32(self->settings, "buffer.count", 3);
    count = setting("INCAMERA_VDO_BUFFERS", count ? count : 1);
    while (self->slot_count < count) {
        struct slot *slot = add_slot(self, error);
        if (!slot)
            return false;
        slot->state = FREE;
    }
    return true;
}

static bool is_refused(GError **error)
{
    if (creations_to_fail > 0 && setting("INCAMERA_VDO_DOWN_FOR", 0)) {
        creations_to_fail--;
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
        return true;
    }
    if (streams >= MOST_STREAMS) {
        fail(error, VDO_ERROR_BUSY, "the camera has no more streams");
        return true;
    }
    return false;
}

VdoStream *vdo_stream_new(VdoMap *settings, VdoBufferFinalizer fin, GError **error)
{
    if (is_refused(error))
        return NULL;
    VdoStream *self = g_object_new(vdo_stream_get_type(), NULL);
    streams++;
    self->counted = true;
    self->id = ++last_id;
    self->finalizer = fin;
    self->settings = vdo_map_new();
    if (settings)
        vdo_map_merge(self->settings, settings);
    self->blocking = vdo_map_get_boolean(self->settings, "socket.blocking", TRUE);
    self->timeout_ms = vdo_map_get_uint32(self->settings, "socket.timeout_ms", 0);
    self->rotation = vdo_map_get_uint32(self->settings, "rotation", 0);
    self->framerate = vdo_map_get_double(self->settings, "framerate", 30);
    if (self->framerate <= 0)
        self->framerate = 30;
    guint strategy = vdo_map_get_uint32(self->settings, "buffer.strategy", VDO_BUFFER_STRATEGY_INFINITE);
    self->explicit = strategy == VDO_BUFFER_STRATEGY_EXPLICIT;
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!choose_geometry(self, error) || (!self->explicit && !add_slots(self, error))) {
        g_object_unref(self);
        return NULL;
    }
    return self;
}

static VdoStream *new_with(const VdoMap *settings, guint input, VdoResolution resolution, const char *subformat,
                           GError **error)
{
    VdoMap *all = vdo_map_new();
    vdo_map_set_boolean(all, "socket.blocking", FALSE);
    vdo_map_set_string(all, "image.fit", "scale");
    vdo_map_set_uint32(all, "buffer.count", 2);
    vdo_map_set_uint32(all, "format", subformat ? VDO_FORMAT_YUV : VDO_FORMAT_RGB);
    if (subformat)
        vdo_map_set_string(all, "subformat", subformat);
    vdo_map_set_uint32(all, "input", input);
    vdo_map_set_pair32u(all, "resolution", (VdoPair32u){.res = resolution});
    if (settings)
        vdo_map_merge(all, settings);
    VdoStream *stream = vdo_stream_new(all, NULL, error);
    g_object_unref(all);
    return stream;
}

VdoStream *vdo_stream_rgb_new(const VdoMap *settings, guint32 input, VdoResolution resolution, GError **error)
{
    return new_with(settings, input, resolution, NULL, error);
}

VdoStream *vdo_stream_nv12_new(const VdoMap *settings, guint32 input, VdoResolution resolution, GError **error)
{
    return new_with(settings, input, resolution, "NV12", error);
}

VdoStream *vdo_stream_y800_new(const VdoMap *settings, guint32 input, VdoResolution resolution, GError **error)
{
    return new_with(settings, input, resolution, "Y800", error);
}

/* The stream 0, whose events tell of streams that come and go. Here, none do. */
VdoStream *vdo_stream_get(guint id, GError **error)
{
    if (id != 0) {
        fail(error, VDO_ERROR_NOT_FOUND, "the stand-in knows the stream 0 only");
        return NULL;
    }
    VdoStream *self = g_object_new(vdo_stream_get_type(), NULL);
    self->settings = vdo_map_new();
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    self->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self;
}

GList *vdo_stream_get_all(GError **error)
{
    (void)error;
    return NULL;
}

guint vdo_stream_get_id(VdoStream *self)
{
    return self->id;
}

static struct slot *slot_in(VdoStream *self, enum slot_state state)
{
    struct slot *first = NULL;
    for (guint number = 0; number < self->slot_count; number++) {
        struct slot *slot = &self->slots[number];
        if (slot->state == state && (!first || slot->sequence < first->sequence))
            first = slot;
    }
    return first;
}

static guint64 period(const VdoStream *self)
{
    guint64 microseconds = (guint64)(1000000 / self->framerate);
    return microseconds ? microseconds : 1;
}

static void capture(VdoStream *self, struct slot *slot, guint64 when)
{
    struct timeval wall;
    gettimeofday(&wall, NULL);
    slot->state = READY;
    slot->sequence = self->sequence;
    slot->timestamp = when;
    slot->wall_clock = (gint64)wall.tv_sec * 1000000 + wall.tv_usec - (gint64)(microseconds_now() - when);
    draw(slot, &self->geometry);
}

/* Set the timer to now if a frame is ready, else to the next capture that finds a free slot. */
static void set_timer(VdoStream *self)
{
    struct itimerspec when = {0};
    if (self->running && (self->down || slot_in(self, READY)))
        when.it_value.tv_nsec = 1;
    else if (self->running && slot_in(self, FREE)) {
        when.it_value.tv_sec = (time_t)(self->next_capture / 1000000);
        when.it_value.tv_nsec = (long)(self->next_capture % 1000000) * 1000;
    }
    timerfd_settime(self->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void catch_up(VdoStream *self)
{
    guint64 now = microseconds_now();
    while (self->running && self->next_capture <= now) {
        struct slot *slot = slot_in(self, FREE);
        if (slot) {
            capture(self, slot, self->next_capture);
            self->sequence++;
            self->next_capture += period(self);
            continue;
        }
        /* All buffers are in use: what is captured until now is lost. */
        guint64 count = (now - self->next_capture) / period(self) + 1;
        self->sequence += (guint)count;
        self->lost += (guint)count;
        self->next_capture += count * period(self);
    }
}

void release_slot(VdoStream *self, struct slot *slot)
{
    if (slot->explicit) {
        slot->explicit = NULL;
        free_slot(slot);
        slot->state = NOT_QUEUED;
        return;
    }
    catch_up(self);
    slot->state = FREE;
    set_timer(self);
}

gint vdo_stream_get_fd(VdoStream *self, GError **error)
{
    if (self->timer < 0)
        fail(error, VDO_ERROR_FAILED, "the stream has no file descriptor");
    return self->timer;
}

gint vdo_stream_get_event_fd(VdoStream *self, GError **error)
{
    if (self->event_fd < 0)
        fail(error, VDO_ERROR_FAILED, "the stream has no event descriptor");
    return self->event_fd;
}

VdoMap *vdo_stream_get_info(VdoStream *self, GError **error)
{
    (void)error;
    const struct geometry *geometry = &self->geometry;
    VdoMap *info = vdo_map_new();
    vdo_map_set_uint32(info, "format", geometry->format);
    if (geometry->format == VDO_FORMAT_YUV)
        vdo_map_set_string(info, "subformat", geometry->y800 ? "Y800" : "NV12");
    vdo_map_set_uint32(info, "width", geometry->width);
    vdo_map_set_uint32(info, "height", geometry->height);
    vdo_map_set_uint32(info, "pitch", geometry->pitch);
    vdo_map_set_pair32u(info, "resolution", (VdoPair32u){.val = {geometry->width, geometry->height}});
    vdo_map_set_double(info, "framerate", self->framerate);
    vdo_map_set_uint32(info, "rotation", self->rotation);
    vdo_map_set_uint32(info, "buffer.count", self->slot_count);
    vdo_map_set_string(info, "buffer.type", "memfd");
    vdo_map_set_uint64(info, "statistics.frame_count", self->sequence);
    vdo_map_set_uint64(info, "statistics.failed_frames", self->lost);
    return info;
}

VdoMap *vdo_stream_get_settings(VdoStream *self, GError **error)
{
    (void)error;
    VdoMap *settings = vdo_map_new();
    vdo_map_merge(settings, self->settings);
    return settings;
}

gboolean vdo_stream_set_settings(VdoStream *self, VdoMap *settings, GError **error)
{
    (void)error;
    vdo_map_merge(self->settings, settings);
    return TRUE;
}

gboolean vdo_stream_set_framerate(VdoStream *self, gdouble framerate, GError **error)
{
    bool dynamic = vdo_map_get_boolean(self->settings, "dynamic.framerate", FALSE) ||
                   vdo_map_get_uint32(self->settings, "zip.fps_mode", 0) == 1;
    if (!dynamic || !(framerate > 0)) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT,
             dynamic ? "the rate must be positive" : "the stream was made without dynamic.framerate");
        return FALSE;
    }
    catch_up(self);
    self->framerate = framerate;
    set_timer(self);
    return TRUE;
}

gboolean vdo_stream_attach(VdoStream *self, VdoMap *intent, GError **error)
{
    (void)self, (void)intent, (void)error;
    return TRUE;
}

gboolean vdo_stream_start(VdoStream *self, GError **error)
{
    if (self->id == 0) {
        fail(error, VDO_ERROR_NOT_CONTROLLED, "the stream 0 has no frames");
        return FALSE;
    }
    for (guint number = 0; number < self->slot_count; number++)
        if (self->slots[number].state == READY)
            self->slots[number].state = FREE;
    self->running = true;
    self->sequence = 0;
    self->next_capture = microseconds_now() + period(self);
    set_timer(self);
    return TRUE;
}

void vdo_stream_stop(VdoStream *self)
{
    catch_up(self);
    stop(self);
}

gboolean vdo_stream_play(VdoStream *self, VdoMap *settings, GError **error)
{
    (void)self, (void)settings;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in plays nothing");
    return FALSE;
}

VdoStream *vdo_stream_to_fd(VdoMap *settings, int data_fd, int meta_fd, GError **error)
{
    (void)settings, (void)data_fd, (void)meta_fd;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in writes no stream to a file");
    return NULL;
}

gboolean vdo_stream_encode(VdoStream *self, VdoBuffer **in_buf, VdoMap *settings, GError **error)
{
    (void)self, (void)in_buf, (void)settings;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in has no encoder");
    return FALSE;
}

gboolean vdo_stream_force_key_frame(VdoStream *self, GError **error)
{
    (void)self, (void)error;
    return TRUE;
}

VdoBuffer *vdo_stream_buffer_alloc(VdoStream *self, gpointer opaque, GError **error)
{
    if (!self->explicit) {
        fail(error, VDO_ERROR_NOT_SUPPORTED, "buffers are allocated with buffer.strategy EXPLICIT only");
        return NULL;
    }
    struct slot *slot = add_slot(self, error);
    if (slot)
        slot->explicit = frame_of_slot(self, slot, opaque);
    return slot ? slot->explicit : NULL;
}

gboolean vdo_stream_buffer_enqueue(VdoStream *self, VdoBuffer *buffer, GError **error)
{
    if (!buffer || buffer->stream != self || !buffer->slot->explicit) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "not a buffer that this stream has allocated");
        return FALSE;
    }
    catch_up(self);
    buffer->slot->state = FREE;
    set_timer(self);
    return TRUE;
}

gboolean vdo_stream_buffer_unref(VdoStream *self, VdoBuffer **buffer, GError **error)
{
    if (!buffer || !*buffer || (*buffer)->stream != self) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "not a buffer of this stream");
        return FALSE;
    }
    g_object_unref(*buffer);
    *buffer = NULL;
    return TRUE;
}

static VdoFrameType type_of(const struct geometry *geometry)
{
    if (geometry->format == VDO_FORMAT_YUV)
        return VDO_FRAME_TYPE_YUV;
    return geometry->format == VDO_FORMAT_RGB ? VDO_FRAME_TYPE_RGB : VDO_FRAME_TYPE_PLANAR_RGB;
}

static VdoBuffer *deliver(VdoStream *self, struct slot *slot)
{
    VdoFrame *frame = slot->explicit ? slot->explicit : frame_of_slot(self, slot, NULL);
    slot->state = HELD;
    frame->type = type_of(&self->geometry);
    frame->sequence = slot->sequence;
    frame->timestamp = slot->timestamp;
    frame->custom_timestamp = slot->wall_clock;
    frame->size = self->geometry.size;
    frame->taken = false;
    self->delivered++;
    return frame;
}

/* The service restarts after so many frames of a stream, if INCAMERA_VDO_RESTART_AFTER says so. */
static void maybe_go_down(VdoStream *self)
{
    guint limit = setting("INCAMERA_VDO_RESTART_AFTER", 0);
    if (limit && self->delivered >= limit && !self->down) {
        self->down = true;
        creations_to_fail = setting("INCAMERA_VDO_DOWN_FOR", 0);
    }
}

/* Wait for the timer. False when there was a signal, or no frame in time. */
static bool wait_for_timer(VdoStream *self, GError **error)
{
    struct pollfd ready = {.fd = self->timer, .events = POLLIN};
    int count = poll(&ready, 1, self->timeout_ms ? (int)self->timeout_ms : -1);
    if (count > 0)
        return true;
    if (count == 0)
        fail(error, VDO_ERROR_NO_DATA, "no frame in time");
    else
        fail(error, VDO_ERROR_IO, errno == EINTR ? "poll: EINTR: interrupted by a signal" : "poll failed");
    return false;
}

VdoBuffer *vdo_stream_get_buffer(VdoStream *self, GError **error)
{
    for (;;) {
        if (!self->running) {
            fail(error, VDO_ERROR_NOT_CONTROLLED, "the stream has not been started");
            return NULL;
        }
        maybe_go_down(self);
        catch_up(self);
        if (self->down) {
            set_timer(self);
            fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service has been stopped");
            return NULL;
        }
        struct slot *slot = slot_in(self, READY);
        VdoBuffer *buffer = slot ? deliver(self, slot) : NULL;
        set_timer(self);
        if (buffer)
            return buffer;
        if (!self->blocking) {
            fail(error, VDO_ERROR_NO_DATA, "there is no frame yet");
            return NULL;
        }
        if (!wait_for_timer(self, error))
            return NULL;
    }
}

VdoBuffer *vdo_stream_snapshot(VdoMap *settings, GError **error)
{
    VdoStream *stream = vdo_stream_new(settings, NULL, error);
    if (!stream)
        return NULL;
    VdoBuffer *buffer = NULL;
    struct slot *slot = stream->explicit ? NULL : &stream->slots[0];
    if (slot) {
        capture(stream, slot, microseconds_now());
        buffer = deliver(stream, slot);
        vdo_map_set_uint32(settings, "width", stream->geometry.width);
        vdo_map_set_uint32(settings, "height", stream->geometry.height);
    } else {
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "a snapshot has no buffer.strategy EXPLICIT");
    }
    g_object_unref(stream);
    return buffer;
}

VdoMap *vdo_stream_get_event(VdoStream *self, GError **error)
{
    (void)self;
    fail(error, VDO_ERROR_NO_EVENT, "there is no event");
    return NULL;
}
