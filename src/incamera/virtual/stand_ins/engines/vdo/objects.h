/* A stream of the engine of video, and what its parts have of each other. A stream is served by one thread, and only that
   thread changes it. What other threads read of it is in `facts` and `settings`, under the lock of streams.c. */
#ifndef STAND_INS_VDO_ENGINE_H
#define STAND_INS_VDO_ENGINE_H

#include <stdbool.h>
#include <vdo-error.h>
#include <vdo-types.h>

#include "drawing.h"
#include "engine.h"
#include "vdo_camera.h"
#include "vdo_line.h"

/* The values of a map, as they came: checked by take_settings. */
struct settings {
    uint8_t *data;
    size_t size;
};

/* A picture's format and size; sizes in bytes. */
struct geometry {
    guint format;
    bool y800;
    guint width, height, pitch;
    gsize size;
    guint across, left; /* the columns of the whole scene, and the first of them that the picture shows */
};

/* A picture of the scene that is drawn again and again. */
struct drawing {
    guint8 *data;
    bool drawn;
    guint square_x; /* where the moving square was drawn last */
};

/* Memory for one picture, which the program maps, too. A free slot is filled with the next picture. */
struct slot {
    int fd;
    gsize offset, capacity, counted;
    struct drawing drawing;
    enum slot_state { NOT_QUEUED, FREE, SENT } state;
    guint sequence; /* of its last picture */
};

/* What an H.264 encoder keeps from one picture to the next. */
struct h264 {
    guint across, down; /* macroblocks */
    guint8 *picture, *before, *raw;
    guint number, group, since_key;
    bool key_wanted;
};

struct stream {
    struct stream *next; /* of all streams of the camera */
    struct line *line;
    bool listed, announced; /* it is one of the camera's; who watches knows it */
    struct vdo_wish wish;
    struct settings settings;
    struct vdo_facts facts;
    const char *refusal; /* why it cannot be made, and the VdoError */
    int refusal_code;
    struct geometry geometry;
    /* What is drawn before it is turned or encoded. Without data: the scene is drawn into the slots. */
    struct geometry scene_geometry;
    struct drawing scene;
    guint8 *turned;
    guint8 *drawn_over; /* the picture with boxes and overlays */
    struct h264 h264;
    bool explicit, running;
    int frames;       /* the socket of frames */
    int events;       /* the pipe of its events, or -1 */
    int memory;       /* of all slots, if they lie in one file */
    guint start;      /* the number of its last start */
    guint64 next_capture; /* microseconds of CLOCK_MONOTONIC */
    struct slot slots[VDO_MOST_SLOTS];
    guint slot_count;
};

bool refuse(struct stream *stream, int code, const char *message);
guint64 microseconds_now(void);

bool take_settings(struct settings *settings, const void *data, size_t size);
void drop_settings(struct settings *settings);
bool is_set(const struct settings *settings, const char *name);
guint number_of(const struct settings *settings, const char *name, guint def);
double real_of(const struct settings *settings, const char *name, double def);
bool text_is(const struct settings *settings, const char *name, const char *wanted, bool def);
void size_of_settings(const struct settings *settings, guint *width, guint *height);

bool is_encoded(guint format);
bool choose_geometry(struct stream *stream);
void draw_scene(struct drawing *drawing, const struct geometry *geometry, guint sequence, guint64 timestamp);
unsigned video_scene(void);
bool draw_video(struct drawing *drawing, const struct geometry *geometry, unsigned scene, guint64 when, bool for_jpeg);
void turn_picture(const guint8 *from, const struct geometry *geometry, guint8 *to, const struct geometry *turned,
                  guint rotation);
bool is_drawn_over(const struct stream *stream);
const guint8 *draw_over(struct stream *stream, const guint8 *picture);
gsize encode_jpeg(const guint8 *nv12, const struct geometry *geometry, guint quality, guint8 *out, gsize room);
bool start_h264(struct h264 *encoder, const struct geometry *geometry);
void end_h264(struct h264 *encoder);
gsize encode_h264(struct h264 *encoder, const guint8 *nv12, const struct geometry *geometry, guint8 *out,
                  gint64 *header_size);

struct slot *add_slot(struct stream *stream);
bool add_slots(struct stream *stream, guint count);
void free_slot(struct slot *slot);
struct slot *free_slot_of(struct stream *stream);

struct stream *new_stream(struct line *line);
bool make_stream(struct stream *stream, const struct vdo_wish *wish);
void free_stream(struct stream *stream);
void capture(struct stream *stream, struct slot *slot, guint64 when, struct vdo_picture *picture);
bool send_picture(struct stream *stream, struct slot *slot, guint64 when);
void catch_up(struct stream *stream);
void start_stream(struct stream *stream, guint number);
void stop_stream(struct stream *stream);
void set_rate(struct stream *stream, double framerate);
void take_back(struct stream *stream, const struct vdo_give *give);

bool list_stream(struct stream *stream, guint most);
void announce_stream(struct stream *stream);
void unlist_stream(struct stream *stream);
void note_facts(struct stream *stream, guint sequence, guint lost);
size_t list_ids(guint *ids, size_t most);
bool copy_newest(struct stream *copy);
bool copy_facts(guint id, struct vdo_facts *facts, uint8_t *settings, size_t *size);
void replace_settings(struct stream *stream, struct settings *settings);
int watch_streams(int *watch);
void unwatch_streams(int watch);
bool open_events(struct stream *stream, int *reader);
void tell_stream(struct stream *stream, guint event);
void end_all_streams(void);

guint frames_to_drop(void);
bool is_possible(struct stream *stream);
bool goes_on(const struct stream *stream, guint delivered);

#endif
