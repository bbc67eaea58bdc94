/* The library's objects, and what its parts have of each other. The streams themselves are in the camera's service. */
#ifndef STAND_INS_VDO_OBJECTS_H
#define STAND_INS_VDO_OBJECTS_H

#include <stdbool.h>
#include <vdo-stream.h>

#include "client.h"
#include "vdo_camera.h"
#include "vdo_line.h"

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

/* Memory of the service for one picture, mapped here. */
struct slot {
    gint fd;
    gsize offset, capacity;
    guint8 *data;
    VdoFrame *explicit; /* of a slot made by vdo_stream_buffer_alloc */
};

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

struct _VdoStream {
    GObject object;
    VdoStream *next; /* of all streams of this process */
    struct line *line;
    struct vdo_facts facts; /* what the service gives; of a stream of another program, and the stream 0, only the id counts */
    VdoMap *settings;
    VdoBufferFinalizer finalizer;
    bool own, explicit, blocking, running;
    guint timeout_ms;
    gint frames; /* the socket from which frames come */
    gint event_fd;
    guint start, delivered;
    struct slot slots[VDO_MOST_SLOTS];
    guint slot_count;
};

void fail(GError **error, gint code, const char *message);
bool is_denied(GError **error);

size_t encode_map(const VdoMap *map, uint8_t *data, size_t room);
void decode_map(VdoMap *map, const uint8_t *data, size_t size);

VdoFrame *frame_of_slot(VdoStream *stream, struct slot *slot, gpointer opaque);
void release_slot(VdoStream *stream, struct slot *slot);
void unmap_slot(struct slot *slot);
bool map_slots(VdoStream *stream, struct line_message *answer);

struct line *open_line(GError **error);
struct line_message *ask(struct line *line, guint32 kind, const void *data, size_t size, GError **error);
bool order(VdoStream *stream, guint32 kind, const void *data, size_t size, GError **error);
bool give_back(VdoStream *stream, enum vdo_use use, guint slot);

bool attach_events(VdoStream *stream, GError **error);
void close_events(VdoStream *stream);
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
