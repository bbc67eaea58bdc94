/* How boxes and overlays are drawn into the pictures that the engine of video encodes.

   In the service, all engines are in one program. Where there is none, the library of VDO looks for incamera_draw in the
   libraries that the program has loaded: they do not need each other. */
#ifndef STAND_INS_DRAWING_H
#define STAND_INS_DRAWING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A picture as NV12, before it is encoded. */
struct incamera_picture {
    uint8_t *y, *uv;
    size_t pitch;
    unsigned width, height, channel, stream, rotation;
    /* The columns of the whole scene, before it was turned, and the first of them that the picture shows. */
    unsigned across, left;
};

/* Draws what is shown over the picture, and tells whether there is anything. Without pixels (y), it only tells. */
typedef bool incamera_draw_function(const struct incamera_picture *picture);
/* What a library that draws exports. */
#define INCAMERA_DRAW "incamera_draw"
/* All of them. */
incamera_draw_function drawers_draw;

/* Lay a colour over a pixel. ALPHA 255 hides what was there. What is outside of the picture is left out. */
static inline void draw_pixel(const struct incamera_picture *picture, int x, int y, const uint8_t *rgb, unsigned alpha)
{
    if (alpha == 0 || x < 0 || y < 0 || x >= (int)picture->width || y >= (int)picture->height)
        return;
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int luma = (77 * r + 150 * g + 29 * b) / 256;
    uint8_t *at = picture->y + (size_t)y * picture->pitch + x;
    *at = (uint8_t)((*at * (255 - (int)alpha) + luma * (int)alpha) / 255);
    if (x % 2 || y % 2)
        return;
    int colors[2] = {128 + (-43 * r - 85 * g + 128 * b) / 256, 128 + (128 * r - 107 * g - 21 * b) / 256};
    uint8_t *uv = picture->uv + (size_t)(y / 2) * picture->pitch + x;
    for (int n = 0; n < 2; n++) {
        int color = colors[n] > 255 ? 255 : colors[n];
        uv[n] = (uint8_t)((uv[n] * (255 - (int)alpha) + color * (int)alpha) / 255);
    }
}

/* Lay a pixel of ARGB32 over the picture; its colours are multiplied by its opacity. */
static inline void draw_argb(const struct incamera_picture *picture, int x, int y, const uint8_t *bgra)
{
    unsigned alpha = bgra[3];
    uint8_t rgb[3];
    for (int n = 0; n < 3 && alpha; n++) {
        unsigned value = bgra[2 - n] * 255u / alpha;
        rgb[n] = (uint8_t)(value > 255 ? 255 : value);
    }
    draw_pixel(picture, x, y, rgb, alpha);
}

#endif
