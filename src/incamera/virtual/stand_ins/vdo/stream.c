/* VdoStream. No thread draws the frames: each call first does what the camera would have done since the last.

   At each moment of capture, a free slot gets the frame. Without a free slot the frame is lost, and its number is missing.
   The stream's file descriptor is a timer, set to the next moment that has something to do. */
#include "objects.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "faults.h"

static guint streams, last_id, creations_to_fail;
/* Increased when the service stops: streams of an earlier service have failed. */
static guint service = 1;
static unsigned long long restarts; /* of the fault video-restart */
static guint dropped_frames;        /* after each frame that is captured, so many are lost */

DEFINE_TYPE(VdoStream, vdo_stream)

/* Do what `incamera virtual fault` has set. Returns whether the service is down. */
static bool meet_faults(void)
{
    guint count = 0;
    bool exist = faults_exist();
    if (exist)
        fault_is_set("dropped-frames", &count);
    __atomic_store_n(&dropped_frames, count, __ATOMIC_RELAXED);
    if (fault_restarted("video-restart", &restarts))
        __atomic_add_fetch(&service, 1, __ATOMIC_RELAXED);
    return exist && fault_is_set("video-down", NULL);
}

static void stop(VdoStream *self)
{
    self->running = false;
    timerfd_settime(self->timer, 0, &(struct itimerspec){0}, NULL);
}

static void close_fd(gint fd)
{
    if (fd >= 0)
        close(fd);
}

static void vdo_stream_finalize(GObject *object)
{
    VdoStream *self = (VdoStream *)object;
    if (self->counted) {
        __atomic_sub_fetch(&streams, 1, __ATOMIC_RELAXED);
        remove_stream(self);
    }
    for (guint number = 0; number < self->slot_count; number++)
        free_slot(&self->slots[number]);
    g_free(self->scene.data);
    g_free(self->turned);
    g_free(self->drawn_over);
    end_h264(&self->h264);
    close_fd(self->timer);
    close_fd(self->memory);
    close_events(self);
    if (self->settings)
        g_object_unref(self->settings);
}

static VdoStream *new_stream(void)
{
    VdoStream *self = g_object_new(vdo_stream_get_type(), NULL);
    self->memory = self->event_fd = self->event_writer = -1;
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    self->settings = vdo_map_new();
    self->service = service;
    return self;
}

static bool is_refused(GError **error)
{
    if (is_denied(error))
        return true;
    if (meet_faults()) {
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
        return true;
    }
    if (fault_is_set("device-busy", NULL)) {
        fail(error, VDO_ERROR_BUSY, "other programs use all streams of the camera");
        return true;
    }
    if (fault_is_set("no-memory", NULL)) {
        fail(error, VDO_ERROR_OOM, "the camera has no memory for a stream");
        return true;
    }
    if (creations_to_fail > 0 && setting("INCAMERA_VDO_DOWN_FOR", 0)) {
        creations_to_fail--;
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
        return true;
    }
    if (streams >= setting("INCAMERA_VDO_STREAMS", 8)) {
        fail(error, VDO_ERROR_BUSY, "the camera has no more streams");
        return true;
    }
    return false;
}

static bool has_source(const VdoMap *settings)
{
    if (vdo_map_contains(settings, "input"))
        return vdo_map_get_uint32(settings, "input", 0) == 1;
    return has_channel(vdo_map_get_uint32(settings, "channel", 1));
}

/* What is turned or encoded is drawn elsewhere first. */
static void prepare_scene(VdoStream *self)
{
    bool encoded = is_encoded(self->geometry.format);
    if (encoded || self->rotation)
        self->scene.data = g_malloc0(self->scene_geometry.size);
    if (encoded && self->rotation)
        self->turned = g_malloc0(self->geometry.size);
    if (self->geometry.format == VDO_FORMAT_H264)
        start_h264(&self->h264, &self->geometry);
}

