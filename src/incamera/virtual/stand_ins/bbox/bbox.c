/* The stand-in of bbox: boxes that the program shows are drawn into the pictures that the stand-in of VDO encodes. */
#include <bbox.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

#define CHANNELS 2 /* as the stand-in of VDO has them: 0 and 1 */
#define MOST_CHANNELS 16
#define MOST_SHAPES 4096
#define MOST_POINTS 64

/* A line of points, drawn with one pen. Four points that end where they began may be drawn as corners alone. */
struct shape {
    uint8_t rgba[4];
    unsigned thickness;
    bool corners, scene;
    size_t count;
    float points[][2];
};

struct shapes {
    struct shape **all;
    size_t count;
};

struct pen {
    uint8_t rgba[4];
    unsigned thickness;
    bool corners, scene;
};

struct bbox_t {
    struct bbox_t *next;
    bbox_channel_t channels[MOST_CHANNELS];
    size_t channel_count;
    struct pen pen;
    struct shapes drawn, shown;
    float path[MOST_POINTS][2];
    size_t path_count;
};

/* All that are there, and what they show. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bbox_t *first;

static const struct pen new_pen = {.rgba = {255, 0, 0, 255}, .thickness = 2};

static void clear(struct shapes *shapes)
{
    for (size_t n = 0; n < shapes->count; n++)
        free(shapes->all[n]);
    free(shapes->all);
    memset(shapes, 0, sizeof *shapes);
}

static bool refuse(int code)
{
    errno = code;
    return false;
}

/* An app that lacks the group `video`. */
static bool is_denied(void)
{
    const char *text = getenv("INCAMERA_BBOX_DENIED");
    return text && strcmp(text, "1") == 0;
}

static struct bbox_t *make(const bbox_channel_t *channels, size_t count)
{
    if (is_denied() || count == 0 || count > MOST_CHANNELS) {
        errno = is_denied() ? EACCES : EINVAL;
        return NULL;
    }
    struct bbox_t *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    for (size_t n = 0; n < count; n++) {
        if (channels[n] >= CHANNELS) {
            free(self);
            errno = ENODEV;
            return NULL;
        }
        self->channels[n] = channels[n];
    }
    self->channel_count = count;
    self->pen = new_pen;
    pthread_mutex_lock(&lock);
    self->next = first;
    first = self;
    pthread_mutex_unlock(&lock);
    return self;
}

bbox_t *bbox_new(size_t n_channels, ...)
{
    bbox_channel_t channels[MOST_CHANNELS];
    va_list arguments;
    va_start(arguments, n_channels);
    for (size_t n = 0; n < n_channels && n < MOST_CHANNELS; n++)
        channels[n] = va_arg(arguments, bbox_channel_t);
    va_end(arguments);
    return make(channels, n_channels);
}

bbox_t *bbox_view_new(bbox_channel_t view)
{
    return make(&view, 1);
}

