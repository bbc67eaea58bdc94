/* A stream: what it is made of, and what it captures.

   At each moment of capture, a free slot gets the picture, and the program gets a message. Without a free slot the frame is
   lost, and its number is missing. Nothing is drawn while all slots are with the program. */
#include "objects.h"

#include <math.h>
#include <sys/time.h>
#include <time.h>

enum { USUAL_RATE = 30, MOST_RATE = 1000 };

bool refuse(struct stream *self, int code, const char *message)
{
    self->refusal_code = code;
    self->refusal = message;
    return false;
}

guint64 microseconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (guint64)now.tv_sec * 1000000 + (guint64)now.tv_nsec / 1000;
}

void set_rate(struct stream *self, double framerate)
{
    self->facts.framerate = framerate > 0 && isfinite(framerate) ? framerate : USUAL_RATE;
}

static bool has_source(const struct settings *settings)
{
    if (is_set(settings, "input"))
        return number_of(settings, "input", 0) == 1;
    return number_of(settings, "channel", 1) < CAMERA_CHANNELS;
}

/* What is turned or encoded is drawn elsewhere first. */
static bool prepare_scene(struct stream *self)
{
    bool encoded = is_encoded(self->geometry.format), good = true;
    if (encoded || self->facts.rotation)
        good = (self->scene.data = calloc(1, self->scene_geometry.size)) != NULL;
    if (encoded && self->facts.rotation)
        good = good && (self->turned = calloc(1, self->geometry.size)) != NULL;
    if (self->geometry.format == VDO_FORMAT_H264)
        good = good && start_h264(&self->h264, &self->geometry);
    return good || refuse(self, VDO_ERROR_OOM, "there is no memory for a stream");
}

/* A stream without anything, or NULL. */
struct stream *new_stream(struct line *line)
{
    struct stream *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->line = line;
    self->frames = self->events = self->memory = -1;
    return self;
}

