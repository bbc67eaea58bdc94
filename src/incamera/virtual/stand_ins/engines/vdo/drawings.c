/* What other libraries of the camera draw over the video: boxes and overlays, in the pictures that are encoded. */
#include "objects.h"

#include <string.h>

/* The picture of a stream, without pixels. */
static struct incamera_picture target_of(const struct stream *self)
{
    const struct geometry *geometry = &self->geometry;
    return (struct incamera_picture){
        .pitch = geometry->pitch,
        .width = geometry->width,
        .height = geometry->height,
        .channel = number_of(&self->settings, "channel", 1),
        .stream = self->facts.id,
        .rotation = self->facts.rotation,
        .across = geometry->across,
        .left = geometry->left,
    };
}

/* Whether a program draws over the stream's pictures. */
bool is_drawn_over(const struct stream *self)
{
    const struct incamera_picture target = target_of(self);
    return drawers_draw(&target);
}

/* The picture with what is drawn over it: PICTURE itself if there is nothing. */
const guint8 *draw_over(struct stream *self, const guint8 *picture)
{
    const struct geometry *geometry = &self->geometry;
    struct incamera_picture target = target_of(self);
    if (!drawers_draw(&target))
        return picture;
    if (!self->drawn_over)
        self->drawn_over = malloc(geometry->size);
    if (!self->drawn_over)
        return picture;
    memcpy(self->drawn_over, picture, geometry->size);
    target.y = self->drawn_over;
    target.uv = target.y + geometry->pitch * geometry->height;
    drawers_draw(&target);
    return self->drawn_over;
}
