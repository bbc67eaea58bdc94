/* Which picture a stream has: its format, its size, and which part of the scene it shows. */
#include "objects.h"

#include <string.h>

enum { MOST_PITCH_STEP = 8192 };

bool is_encoded(guint format)
{
    return format == VDO_FORMAT_JPEG || format == VDO_FORMAT_H264;
}

static guint round_up(guint value, guint step)
{
    return (value + step - 1) / step * step;
}

static bool fits_sensor(guint width, guint height)
{
    const VdoResolution *largest = &camera_resolutions[CAMERA_RESOLUTIONS - 1];
    return width <= largest->width && height <= largest->height;
}

static bool choose_size(struct stream *self)
{
    struct geometry *geometry = &self->geometry;
    guint width = 0, height = 0;
    size_of_settings(&self->settings, &width, &height);
    geometry->width = number_of(&self->settings, "width", width);
    geometry->height = number_of(&self->settings, "height", height);
    bool upright = self->facts.rotation % 180 != 0;
    if (geometry->width == 0 && geometry->height == 0)
        geometry->width = upright ? 720 : 1280, geometry->height = upright ? 1280 : 720;
    guint across = upright ? geometry->height : geometry->width, down = upright ? geometry->width : geometry->height;
    if (!fits_sensor(across, down) || across < 128 || down < 32)
        return refuse(self, VDO_ERROR_INVALID_ARGUMENT, "the camera has no such resolution");
    /* The nearest size that the image pipeline can do. */
    across &= ~7u;
    down &= ~1u;
    geometry->width = upright ? down : across;
    geometry->height = upright ? across : down;
    return true;
}

/* The sensor has 16:9. Cut a picture of another shape out of its middle, or squeeze the whole scene into it. */
static void choose_part(struct geometry *geometry, bool crop)
{
    guint whole = geometry->height * 16 / 9;
    geometry->across = crop && whole > geometry->width ? whole : geometry->width;
    geometry->left = (geometry->across - geometry->width) / 2;
}

static void choose_bytes(struct geometry *geometry, guint step)
{
    gsize rows = geometry->height;
    guint bytes = geometry->width;
    if (geometry->format == VDO_FORMAT_RGB)
        bytes *= 3;
    else if (geometry->format == VDO_FORMAT_PLANAR_RGB)
        rows *= 3;
    else if (!geometry->y800)
        rows += rows / 2;
    geometry->pitch = round_up(bytes, step ? step : 1);
    geometry->size = rows * geometry->pitch;
}

bool choose_geometry(struct stream *self)
{
    struct geometry *geometry = &self->geometry;
    const struct vdo_wish *wish = &self->wish;
    geometry->format = wish->format ? wish->format : number_of(&self->settings, "format", VDO_FORMAT_H264);
    geometry->y800 = geometry->format == VDO_FORMAT_YUV && text_is(&self->settings, "subformat", "Y800", false);
    bool known = geometry->format != VDO_FORMAT_YUV || geometry->y800 ||
                 text_is(&self->settings, "subformat", "NV12", true);
    if (!camera_has_format(geometry->format) || !known)
        return refuse(self, VDO_ERROR_NOT_SUPPORTED, "the camera has no such format");
    if (self->facts.rotation % 90 != 0 || self->facts.rotation >= 360)
        return refuse(self, VDO_ERROR_INVALID_ARGUMENT, "the camera cannot rotate by this angle");
    if (wish->pitch_step > MOST_PITCH_STEP)
        return refuse(self, VDO_ERROR_INVALID_ARGUMENT, "rows cannot be a multiple of so many bytes");
    if (!choose_size(self))
        return false;
    struct geometry *scene = &self->scene_geometry;
    *scene = *geometry;
    if (self->facts.rotation % 180 != 0)
        scene->width = geometry->height, scene->height = geometry->width;
    if (is_encoded(geometry->format))
        scene->format = VDO_FORMAT_YUV;
    choose_part(scene, wish->has_fit && text_is(&self->settings, "image.fit", "crop", false));
    choose_bytes(scene, 1);
    geometry->across = scene->across;
    geometry->left = scene->left;
    choose_bytes(geometry, is_encoded(geometry->format) ? 1 : wish->pitch_step);
    return true;
}

/* How many bytes a pixel of a plane has, and how the planes lie: NV12 is Y and then half as many rows of pairs. */
static void turn_plane(const guint8 *from, gsize pitch, guint width, guint height, guint bytes, guint8 *to,
                       gsize to_pitch, guint rotation)
{
    for (guint y = 0; y < height; y++)
        for (guint x = 0; x < width; x++) {
            guint column = rotation == 90 ? height - 1 - y : rotation == 180 ? width - 1 - x : y;
            guint row = rotation == 90 ? x : rotation == 180 ? height - 1 - y : width - 1 - x;
            memcpy(to + row * to_pitch + (gsize)column * bytes, from + y * pitch + (gsize)x * bytes, bytes);
        }
}

/* Turn the picture FROM clockwise. */
void turn_picture(const guint8 *from, const struct geometry *geometry, guint8 *to, const struct geometry *turned,
                  guint rotation)
{
    guint width = geometry->width, height = geometry->height;
    gsize pitch = geometry->pitch, to_pitch = turned->pitch;
    if (geometry->format == VDO_FORMAT_RGB) {
        turn_plane(from, pitch, width, height, 3, to, to_pitch, rotation);
        return;
    }
    turn_plane(from, pitch, width, height, 1, to, to_pitch, rotation);
    from += pitch * height;
    to += to_pitch * turned->height;
    if (geometry->format == VDO_FORMAT_PLANAR_RGB) {
        turn_plane(from, pitch, width, height, 1, to, to_pitch, rotation);
        turn_plane(from + pitch * height, pitch, width, height, 1, to + to_pitch * turned->height, to_pitch, rotation);
    } else if (!geometry->y800) {
        turn_plane(from, pitch, width / 2, height / 2, 2, to, to_pitch, rotation);
    }
}
