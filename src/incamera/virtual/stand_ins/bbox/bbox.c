/* The stand-in of bbox: boxes that the camera's service draws into the pictures that it encodes, of all programs. */
#include <bbox.h>
#include <math.h>
#include <stdarg.h>

#include "client.h"
#include "draw_line.h"

#define CHANNELS 2 /* as the stand-in of VDO has them: 0 and 1 */

struct pen {
    uint8_t rgba[4], thickness;
    bool corners, scene;
};

struct bbox_t {
    struct line *line;
    struct draw_shapes head;
    struct pen pen;
    /* Shapes as the service takes them, which are not shown yet. */
    uint8_t *drawn;
    size_t count, size;
    float path[DRAW_MOST_POINTS][2];
    size_t path_count;
};

engine_function engine_drawing;

static const struct engine own_engines[] = {{"bbox", engine_drawing}, {0}};
static const struct pen new_pen = {.rgba = {255, 0, 0, 255}, .thickness = 2};

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
    if (is_denied() || count == 0 || count > DRAW_CHANNELS) {
        errno = is_denied() ? EACCES : EINVAL;
        return NULL;
    }
    struct bbox_t *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    for (size_t n = 0; n < count; n++)
        self->head.channels[n] = channels[n];
    self->head.channel_count = (uint32_t)count;
    self->pen = new_pen;
    for (size_t n = 0; n < count; n++)
        if (channels[n] >= CHANNELS) {
            free(self);
            errno = ENODEV;
            return NULL;
        }
    self->line = line_open(own_engines);
    if (self->line)
        return self;
    free(self);
    errno = ECONNREFUSED;
    return NULL;
}

bbox_t *bbox_new(size_t n_channels, ...)
{
    bbox_channel_t channels[DRAW_CHANNELS];
    va_list arguments;
    va_start(arguments, n_channels);
    for (size_t n = 0; n < n_channels && n < DRAW_CHANNELS; n++)
        channels[n] = va_arg(arguments, bbox_channel_t);
    va_end(arguments);
    return make(channels, n_channels);
}

bbox_t *bbox_view_new(bbox_channel_t view)
{
    return make(&view, 1);
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
    self->count = self->size = 0;
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
    struct draw_shape shape = {.thickness = self->pen.thickness,
                               .scene = self->pen.scene,
                               .corners = corners && self->pen.corners,
                               .count = (uint8_t)count};
    for (size_t n = 0; n < count; n++)
        if (!isfinite(points[n][0]) || !isfinite(points[n][1]))
            return refuse(EINVAL);
    if (self->count == DRAW_MOST_SHAPES)
        return refuse(ENOSPC);
    uint8_t *drawn = realloc(self->drawn, self->size + sizeof shape + count * sizeof *points);
    if (!drawn)
        return false;
    memcpy(shape.rgba, self->pen.rgba, sizeof shape.rgba);
    memcpy(drawn + self->size, &shape, sizeof shape);
    memcpy(drawn + self->size + sizeof shape, points, count * sizeof *points);
    self->drawn = drawn;
    self->size += sizeof shape + count * sizeof *points;
    self->count++;
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
    if (self->path_count == DRAW_MOST_POINTS)
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

/* How many of the bytes from OFFSET on fit into one message: whole shapes. */
static size_t part_from(const bbox_t *self, size_t offset)
{
    size_t end = offset, room = LINE_BYTES - sizeof self->head;
    while (end < self->size) {
        const struct draw_shape *shape = (const struct draw_shape *)(self->drawn + end);
        size_t next = end + sizeof *shape + shape->count * sizeof *shape->points;
        if (next - offset > room)
            break;
        end = next;
    }
    return end - offset;
}

/* Send all shapes. False if the service has ended. */
static bool send_shapes(bbox_t *self, uint8_t *message)
{
    size_t offset = 0;
    do {
        size_t size = part_from(self, offset);
        self->head.more = offset + size < self->size;
        memcpy(message, &self->head, sizeof self->head);
        if (size)
            memcpy(message + sizeof self->head, self->drawn + offset, size);
        struct line_message *answer = line_ask(self->line, DRAW_SHAPES, message, sizeof self->head + size);
        if (!answer)
            return false;
        line_free(answer);
        offset += size;
    } while (offset < self->size);
    return true;
}

/* Send all shapes. A service that was started anew knows nothing of this program: the line is opened again. */
static bool show(bbox_t *self)
{
    uint8_t *message = malloc(LINE_BYTES);
    bool good = message && send_shapes(self, message);
    if (message && !good && line_is_own(self->line)) {
        struct line *line = line_open(own_engines);
        if (line) {
            line_close(self->line);
            self->line = line;
            good = send_shapes(self, message);
        }
    }
    free(message);
    return good;
}

/* Show what was drawn, in place of what was shown. Nothing waits for a frame: WHEN_US is taken and has no effect. */
bool bbox_commit(bbox_t *self, int64_t when_us)
{
    if (when_us < 0)
        return refuse(EINVAL);
    bool good = show(self);
    bbox_clear(self);
    return good ? true : refuse(ECONNREFUSED);
}

bool bbox_destroy(bbox_t *self)
{
    if (!self)
        return refuse(EINVAL);
    bbox_clear(self);
    if (line_is_own(self->line))
        show(self); /* what it has shown is gone when this returns */
    line_close(self->line);
    free(self->drawn);
    free(self);
    return true;
}
