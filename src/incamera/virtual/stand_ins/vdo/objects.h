/* The stand-in's objects, and what its parts have of each other. */
#ifndef STAND_INS_VDO_OBJECTS_H
#define STAND_INS_VDO_OBJECTS_H

#include <stdbool.h>
#include <vdo-stream.h>

enum value_kind { BOOLEAN, INTEGER, UNSIGNED, REAL, TEXT, ARRAY };

struct entry {
    struct entry *next;
    char *name;
    enum value_kind kind;
    gint64 integer; /* of all but REAL, TEXT and ARRAY */
    gdouble real;
    char *text;
    guint64 array[4]; /* the bytes of a pair, a quad, or up to four numbers */
    gsize array_size;
};

struct _VdoMap {
    GObject object;
    struct entry *first;
    gdouble doubles[4];
};

struct _VdoChannel {
    GObject object;
    guint id;
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

/* Memory for one picture. A free slot is filled with the next one. */
struct slot {
    gint fd;
    gsize offset, capacity;
    struct drawing drawing;
    enum slot_state { NOT_QUEUED, FREE, READY, HELD } state;
    VdoFrame *explicit; /* of a slot made by vdo_stream_buffer_alloc */
    guint sequence;
    guint64 timestamp;
    gint64 wall_clock;
    VdoFrameType type;
    gsize size;
    gssize header_size;
};

#define MOST_SLOTS 64

struct _VdoFrame {
    GObject object;
    VdoStream *stream;
    struct slot *slot;
    gpointer opaque;
    VdoFrameType type;
    guint sequence;
    guint64 timestamp;
    gint64 custom_timestamp;
    gsize size;
    gssize header_size;
    bool last;
    guint chunks, taken; /* in how many parts the frame comes, and how many of them were taken */
    VdoMap *extra;
    /* Of a buffer of the program's own. */
    gint fd;
    gsize capacity;
    guint64 offset;
    gpointer memory;
};

/* What an H.264 encoder keeps from one picture to the next. */
struct h264 {
    guint across, down; /* macroblocks */
    guint8 *picture, *before;
    guint number, group, since_key;
    bool key_wanted;
};

struct _VdoStream {
    GObject object;
    guint id;
    VdoMap *settings;
    VdoBufferFinalizer finalizer;
    struct geometry geometry;
    /* What is drawn before it is turned or encoded. Without data: the scene is drawn into the slots. */
    struct geometry scene_geometry;
    struct drawing scene;
    guint8 *turned;
    guint8 *drawn_over; /* the picture with boxes and overlays */
    struct h264 h264;
    gdouble framerate;
    guint rotation, camera_rotation;
    bool blocking, explicit, running, counted;
    guint timeout_ms, service;
    gint timer, memory, event_fd, event_writer;
    guint64 next_capture; /* microseconds of CLOCK_MONOTONIC */
    guint sequence;
    guint delivered;
    guint lost;
    struct slot slots[MOST_SLOTS];
    guint slot_count;
    VdoStream *next; /* of all streams in this process */
};

void fail(GError **error, gint code, const char *message);
guint64 microseconds_now(void);
guint setting(const char *name, guint def);
const char *setting_text(const char *name, const char *def);
bool is_denied(GError **error);

bool has_format(guint format);
bool has_channel(guint number);
bool fits_channel(guint width, guint height);
guint camera_rotation(void);

bool is_encoded(guint format);
bool choose_geometry(VdoStream *stream, GError **error);
void draw(struct drawing *drawing, const struct geometry *geometry, guint sequence, guint64 timestamp);
void turn(const guint8 *from, const struct geometry *geometry, guint8 *to, const struct geometry *turned, guint rotation);
bool program_draws(void);
const guint8 *draw_over(VdoStream *self, const guint8 *picture);
gsize encode_jpeg(const guint8 *nv12, const struct geometry *geometry, guint quality, guint8 *out);
void start_h264(struct h264 *encoder, const struct geometry *geometry);
void end_h264(struct h264 *encoder);
gsize encode_h264(struct h264 *encoder, const guint8 *nv12, const struct geometry *geometry, guint8 *out,
                  gssize *header_size);

struct slot *add_slot(VdoStream *stream, GError **error);
bool add_slots(VdoStream *stream, GError **error);
void free_slot(struct slot *slot);
struct slot *slot_in(VdoStream *stream, enum slot_state state);
void release_slot(VdoStream *stream, struct slot *slot);
VdoFrame *frame_of_slot(VdoStream *stream, struct slot *slot, gpointer opaque);

bool open_events(VdoStream *stream);
void close_events(VdoStream *stream);
void tell_stream(VdoStream *stream, guint event);
void add_stream(VdoStream *stream);
void remove_stream(VdoStream *stream);
VdoStream *find_stream(guint id);

/* The type NAME, registered at its first use. */
#define DEFINE_TYPE(Type, name) \
    static void name##_finalize(GObject *object); \
    static void name##_class_init(gpointer class, gpointer data) \
    { \
        (void)data; \
        ((GObjectClass *)class)->finalize = name##_finalize; \
    } \
    GType name##_get_type(void) \
    { \
        static GType type; \
        static int lock; \
        while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE)) \
            ; \
        if (type == 0) \
            type = g_type_register_static_simple(G_TYPE_OBJECT, #Type, sizeof(GObjectClass), name##_class_init, \
                                                 sizeof(Type), NULL, 0); \
        __atomic_store_n(&lock, 0, __ATOMIC_RELEASE); \
        return type; \
    }

#endif
