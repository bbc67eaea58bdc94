#ifndef READER_H
#define READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DIGITS = 13 };

/* A picture of one byte for each pixel. The rows are PITCH bytes apart, which may be more than WIDTH. */
struct picture {
    const uint8_t *pixels;
    ptrdiff_t width, height, pitch;
};

/* Find a barcode (EAN-13) that lies across the picture, in either direction. Write its digits and a 0 to DIGITS. */
bool read_barcode(const struct picture *picture, char digits[DIGITS + 1]);

#endif
