/* What libvdostream and the engine of video say to each other.

   A line that begins with VDO_CREATE is one stream, from then on until it ends. The answer brings a second socket: for each
   frame, the engine sends a struct vdo_picture there, and the library gives buffers back with a struct vdo_give. So the
   second socket is what a program waits for. */
#ifndef STAND_INS_VDO_LINE_H
#define STAND_INS_VDO_LINE_H

#include <stdint.h>

enum vdo_request {
    VDO_CREATE = 16, /* struct vdo_wish, and settings. Answer: struct vdo_facts, and settings; the socket of the frames */
    VDO_SLOTS,       /* answer: struct vdo_slot for each buffer; its memory, one file for each, or one for all */
    VDO_ALLOCATE,    /* a buffer more; answer as of VDO_SLOTS */
    VDO_START,       /* uint32_t: the number of this start, which its frames have */
    VDO_STOP,
    VDO_RATE,     /* double */
    VDO_SETTINGS, /* settings, in place of those before */
    VDO_KEY_FRAME,
    VDO_CHECK,  /* uint32_t: how many frames the program has taken. Ends the stream if a fault says so */
    VDO_EVENTS, /* answer: a pipe with a struct vdo_event for each event of the stream */
    VDO_END,    /* the stream is gone when the answer comes */
    VDO_WATCH,  /* answer: a pipe with the events of all streams */
    VDO_LIST,   /* answer: a uint32_t for each stream of the camera */
    VDO_INFO,   /* uint32_t: a stream's number. Answer: struct vdo_facts, and settings */
    VDO_DRAWN,  /* answer: uint64_t, the size of a JPEG picture with all that is drawn over the video; its file */
};
/* An answer with another code than 0 is refused with that VdoError. Its content is a message. */

enum { VDO_MOST_SLOTS = 64, VDO_MOST_SETTINGS = 16384, VDO_MOST_STREAMS = 64 };

/* A value of a map: followed by the bytes of its name, and those of the value. Numbers have eight bytes. */
struct vdo_setting {
    uint8_t kind, name_size;
    uint16_t size;
};
enum value_kind { BOOLEAN, INTEGER, UNSIGNED, REAL, TEXT, ARRAY };

struct vdo_wish {
    uint32_t snapshot;            /* one picture at once, and no start */
    uint32_t pitch_step, has_fit; /* what cameras of different AXIS OS have */
    uint32_t buffers, is_vmem;    /* how many, and whether all are in one file */
    uint32_t format;              /* 0 for both: as the settings say */
};

struct vdo_facts {
    uint32_t id, format, y800, width, height, pitch, rotation, camera_rotation, slot_count, sequence, lost, reserved;
    double framerate;
};

struct vdo_slot {
    uint32_t number, reserved;
    uint64_t offset, capacity;
};

struct vdo_picture {
    uint32_t start, slot, sequence, type;
    uint64_t timestamp;
    int64_t wall_clock, header_size;
    uint64_t size;
};

enum vdo_use { VDO_RELEASE = 1, VDO_ENQUEUE, VDO_FREE };

struct vdo_give {
    uint32_t use, slot;
};

struct vdo_event {
    uint32_t kind, id;
};

#endif