VdoStream *vdo_stream_new(VdoMap *settings, VdoBufferFinalizer fin, GError **error)
{
    if (is_refused(error))
        return NULL;
    VdoStream *self = new_stream();
    __atomic_add_fetch(&streams, 1, __ATOMIC_RELAXED);
    self->counted = true;
    self->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    self->finalizer = fin;
    if (settings)
        vdo_map_merge(self->settings, settings);
    self->blocking = vdo_map_get_boolean(self->settings, "socket.blocking", TRUE);
    self->timeout_ms = vdo_map_get_uint32(self->settings, "socket.timeout_ms", 0);
    self->camera_rotation = camera_rotation();
    self->rotation = vdo_map_get_uint32(self->settings, "rotation", self->camera_rotation);
    self->framerate = vdo_map_get_double(self->settings, "framerate", 30);
    if (self->framerate <= 0)
        self->framerate = 30;
    guint strategy = vdo_map_get_uint32(self->settings, "buffer.strategy", VDO_BUFFER_STRATEGY_INFINITE);
    self->explicit = strategy == VDO_BUFFER_STRATEGY_EXPLICIT;
    if (!has_source(self->settings)) {
        fail(error, VDO_ERROR_NOT_FOUND, "no such channel");
        g_object_unref(self);
        return NULL;
    }
    if (!choose_geometry(self, error) || (!self->explicit && !add_slots(self, error))) {
        g_object_unref(self);
        return NULL;
    }
    prepare_scene(self);
    add_stream(self); /* those who watch may ask for its size at once */
    if (vdo_map_get_uint32(self->settings, "intent", VDO_INTENT_DEFAULT) & VDO_INTENT_EVENTFD)
        open_events(self);
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

/* The stream 0 tells of the streams that are there, that come and that go. */
VdoStream *vdo_stream_get(guint id, GError **error)
{
    if (is_denied(error))
        return NULL;
    if (id == 0)
        return new_stream();
    VdoStream *found = find_stream(id);
    if (!found)
        fail(error, VDO_ERROR_NOT_FOUND, "there is no such stream in this program");
    return found;
}

GList *vdo_stream_get_all(GError **error)
{
    (void)error;
    GList *list = NULL;
    for (guint id = 1; id <= last_id; id++) {
        VdoStream *stream = find_stream(id);
        if (stream)
            list = g_list_append(list, stream);
    }
    return list;
}

guint vdo_stream_get_id(VdoStream *self)
{
    return self->id;
}

static guint64 period(const VdoStream *self)
{
    guint64 microseconds = (guint64)(1000000 / self->framerate);
    return microseconds ? microseconds : 1;
}

static guint quality(const VdoStream *self)
{
    guint compression = vdo_map_get_uint32(self->settings, "compression", 30);
    return compression >= 100 ? 1 : 100 - compression;
}

static void encode(VdoStream *self, struct slot *slot, const guint8 *picture)
{
    const struct geometry *geometry = &self->geometry;
    if (geometry->format == VDO_FORMAT_JPEG) {
        slot->size = encode_jpeg(picture, geometry, quality(self), slot->drawing.data);
        slot->type = VDO_FRAME_TYPE_JPEG;
        return;
    }
    guint group = vdo_map_get_uint32(self->settings, "gop_length", 32);
    if (group && self->h264.since_key >= group)
        self->h264.key_wanted = true;
    slot->type = self->h264.key_wanted ? VDO_FRAME_TYPE_H264_IDR : VDO_FRAME_TYPE_H264_P;
    slot->size = encode_h264(&self->h264, picture, geometry, slot->drawing.data, &slot->header_size);
}

static VdoFrameType raw_type(const struct geometry *geometry)
{
    if (geometry->format == VDO_FORMAT_YUV)
        return VDO_FRAME_TYPE_YUV;
    return geometry->format == VDO_FORMAT_RGB ? VDO_FRAME_TYPE_RGB : VDO_FRAME_TYPE_PLANAR_RGB;
}

static void capture(VdoStream *self, struct slot *slot, guint64 when)
{
    struct timeval wall;
    gettimeofday(&wall, NULL);
    slot->state = READY;
    slot->sequence = self->sequence;
    slot->timestamp = when;
    slot->wall_clock = (gint64)wall.tv_sec * 1000000 + wall.tv_usec - (gint64)(microseconds_now() - when);
    slot->header_size = -1;
    slot->type = raw_type(&self->geometry);
    slot->size = self->geometry.size;
    if (!self->scene.data) {
        draw(&slot->drawing, &self->geometry, slot->sequence, when);
        return;
    }
    draw(&self->scene, &self->scene_geometry, slot->sequence, when);
    bool encoded = is_encoded(self->geometry.format);
    guint8 *turned = encoded ? self->turned : slot->drawing.data;
    if (self->rotation)
        turn(self->scene.data, &self->scene_geometry, turned, &self->geometry, self->rotation);
    if (encoded)
        encode(self, slot, draw_over(self, self->rotation ? turned : self->scene.data));
}

static bool is_down(const VdoStream *self)
{
    return self->service != service;
}

/* Set the timer to now if a frame is ready, else to the next capture that finds a free slot. */
static void set_timer(VdoStream *self)
{
    struct itimerspec when = {0};
    if (self->running && (is_down(self) || slot_in(self, READY)))
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
            guint dropped = __atomic_load_n(&dropped_frames, __ATOMIC_RELAXED);
            capture(self, slot, self->next_capture);
            self->sequence += 1 + dropped;
            self->lost += dropped;
            self->next_capture += (1 + (guint64)dropped) * period(self);
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
    vdo_map_set_string(info, "buffer.type", setting_text("INCAMERA_VDO_BUFFER_TYPE", "memfd"));
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
    (void)intent;
    if (open_events(self))
        return TRUE;
    fail(error, VDO_ERROR_FAILED, "there is no file descriptor for events");
    return FALSE;
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
    self->h264.key_wanted = true;
    tell_stream(self, VDO_STREAM_EVENT_STARTED);
    self->sequence = 0;
    self->next_capture = microseconds_now() + period(self);
    set_timer(self);
    return TRUE;
}

void vdo_stream_stop(VdoStream *self)
{
    if (!self->running)
        return;
    catch_up(self);
    stop(self);
    tell_stream(self, VDO_STREAM_EVENT_STOPPED);
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
    (void)error;
    self->h264.key_wanted = true;
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

/* Encoded frames come in INCAMERA_VDO_CHUNKS parts, if the program can put them together. */
static guint chunks_of(const VdoStream *self, gsize size)
{
    guint chunks = setting("INCAMERA_VDO_CHUNKS", 1);
    bool apart = is_encoded(self->geometry.format) && vdo_map_get_boolean(self->settings, "frame.chunks", FALSE);
    return apart && chunks > 1 && size >= chunks ? chunks : 1;
}

static VdoBuffer *deliver(VdoStream *self, struct slot *slot)
{
    VdoFrame *frame = slot->explicit ? slot->explicit : frame_of_slot(self, slot, NULL);
    slot->state = HELD;
    frame->type = slot->type;
    frame->sequence = slot->sequence;
    frame->timestamp = slot->timestamp;
    frame->custom_timestamp = slot->wall_clock;
    frame->size = slot->size;
    frame->header_size = slot->header_size;
    frame->chunks = chunks_of(self, slot->size);
    frame->taken = 0;
    self->delivered++;
    return frame;
}

/* The service restarts after INCAMERA_VDO_RESTART_AFTER frames of a stream, when the camera is turned, and when a fault
   says so. */
static void maybe_go_down(VdoStream *self)
{
    bool down = meet_faults();
    guint limit = setting("INCAMERA_VDO_RESTART_AFTER", 0);
    bool turned = self->camera_rotation != camera_rotation();
    if (is_down(self) || !(down || turned || (limit && self->delivered >= limit)))
        return;
    __atomic_add_fetch(&service, 1, __ATOMIC_RELAXED);
    creations_to_fail = setting("INCAMERA_VDO_DOWN_FOR", 0);
}

/* Save a picture with what this program draws when `incamera virtual overlay-picture` asks for one: a number that was not
   there before. It is a snapshot like the stream. */
static void save_picture(const VdoStream *self)
{
    static guint answered;
    guint wanted;
    if (!faults_exist() || !fault_is_set("picture", &wanted) || wanted == answered || !program_draws())
        return;
    answered = wanted;
    VdoMap *settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", VDO_FORMAT_JPEG);
    vdo_map_set_uint32(settings, "channel", vdo_map_get_uint32(self->settings, "channel", 1));
    vdo_map_set_uint32(settings, "width", self->geometry.width);
    vdo_map_set_uint32(settings, "height", self->geometry.height);
    vdo_map_set_uint32(settings, "rotation", self->rotation);
    vdo_map_set_string(settings, "image.fit", vdo_map_get_string(self->settings, "image.fit", NULL, "scale"));
    VdoBuffer *picture = vdo_stream_snapshot(settings, NULL);
    if (picture) {
        fault_save_picture(wanted, picture->slot->drawing.data, picture->slot->size);
        g_object_unref(picture);
    }
    g_object_unref(settings);
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
        if (is_down(self)) {
            set_timer(self);
            fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service has been stopped");
            return NULL;
        }
        struct slot *slot = slot_in(self, READY);
        VdoBuffer *buffer = slot ? deliver(self, slot) : NULL;
        set_timer(self);
        if (buffer) {
            save_picture(self);
            return buffer;
        }
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
