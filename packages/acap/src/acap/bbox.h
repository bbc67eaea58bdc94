/* The camera's library for boxes over the video, opened at run time. */
#ifndef ACAP_BBOX_H
#define ACAP_BBOX_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "bbox_functions.h"
#include "library.h"

typedef struct bbox_t bbox_t;
typedef uint32_t bbox_channel_t;
typedef struct {
    uint32_t value : 32;
} bbox_color_t;

static struct {
    BBOX_FUNCTIONS(LIBRARY_POINTER)
} bbox;

static const struct library_function bbox_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&bbox.name - (char *)&bbox)},
    BBOX_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define BBOX_COUNT (sizeof bbox_table / sizeof *bbox_table)

static const char *bbox_open(const char *soname)
{
    return library_open(soname, &bbox, bbox_table, BBOX_COUNT);
}

/* The first function that the library lacks, or NULL; *SINCE: the AXIS OS that has it. */
static const char *bbox_lacks(const char *const *names, const char **since)
{
    const struct library_function *function = library_lacks(names, &bbox, bbox_table, BBOX_COUNT);
    if (!function)
        return NULL;
    *since = function->since;
    return function->name;
}

enum { BBOX_MOST_CHANNELS = 8 };

/* CHANNELS has room for BBOX_MOST_CHANNELS: the library reads the first COUNT. */
static bbox_t *bbox_new_of(size_t count, const uint32_t *channels)
{
    return bbox.bbox_new(count, channels[0], channels[1], channels[2], channels[3], channels[4], channels[5],
                         channels[6], channels[7]);
}

static bool bbox_set_color(bbox_t *self, const uint8_t *rgba)
{
    return bbox.bbox_color(self, rgba[3] == 255 ? bbox.bbox_color_from_rgb(rgba[0], rgba[1], rgba[2])
                                                : bbox.bbox_color_from_rgba(rgba[0], rgba[1], rgba[2], rgba[3]));
}

#endif
