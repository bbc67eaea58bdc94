/* Boxes and lines that lie over the video. */
#include "boards.h"

#include <math.h>

enum { MOST_THICKNESS = 16 };

/* Far outside, but not so far that the part inside could no longer be told. */
static double limit(double coordinate)
{
    return fmax(-1000, fmin(1000, coordinate));
}

/* The place of a point in the picture, in pixels. */
static void place(const struct incamera_picture *picture, const struct draw_shape *shape, const float *point, double *at)
{
    double x = limit(point[0]), y = limit(point[1]);
    if (shape->scene) {
        unsigned turned = picture->rotation % 180;
        double width = turned ? picture->height : picture->width;
        x = (x * picture->across - picture->left) / width;
        double upright = x, down = y;
        switch (picture->rotation) {
        case 90: x = 1 - down, y = upright; break;
        case 180: x = 1 - upright, y = 1 - down; break;
        case 270: x = down, y = 1 - upright; break;
        }
    }
    at[0] = x * (picture->width - 1);
    at[1] = y * (picture->height - 1);
}

/* Cut the line off where it leaves the picture. False if all of it is outside. */
static bool cut(const struct incamera_picture *picture, double from[2], double to[2])
{
    double start = 0, end = 1;
    const double limits[2] = {picture->width - 1.0, picture->height - 1.0};
    for (int axis = 0; axis < 2; axis++) {
        double step = to[axis] - from[axis];
        const double rests[2] = {-from[axis], limits[axis] - from[axis]};
        if (step == 0) {
            if (rests[0] > 0 || rests[1] < 0)
                return false;
            continue;
        }
        double one = rests[step < 0] / step, other = rests[step > 0] / step;
        start = one > start ? one : start;
        end = other < end ? other : end;
    }
    if (start > end)
        return false;
    for (int axis = 0; axis < 2; axis++) {
        double origin = from[axis], step = to[axis] - from[axis];
        from[axis] = origin + start * step;
        to[axis] = origin + end * step;
    }
    return true;
}

static void draw_line(const struct incamera_picture *picture, const struct draw_shape *shape, const double *a, const double *b)
{
    double from[2] = {a[0], a[1]}, to[2] = {b[0], b[1]};
    if (!cut(picture, from, to))
        return;
    double across = fabs(to[0] - from[0]), down = fabs(to[1] - from[1]);
    int steps = (int)lround(across > down ? across : down), side = (int)shape->thickness;
    for (int step = 0; step <= steps; step++) {
        double part = steps ? (double)step / steps : 0;
        int x = (int)lround(from[0] + part * (to[0] - from[0])) - side / 2;
        int y = (int)lround(from[1] + part * (to[1] - from[1])) - side / 2;
        /* A line that leans to the right is as thick from top to bottom; the other kind, from left to right. */
        for (int n = 0; n < side; n++)
            draw_pixel(picture, across > down ? x + side / 2 : x + n, across > down ? y + n : y + side / 2, shape->rgba,
                       shape->rgba[3]);
    }
}

static void draw_shape(const struct incamera_picture *picture, const struct draw_shape *shape)
{
    for (size_t n = 0; n + 1 < shape->count; n++) {
        double from[2], to[2];
        place(picture, shape, shape->points[n], from);
        place(picture, shape, shape->points[n + 1], to);
        if (!shape->corners) {
            draw_line(picture, shape, from, to);
            continue;
        }
        /* A quarter of each side, at both ends of it. */
        double near[2], far[2];
        for (int axis = 0; axis < 2; axis++) {
            near[axis] = from[axis] + (to[axis] - from[axis]) / 4;
            far[axis] = to[axis] - (to[axis] - from[axis]) / 4;
        }
        draw_line(picture, shape, from, near);
        draw_line(picture, shape, far, to);
    }
}

/* The shape at OFFSET; NULL at the end, or if it is damaged. */
static const struct draw_shape *shape_at(const uint8_t *data, size_t size, size_t offset, size_t *next)
{
    if (size - offset < sizeof(struct draw_shape))
        return NULL;
    const struct draw_shape *shape = (const struct draw_shape *)(data + offset);
    *next = offset + sizeof *shape + shape->count * sizeof *shape->points;
    return shape->count <= DRAW_MOST_POINTS && shape->thickness <= MOST_THICKNESS && *next <= size ? shape : NULL;
}

/* Add the shapes of a message. False if they are damaged, or too many. */
bool shapes_add(struct shapes *shapes, const struct line_message *request)
{
    const struct draw_shapes *head = line_content(request, sizeof *head);
    size_t count = 0, size = head ? request->size - sizeof *head : 0;
    if (!head || head->channel_count > DRAW_CHANNELS)
        return false;
    for (size_t offset = 0; offset < size; count++)
        if (!shape_at(request->data + sizeof *head, size, offset, &offset))
            return false;
    uint8_t *data = shapes->count + count <= DRAW_MOST_SHAPES ? realloc(shapes->data, shapes->size + size + 1) : NULL;
    if (!data)
        return false;
    memcpy(data + shapes->size, request->data + sizeof *head, size);
    shapes->head = *head;
    shapes->data = data;
    shapes->size += size;
    shapes->count += count;
    return true;
}

void shapes_drop(struct shapes *shapes)
{
    free(shapes->data);
    *shapes = (struct shapes){0};
}

static bool has_channel(const struct shapes *shapes, unsigned channel)
{
    for (uint32_t n = 0; n < shapes->head.channel_count; n++)
        if (shapes->head.channels[n] == channel)
            return true;
    return false;
}

bool shapes_draw(const struct shapes *shapes, const struct incamera_picture *picture)
{
    if (shapes->count == 0 || !has_channel(shapes, picture->channel))
        return false;
    for (size_t offset = 0; picture->y && offset < shapes->size;)
        draw_shape(picture, shape_at(shapes->data, shapes->size, offset, &offset));
    return true;
}
