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
};

/* Memory for one picture. A free slot is filled with the next one. */
struct slot {
    gint fd;
    guint8 *data;
    gsize capacity;
    enum slot_state { NOT_QUEUED, FREE, READY, HELD } state;
    VdoFrame *explicit; /* of a slot made by vdo_stream_buffer_alloc */
    guint sequence;
    guint64 timestamp;
    gint64 wall_clock;
    bool drawn;
    guint square_x; /* where the moving square was drawn last */
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
    bool taken;
    VdoMap *extra;
    /* Of a buffer of the program's own. */
    gint fd;
    gsize capacity;
    guint64 offset;
    gpointer memory;
};

struct _VdoStream {
    GObject object;
    guint id;
    VdoMap *settings;
    VdoBufferFinalizer finalizer;
    struct geometry geometry;
    gdouble framerate;
    guint rotation;
    bool blocking, explicit, running, down, counted;
    guint timeout_ms;
    gint timer, event_fd;
    guint64 next_capture; /* microseconds of CLOCK_MONOTONIC */
    guint sequence;
    guint delivered;
    guint lost;
    struct slot slots[MOST_SLOTS];
    guint slot_count;
    guint32 events[16];
    guint event_count;
};

void fail(GError **error, gint code, const char *message);
bool fits_channel(guint width, guint height);
guint64 microseconds_now(void);
guint setting(const char *name, guint def);
void draw(struct slot *slot, const struct geometry *geometry);
VdoFrame *frame_of_slot(VdoStream *stream, struct slot *slot, gpointer opaque);
void release_slot(VdoStream *stream, struct slot *slot);

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