bool bbox_destroy(bbox_t *self)
{
    if (!self)
        return refuse(EINVAL);
    pthread_mutex_lock(&lock);
    for (struct bbox_t **place = &first; *place; place = &(*place)->next)
        if (*place == self) {
            *place = self->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    clear(&self->drawn);
    clear(&self->shown);
    free(self);
    return true;
}

bool bbox_coordinates_scene_normalized(bbox_t *self)
{
    self->pen.scene = true;
    return true;
}

bool bbox_coordinates_frame_normalized(bbox_t *self)
{
    self->pen.scene = false;
    return true;
}

bool bbox_video_output(bbox_t *self, bool enabled)
{
    (void)self, (void)enabled; /* there is no output for a screen */
    return true;
}

/* The bytes of a colour as they lie in memory. */
bbox_color_t bbox_color_from_rgba(uint8_t r, uint8_t g, uint8_t b, uint8_t a)
{
    const uint8_t rgba[4] = {r, g, b, a};
    bbox_color_t color;
    memcpy(&color, rgba, sizeof color);
    return color;
}

bbox_color_t bbox_color_from_rgb(uint8_t r, uint8_t g, uint8_t b)
{
    return bbox_color_from_rgba(r, g, b, 255);
}

bool bbox_color(bbox_t *self, bbox_color_t color)
{
    memcpy(self->pen.rgba, &color, sizeof self->pen.rgba);
    return true;
}

bool bbox_clear(bbox_t *self)
{
    clear(&self->drawn);
    self->path_count = 0;
    return true;
}

bool bbox_style_outline(bbox_t *self)
{
    self->pen.corners = false;
    return true;
}

bool bbox_style_corners(bbox_t *self)
{
    self->pen.corners = true;
    return true;
}

bool bbox_thickness_thin(bbox_t *self)
{
    self->pen.thickness = 2;
    return true;
}

bool bbox_thickness_medium(bbox_t *self)
{
    self->pen.thickness = 4;
    return true;
}

bool bbox_thickness_thick(bbox_t *self)
{
    self->pen.thickness = 8;
    return true;
}

static bool add(bbox_t *self, const float (*points)[2], size_t count, bool corners)
{
    struct shapes *drawn = &self->drawn;
    for (size_t n = 0; n < count; n++)
        if (!isfinite(points[n][0]) || !isfinite(points[n][1]))
            return refuse(EINVAL);
    if (drawn->count == MOST_SHAPES)
        return refuse(ENOSPC);
    struct shape **all = realloc(drawn->all, (drawn->count + 1) * sizeof *all);
    if (!all)
        return false;
    drawn->all = all;
    struct shape *shape = calloc(1, sizeof *shape + count * sizeof *points);
    if (!shape)
        return false;
    memcpy(shape->rgba, self->pen.rgba, sizeof shape->rgba);
    shape->thickness = self->pen.thickness;
    shape->scene = self->pen.scene;
    shape->corners = corners && self->pen.corners;
    shape->count = count;
    memcpy(shape->points, points, count * sizeof *points);
    all[drawn->count++] = shape;
    return true;
}

bool bbox_rectangle(bbox_t *self, float x1, float y1, float x2, float y2)
{
    const float points[][2] = {{x1, y1}, {x2, y1}, {x2, y2}, {x1, y2}, {x1, y1}};
    return add(self, points, 5, true);
}

bool bbox_quad(bbox_t *self, float x1, float y1, float x2, float y2, float x3, float y3, float x4, float y4)
{
    const float points[][2] = {{x1, y1}, {x2, y2}, {x3, y3}, {x4, y4}, {x1, y1}};
    return add(self, points, 5, true);
}

bool bbox_line(bbox_t *self, float x1, float y1, float x2, float y2)
{
    const float points[][2] = {{x1, y1}, {x2, y2}};
    return add(self, points, 2, false);
}

bool bbox_move_to(bbox_t *self, float x, float y)
{
    self->path[0][0] = x;
    self->path[0][1] = y;
    self->path_count = 1;
    return true;
}

bool bbox_line_to(bbox_t *self, float x, float y)
{
    if (self->path_count == 0)
        return refuse(EINVAL);
    if (self->path_count == MOST_POINTS)
        return refuse(ENOSPC);
    self->path[self->path_count][0] = x;
    self->path[self->path_count++][1] = y;
    return true;
}

bool bbox_draw_path(bbox_t *self)
{
    size_t count = self->path_count;
    self->path_count = 0;
    if (count < 2)
        return refuse(EINVAL);
    return add(self, (const float(*)[2])self->path, count, false);
}

/* Show what was drawn, in place of what was shown. Nothing waits for a frame: WHEN_US is taken and has no effect. */
bool bbox_commit(bbox_t *self, int64_t when_us)
{
    if (when_us < 0)
        return refuse(EINVAL);
    pthread_mutex_lock(&lock);
    struct shapes before = self->shown;
    self->shown = self->drawn;
    memset(&self->drawn, 0, sizeof self->drawn);
    pthread_mutex_unlock(&lock);
    clear(&before);
    self->path_count = 0;
    return true;
}
