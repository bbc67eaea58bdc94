#ifndef CAMERA_H
#define CAMERA_H

#include <stddef.h>
#include <stdint.h>

/* One frame: NV12 with rows of PITCH bytes, or what was encoded. DATA is freed with free(). */
struct picture {
    unsigned width, height, pitch, sequence;
    uint64_t microseconds;
    uint8_t *data;
    size_t size;
};

/* Where the headers of the camera's libraries are from: "image" or "builtin". */
const char *headers(void);
/* Each returns NULL, or what went wrong. */
const char *capture(unsigned width, unsigned height, int encoded, struct picture *picture);
const char *show_box(float x1, float y1, float x2, float y2);
const char *hide_box(void);
/* OUTPUTS: room for MOST bytes; SIZE: those of all outputs, one after the other. */
const char *infer(int model, const struct picture *nv12, uint8_t *outputs, size_t most, size_t *size);

#endif
