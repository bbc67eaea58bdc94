/* VdoStream: an own stream of this program, one of another program (facts and settings only), or the stream 0.

   The service captures, and tells of each frame on a socket, which is what a program waits for. */
#include "objects.h"

#include <poll.h>

/* In newer AXIS OS, a program says how a picture of another shape than the sensor's shows the scene. */
#define HAS_FIT (AXIS_OS >= 1207)

DEFINE_TYPE(VdoStream, vdo_stream)

static void close_fd(gint fd)
{
    if (fd >= 0)
        close(fd);
}

static void vdo_stream_finalize(GObject *object)
{
    VdoStream *self = (VdoStream *)object;
    if (self->own) {
        remove_stream(self);
        /* The stream is gone when this returns, unless it belongs to a process that this one was forked from. */
        if (line_is_own(self->line))
            order(self, VDO_END, NULL, 0, NULL);
    }
    for (guint number = 0; number < self->slot_count; number++)
        unmap_slot(&self->slots[number]);
    close_events(self);
    close_fd(self->frames);
    line_close(self->line);
    if (self->settings)
        g_object_unref(self->settings);
}

static VdoStream *new_stream(void)
{
    VdoStream *self = g_object_new(vdo_stream_get_type(), NULL);
    self->frames = self->event_fd = -1;
    self->settings = vdo_map_new();
    return self;
}

/* Take over what VDO_CREATE and VDO_INFO answer. */
static bool take_facts(VdoStream *self, struct line_message *answer)
{
    const struct vdo_facts *facts = line_content(answer, sizeof *facts);
    if (facts)
        self->facts = *facts;
    return facts != NULL;
}

static bool create(VdoStream *self, bool snapshot, GError **error)
{
    struct {
        struct vdo_wish wish;
        uint8_t settings[VDO_MOST_SETTINGS];
    } *request = malloc(sizeof *request);
    request->wish = (struct vdo_wish){
        .snapshot = snapshot,
        .has_fit = HAS_FIT,
        .pitch_step = camera_setting("INCAMERA_VDO_PITCH_STEP", PITCH_STEP),
        .buffers = camera_setting("INCAMERA_VDO_BUFFERS", 0),
        .is_vmem = strcmp(camera_setting_text("INCAMERA_VDO_BUFFER_TYPE", "memfd"), "vmem") == 0,
    };
    size_t size = encode_map(self->settings, request->settings, sizeof request->settings);
    struct line_message *answer = NULL;
    if (size == (size_t)-1)
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "the settings are too long");
    else
        answer = ask(self->line, VDO_CREATE, request, sizeof request->wish + size, error);
    free(request);
    if (!answer)
        return false;
    self->frames = line_take_fd(answer, 0);
    bool good = take_facts(self, answer) && self->frames >= 0;
    line_free(answer);
    if (good && self->facts.slot_count) {
        answer = ask(self->line, VDO_SLOTS, NULL, 0, error);
        if (!answer)
            return false;
        good = map_slots(self, answer);
        line_free(answer);
    }
    if (!good)
        fail(error, VDO_ERROR_BUFFER_FAILURE, "a buffer cannot be mapped");
    return good;
}

static VdoStream *make(const VdoMap *settings, bool snapshot, GError **error)
{
    if (is_denied(error))
        return NULL;
    struct line *line = open_line(error);
    if (!line)
        return NULL;
    VdoStream *self = new_stream();
    self->line = line;
    self->own = true;
    if (settings)
        vdo_map_merge(self->settings, settings);
    self->blocking = vdo_map_get_boolean(self->settings, "socket.blocking", TRUE);
    self->timeout_ms = vdo_map_get_uint32(self->settings, "socket.timeout_ms", 0);
    guint strategy = vdo_map_get_uint32(self->settings, "buffer.strategy", VDO_BUFFER_STRATEGY_INFINITE);
    self->explicit = strategy == VDO_BUFFER_STRATEGY_EXPLICIT;
    if (HAS_FIT) {
        bool crop = strcmp(vdo_map_get_string(self->settings, "image.fit", NULL, "scale"), "crop") == 0;
        vdo_map_set_string(self->settings, "image.fit", crop ? "crop" : "scale");
    } else {
        vdo_map_remove(self->settings, "image.fit");
    }
    if (create(self, snapshot, error))
        return self;
    g_object_unref(self);
    return NULL;
}

