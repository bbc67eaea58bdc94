/* What the libraries that draw over the video say to their engine. All that a line shows ends with it. */
#ifndef STAND_INS_DRAW_LINE_H
#define STAND_INS_DRAW_LINE_H

#include <stdint.h>

enum draw_request {
    DRAW_SHAPES = 16, /* struct draw_shapes, and shapes: shown in place of those before */
    DRAW_OVERLAY,     /* struct draw_overlay. Answer: uint32_t, the overlay's number; memory for each of its buffers */
    DRAW_SHOW,        /* struct draw_show */
    DRAW_REMOVE,      /* uint32_t: an overlay's number */
    DRAW_STREAMS,     /* answer: a pipe with a struct draw_stream for each stream that is drawn for the first time */
};
/* An answer with another code than 0 is refused: EINVAL, ENOSPC. */

enum { DRAW_CHANNELS = 16, DRAW_MOST_POINTS = 64, DRAW_MOST_SHAPES = 4096, DRAW_BUFFERS = 2, DRAW_MOST_SIDE = 4096 };

struct draw_shapes {
    uint32_t more; /* other messages follow before all are shown */
    uint32_t channel_count, channels[DRAW_CHANNELS];
};

/* A line of points, drawn with one pen. Four points that end where they began may be drawn as corners alone. Coordinates
   are parts of the picture, or of the scene before it was turned and cut. */
struct draw_shape {
    uint8_t rgba[4], thickness, corners, scene, count;
    float points[][2];
};

/* A picture in ARGB32, whose colours are multiplied by its opacity. */
struct draw_overlay {
    uint32_t width, height, step; /* each pixel is drawn STEP times STEP times */
    uint32_t any, stream;         /* over all streams, or one */
};

struct draw_show {
    uint32_t number, buffer; /* a buffer that is not there hides the overlay */
    int32_t left, top;
};

struct draw_stream {
    uint32_t id, channel, width, height, rotation;
};

#endif