/* Make the stream of its settings. */
bool make_stream(struct stream *self, const struct vdo_wish *wish)
{
    struct vdo_facts *facts = &self->facts;
    facts->camera_rotation = camera_rotation();
    facts->rotation = number_of(&self->settings, "rotation", facts->camera_rotation);
    set_rate(self, real_of(&self->settings, "framerate", USUAL_RATE));
    self->explicit = number_of(&self->settings, "buffer.strategy", VDO_BUFFER_STRATEGY_INFINITE) ==
                     VDO_BUFFER_STRATEGY_EXPLICIT;
    self->wish = *wish;
    if (!has_source(&self->settings))
        return refuse(self, VDO_ERROR_NOT_FOUND, "no such channel");
    bool has_slots = wish->snapshot || !self->explicit;
    if (!choose_geometry(self) || (has_slots && !add_slots(self, wish->snapshot ? 1 : wish->buffers)) ||
        !prepare_scene(self))
        return false;
    facts->format = self->geometry.format;
    facts->y800 = self->geometry.y800;
    facts->width = self->geometry.width;
    facts->height = self->geometry.height;
    facts->pitch = self->geometry.pitch;
    facts->slot_count = self->slot_count;
    return true;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void free_stream(struct stream *self)
{
    for (guint number = 0; number < self->slot_count; number++)
        free_slot(&self->slots[number]);
    free(self->scene.data);
    free(self->turned);
    free(self->drawn_over);
    end_h264(&self->h264);
    drop_settings(&self->settings);
    close_fd(self->memory);
    close_fd(self->frames);
    close_fd(self->events);
    free(self);
}

static guint64 period(const struct stream *self)
{
    double microseconds = 1000000 / self->facts.framerate;
    return microseconds < 1 ? 1 : microseconds > 1e15 ? (guint64)1e15 : (guint64)microseconds;
}

static guint quality(const struct stream *self)
{
    guint compression = number_of(&self->settings, "compression", 30);
    return compression >= 100 ? 1 : 100 - compression;
}

static void encode(struct stream *self, struct slot *slot, const guint8 *from, struct vdo_picture *picture)
{
    const struct geometry *geometry = &self->geometry;
    if (geometry->format == VDO_FORMAT_JPEG) {
        picture->size = encode_jpeg(from, geometry, quality(self), slot->drawing.data, slot->capacity);
        picture->type = VDO_FRAME_TYPE_JPEG;
        return;
    }
    guint group = number_of(&self->settings, "gop_length", 32);
    if (group && self->h264.since_key >= group)
        self->h264.key_wanted = true;
    picture->type = self->h264.key_wanted ? VDO_FRAME_TYPE_H264_IDR : VDO_FRAME_TYPE_H264_P;
    picture->size = encode_h264(&self->h264, from, geometry, slot->drawing.data, &picture->header_size);
}

static guint raw_type(const struct geometry *geometry)
{
    if (geometry->format == VDO_FORMAT_YUV)
        return VDO_FRAME_TYPE_YUV;
    return geometry->format == VDO_FORMAT_RGB ? VDO_FRAME_TYPE_RGB : VDO_FRAME_TYPE_PLANAR_RGB;
}

/* Draw what the camera sees at the moment WHEN. */
static void draw_view(const struct stream *self, struct drawing *drawing, const struct geometry *geometry, guint64 when)
{
    unsigned video = self->line->alone ? 0 : video_scene();
    if (!video || !draw_video(drawing, geometry, video, when, self->geometry.format == VDO_FORMAT_JPEG))
        draw_scene(drawing, geometry, self->facts.sequence, when);
}

/* Draw the scene of the moment WHEN into the slot. */
void capture(struct stream *self, struct slot *slot, guint64 when, struct vdo_picture *picture)
{
    struct timeval wall;
    gettimeofday(&wall, NULL);
    *picture = (struct vdo_picture){
        .start = self->start,
        .slot = (guint32)(slot - self->slots),
        .sequence = self->facts.sequence,
        .type = raw_type(&self->geometry),
        .timestamp = when,
        .wall_clock = (gint64)wall.tv_sec * 1000000 + wall.tv_usec - (gint64)(microseconds_now() - when),
        .header_size = -1,
        .size = self->geometry.size,
    };
    slot->sequence = picture->sequence;
    if (!self->scene.data) {
        draw_view(self, &slot->drawing, &self->geometry, when);
        return;
    }
    draw_view(self, &self->scene, &self->scene_geometry, when);
    bool encoded = is_encoded(self->geometry.format);
    guint8 *turned = encoded ? self->turned : slot->drawing.data;
    if (self->facts.rotation)
        turn_picture(self->scene.data, &self->scene_geometry, turned, &self->geometry, self->facts.rotation);
    if (encoded)
        encode(self, slot, draw_over(self, self->facts.rotation ? turned : self->scene.data), picture);
}

/* Capture a picture, and tell the program. A program whose socket is full has lost it. */
bool send_picture(struct stream *self, struct slot *slot, guint64 when)
{
    struct vdo_picture picture;
    capture(self, slot, when, &picture);
    bool good = picture.size && send(self->frames, &picture, sizeof picture, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    slot->state = good ? SENT : FREE;
    return good;
}

/* Capture what is due until now. */
void catch_up(struct stream *self)
{
    guint64 now = microseconds_now();
    struct vdo_facts *facts = &self->facts;
    while (self->running && self->next_capture <= now) {
        struct slot *slot = free_slot_of(self);
        if (slot && !self->line->alone && video_scene()) {
            /* A video's pictures may take longer than a period. What is late for that is lost. */
            guint64 late = (now - self->next_capture) / period(self);
            note_facts(self, facts->sequence + (guint)late, facts->lost + (guint)late);
            self->next_capture += late * period(self);
        }
        if (slot) {
            guint dropped = frames_to_drop();
            bool sent = send_picture(self, slot, self->next_capture);
            note_facts(self, facts->sequence + 1 + dropped, facts->lost + dropped + !sent);
            self->next_capture += (1 + (guint64)dropped) * period(self);
            continue;
        }
        /* All buffers are in use: what is captured until now is lost. */
        guint64 count = (now - self->next_capture) / period(self) + 1;
        note_facts(self, facts->sequence + (guint)count, facts->lost + (guint)count);
        self->next_capture += count * period(self);
    }
}

/* Begin with the frame 0. The program has given back what it did not take of an earlier start. */
void start_stream(struct stream *self, guint number)
{
    self->start = number;
    self->running = true;
    self->h264.key_wanted = true;
    tell_stream(self, VDO_STREAM_EVENT_STARTED);
    note_facts(self, 0, self->facts.lost);
    self->next_capture = microseconds_now() + period(self);
}

void stop_stream(struct stream *self)
{
    if (!self->running)
        return;
    self->running = false;
    tell_stream(self, VDO_STREAM_EVENT_STOPPED);
}

/* The program has no use for a buffer any more, or for its picture. */
void take_back(struct stream *self, const struct vdo_give *give)
{
    if (give->slot >= self->slot_count)
        return;
    struct slot *slot = &self->slots[give->slot];
    catch_up(self); /* while it was in use */
    if (give->use == VDO_FREE && self->explicit)
        free_slot(slot);
    else if (slot->fd >= 0 && (give->use == VDO_ENQUEUE ? self->explicit : slot->state == SENT))
        slot->state = FREE;
}