VdoStream *vdo_stream_new(VdoMap *settings, VdoBufferFinalizer fin, GError **error)
{
    VdoStream *self = make(settings, false, error);
    if (!self)
        return NULL;
    self->finalizer = fin;
    add_stream(self);
    if (vdo_map_get_uint32(self->settings, "intent", VDO_INTENT_DEFAULT) & VDO_INTENT_EVENTFD)
        attach_events(self, NULL);
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

/* Ask the service what it knows of the stream now, also of one of another program. */
static bool refresh(VdoStream *self, GError **error)
{
    const guint id = self->facts.id;
    struct line_message *answer = ask(self->line, VDO_INFO, &id, sizeof id, error);
    if (!answer)
        return false;
    bool good = take_facts(self, answer);
    if (good && !self->own) {
        vdo_map_clear(self->settings);
        decode_map(self->settings, answer->data + sizeof self->facts, answer->size - sizeof self->facts);
    }
    line_free(answer);
    return good;
}

/* The stream 0 tells of the streams that are there, that come and that go. */
VdoStream *vdo_stream_get(guint id, GError **error)
{
    if (is_denied(error))
        return NULL;
    VdoStream *found = id ? find_stream(id) : NULL;
    if (found)
        return found;
    struct line *line = open_line(error);
    if (!line)
        return NULL;
    VdoStream *self = new_stream();
    self->line = line;
    self->facts.id = id;
    if (id == 0 || refresh(self, error))
        return self;
    g_object_unref(self);
    return NULL;
}

GList *vdo_stream_get_all(GError **error)
{
    GList *list = NULL;
    struct line *line = open_line(error);
    struct line_message *answer = line ? ask(line, VDO_LIST, NULL, 0, error) : NULL;
    line_close(line);
    if (!answer)
        return NULL;
    const guint *ids = (const guint *)answer->data;
    for (gsize n = 0; n < answer->size / sizeof *ids; n++) {
        VdoStream *stream = vdo_stream_get(ids[n], NULL); /* one that has gone meanwhile is left out */
        if (stream)
            list = g_list_append(list, stream);
    }
    line_free(answer);
    return list;
}

guint vdo_stream_get_id(VdoStream *self)
{
    return self->facts.id;
}

gint vdo_stream_get_fd(VdoStream *self, GError **error)
{
    if (self->frames < 0)
        fail(error, VDO_ERROR_FAILED, "the stream has no file descriptor");
    return self->frames;
}

VdoMap *vdo_stream_get_info(VdoStream *self, GError **error)
{
    if (self->facts.id && !refresh(self, self->own ? NULL : error) && !self->own)
        return NULL;
    const struct vdo_facts *facts = &self->facts;
    VdoMap *info = vdo_map_new();
    vdo_map_set_uint32(info, "format", facts->format);
    if (facts->format == VDO_FORMAT_YUV)
        vdo_map_set_string(info, "subformat", facts->y800 ? "Y800" : "NV12");
    vdo_map_set_uint32(info, "width", facts->width);
    vdo_map_set_uint32(info, "height", facts->height);
    vdo_map_set_uint32(info, "pitch", facts->pitch);
    vdo_map_set_pair32u(info, "resolution", (VdoPair32u){.val = {facts->width, facts->height}});
    vdo_map_set_double(info, "framerate", facts->framerate);
    vdo_map_set_uint32(info, "rotation", facts->rotation);
    vdo_map_set_uint32(info, "buffer.count", self->own ? self->slot_count : facts->slot_count);
    vdo_map_set_string(info, "buffer.type", camera_setting_text("INCAMERA_VDO_BUFFER_TYPE", "memfd"));
    vdo_map_set_uint64(info, "statistics.frame_count", facts->sequence);
    vdo_map_set_uint64(info, "statistics.failed_frames", facts->lost);
    return info;
}

VdoMap *vdo_stream_get_settings(VdoStream *self, GError **error)
{
    if (!self->own && self->facts.id && !refresh(self, error))
        return NULL;
    VdoMap *settings = vdo_map_new();
    vdo_map_merge(settings, self->settings);
    return settings;
}

/* Only the program that made a stream changes it. */
static bool is_controlled(const VdoStream *self, GError **error)
{
    if (!self->own)
        fail(error, VDO_ERROR_NOT_CONTROLLED, "the stream is not this program's own");
    return self->own;
}

gboolean vdo_stream_set_settings(VdoStream *self, VdoMap *settings, GError **error)
{
    if (!is_controlled(self, error))
        return FALSE;
    uint8_t *data = malloc(VDO_MOST_SETTINGS);
    VdoMap *all = vdo_map_clone(self->settings);
    vdo_map_merge(all, settings);
    size_t size = data ? encode_map(all, data, VDO_MOST_SETTINGS) : (size_t)-1;
    bool good = size != (size_t)-1;
    if (!good)
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "the settings are too long");
    good = good && order(self, VDO_SETTINGS, data, size, error);
    if (good)
        vdo_map_swap(self->settings, all);
    g_object_unref(all);
    free(data);
    return good;
}

