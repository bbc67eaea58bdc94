/* The camera's library for pictures over the video, opened at run time. */
#ifndef ACAP_AXOVERLAY2_H
#define ACAP_AXOVERLAY2_H

#include <stdbool.h>
#include <stdint.h>

#include "axoverlay2_functions.h"
#include "library.h"

typedef struct axo_settings axo_settings;
typedef struct axo_props axo_props;
typedef struct axo_match axo_match;
typedef struct axo_buffer axo_buffer;
typedef struct axo_request axo_request;
typedef struct axo_submit axo_submit;
typedef struct axo_err axo_err;
typedef int axo_err_code;
typedef int axo_format;

enum { OVERLAY_ARGB32 = 1, OVERLAY_INVALID = 1, OVERLAY_WAIT = 3, OVERLAY_NO_STREAM = 4 };

static struct {
    AXOVERLAY2_FUNCTIONS(LIBRARY_POINTER)
} axoverlay2;

static const struct library_function axoverlay2_table[] = {
#define FUNCTION(result, name, arguments, since) \
    {#name, since, (size_t)((char *)&axoverlay2.name - (char *)&axoverlay2)},
    AXOVERLAY2_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define AXOVERLAY2_COUNT (sizeof axoverlay2_table / sizeof *axoverlay2_table)

static const char *axoverlay2_open(const char *soname)
{
    return library_open(soname, &axoverlay2, axoverlay2_table, AXOVERLAY2_COUNT);
}

/* The first function that the library lacks, or NULL; *SINCE: the AXIS OS that has it. */
static const char *axoverlay2_lacks(const char **since)
{
    for (size_t number = 0; number < AXOVERLAY2_COUNT; number++) {
        const char *names[] = {axoverlay2_table[number].name, NULL};
        if (library_lacks(names, &axoverlay2, axoverlay2_table, AXOVERLAY2_COUNT)) {
            *since = axoverlay2_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

/* A buffer is the device's memory: write each byte of it once, in order, and read none. Its rows have WIDTH pixels. The
   picture of RGBA, across pixels wide and down high, comes to LEFT, TOP; all else becomes clear. */
static void overlay_fill(uint32_t *to, unsigned width, unsigned height, const uint8_t *rgba, unsigned across,
                         unsigned down, unsigned left, unsigned top)
{
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            uint32_t pixel = 0;
            if (x >= left && x - left < across && y >= top && y - top < down) {
                const uint8_t *at = rgba + 4 * ((size_t)(y - top) * across + x - left);
                uint32_t alpha = at[3];
                /* ARGB32 has colours that are multiplied by their opacity. */
                pixel = alpha << 24 | (at[0] * alpha + 127) / 255 << 16 | (at[1] * alpha + 127) / 255 << 8 |
                        (at[2] * alpha + 127) / 255;
            }
            *to++ = pixel;
        }
}

#endif