gboolean vdo_stream_set_framerate(VdoStream *self, gdouble framerate, GError **error)
{
    if (!is_controlled(self, error))
        return FALSE;
    bool dynamic = vdo_map_get_boolean(self->settings, "dynamic.framerate", FALSE) ||
                   vdo_map_get_uint32(self->settings, "zip.fps_mode", 0) == 1;
    if (!dynamic || !(framerate > 0)) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT,
             dynamic ? "the rate must be positive" : "the stream was made without dynamic.framerate");
        return FALSE;
    }
    return order(self, VDO_RATE, &framerate, sizeof framerate, error);
}

gboolean vdo_stream_attach(VdoStream *self, VdoMap *intent, GError **error)
{
    (void)intent;
    return attach_events(self, error);
}

/* Give back the frames that have come and were not taken. */
static void leave_frames(VdoStream *self)
{
    struct vdo_picture picture;
    while (recv(self->frames, &picture, sizeof picture, MSG_DONTWAIT) == (ssize_t)sizeof picture)
        give_back(self, self->explicit ? VDO_ENQUEUE : VDO_RELEASE, picture.slot);
}

gboolean vdo_stream_start(VdoStream *self, GError **error)
{
    if (!self->own) {
        fail(error, VDO_ERROR_NOT_CONTROLLED,
             self->facts.id ? "the stream is not this program's own" : "the stream 0 has no frames");
        return FALSE;
    }
    const guint number = self->start + 1;
    leave_frames(self);
    if (!order(self, VDO_START, &number, sizeof number, error))
        return FALSE;
    self->start = number;
    self->running = true;
    return TRUE;
}

void vdo_stream_stop(VdoStream *self)
{
    if (!self->running)
        return;
    self->running = false;
    order(self, VDO_STOP, NULL, 0, NULL);
    leave_frames(self);
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
    return is_controlled(self, error) && order(self, VDO_KEY_FRAME, NULL, 0, error);
}

VdoBuffer *vdo_stream_buffer_alloc(VdoStream *self, gpointer opaque, GError **error)
{
    struct line_message *answer = is_controlled(self, error) ? ask(self->line, VDO_ALLOCATE, NULL, 0, error) : NULL;
    if (!answer)
        return NULL;
    bool good = map_slots(self, answer);
    line_free(answer);
    if (!good) {
        fail(error, VDO_ERROR_BUFFER_FAILURE, "a buffer cannot be mapped");
        return NULL;
    }
    struct slot *slot = &self->slots[self->slot_count - 1];
    slot->explicit = frame_of_slot(self, slot, opaque);
    return slot->explicit;
}

gboolean vdo_stream_buffer_enqueue(VdoStream *self, VdoBuffer *buffer, GError **error)
{
    if (!buffer || buffer->stream != self || !buffer->slot->explicit) {
        fail(error, VDO_ERROR_INVALID_ARGUMENT, "not a buffer that this stream has allocated");
        return FALSE;
    }
    give_back(self, VDO_ENQUEUE, (guint)(buffer->slot - self->slots));
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

void release_slot(VdoStream *self, struct slot *slot)
{
    guint number = (guint)(slot - self->slots);
    if (!slot->explicit) {
        give_back(self, VDO_RELEASE, number);
        return;
    }
    unmap_slot(slot);
    give_back(self, VDO_FREE, number);
}

/* Encoded frames come in INCAMERA_VDO_CHUNKS parts, if the program can put them together. */
static guint chunks_of(const VdoStream *self, gsize size)
{
    guint format = self->facts.format;
    bool encoded = format == VDO_FORMAT_JPEG || format == VDO_FORMAT_H264;
    if (!encoded || !vdo_map_get_boolean(self->settings, "frame.chunks", FALSE))
        return 1;
    guint chunks = camera_setting("INCAMERA_VDO_CHUNKS", 1);
    return chunks > 1 && size >= chunks ? chunks : 1;
}

/* The next frame that has come, or NULL. */
static VdoBuffer *receive(VdoStream *self)
{
    struct vdo_picture picture;
    while (recv(self->frames, &picture, sizeof picture, MSG_DONTWAIT) == (ssize_t)sizeof picture) {
        struct slot *slot = picture.slot < self->slot_count ? &self->slots[picture.slot] : NULL;
        if (!slot || !slot->data || picture.size > slot->capacity)
            continue; /* of a buffer that the program has freed */
        if (picture.start != self->start) {
            give_back(self, self->explicit ? VDO_ENQUEUE : VDO_RELEASE, picture.slot);
            continue;
        }
        VdoFrame *frame = slot->explicit ? slot->explicit : frame_of_slot(self, slot, NULL);
        frame->type = (VdoFrameType)picture.type;
        frame->sequence = picture.sequence;
        frame->timestamp = picture.timestamp;
        frame->custom_timestamp = picture.wall_clock;
        frame->size = (gsize)picture.size;
        frame->header_size = (gssize)picture.header_size;
        frame->chunks = chunks_of(self, frame->size);
        frame->taken = 0;
        self->delivered++;
        return frame;
    }
    return NULL;
}

/* Whether there is something that the service looks at only when it is asked: a fault that was set, or a test's wish. */
static bool has_to_check(const VdoStream *self)
{
    if (faults_exist())
        return true;
    guint limit = self->line->alone ? camera_setting("INCAMERA_VDO_RESTART_AFTER", 0) : 0;
    return (limit && self->delivered >= limit) ||
           (self->line->alone && camera_setting("INCAMERA_VDO_ROTATION", 0) != self->facts.camera_rotation);
}

/* Wait for a frame. False when the service is gone, there was a signal, or no frame in time. */
static bool wait_for_frame(const VdoStream *self, GError **error)
{
    struct pollfd ready = {.fd = self->frames, .events = POLLIN};
    int count = poll(&ready, 1, !self->blocking ? 0 : self->timeout_ms ? (int)self->timeout_ms : -1);
    if (count > 0 && ready.revents & (POLLHUP | POLLERR))
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service has been stopped");
    else if (count == 0)
        fail(error, VDO_ERROR_NO_DATA, self->blocking ? "no frame in time" : "there is no frame yet");
    else if (count < 0)
        fail(error, VDO_ERROR_IO, errno == EINTR ? "poll: EINTR: interrupted by a signal" : "poll failed");
    else
        return true;
    return false;
}

VdoBuffer *vdo_stream_get_buffer(VdoStream *self, GError **error)
{
    if (!self->running) {
        fail(error, VDO_ERROR_NOT_CONTROLLED, "the stream has not been started");
        return NULL;
    }
    if (has_to_check(self) && !order(self, VDO_CHECK, &self->delivered, sizeof self->delivered, error))
        return NULL;
    while (wait_for_frame(self, error)) {
        VdoBuffer *buffer = receive(self);
        if (buffer)
            return buffer;
    }
    return NULL;
}

VdoBuffer *vdo_stream_snapshot(VdoMap *settings, GError **error)
{
    VdoStream *stream = make(settings, true, error);
    if (!stream)
        return NULL;
    VdoBuffer *buffer = receive(stream);
    if (buffer) {
        vdo_map_set_uint32(settings, "width", stream->facts.width);
        vdo_map_set_uint32(settings, "height", stream->facts.height);
    } else {
        fail(error, VDO_ERROR_FAILED, "the picture could not be taken");
    }
    g_object_unref(stream);
    return buffer;
}
