/* The scene: a gradient, a square that moves, and a code that tells the frame's number and time.

   Brightness of the gradient: 32 + 128 * x / width, of the whole scene's columns; a picture that is cut out of the scene's
   middle begins at a later one. The square has the side height / 4, and its brightness is 235. Where it is
   depends on the time alone, so that all streams and snapshots of a camera show one scene: it crosses the scene in
   SCENE_MICROSECONDS, and begins again. On a computer, a program's scene begins with its first picture, or where
   INCAMERA_SCENE_BEGIN says. The code is in the top left corner: three lines of 32 cells, each cell four by four
   pixels, 235 for 1 and 16 for 0, the highest bit first. The lines are the sequence number, and the two halves of the
   time in microseconds.

   In a scene of at least 640 by 360 pixels there is also a label below the square's way: the barcode 2000012345678 (EAN-13),
   whose narrowest bar has a width of 1/160 of the whole scene.

   tests/unit/acap_video/scene.py has all that in Python. */
#include "objects.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scene.h"

enum { DARK = 16, BRIGHT = 235, CELL = 4, CELLS = 32, LINES = 3 };
/* The parts of a barcode: 95, with the margins 113, of 160 in the scene's width. */
enum { LABEL_WIDTH = 640, LABEL_HEIGHT = 360, PARTS = 160, LABEL_PARTS = 113, MARGIN = 11 };

/* The bars of 2000012345678, 1 for a dark one. */
static const char bars[] = "101"
                           "000110100011010100111010011100110010011011"
                           "01010"
                           "100001010111001001110101000010001001001000"
                           "101";

/* What a pixel of the square has: U, V; R, G, B. */
static const guint8 square_uv[] = {90, 240};
static const guint8 square_rgb[] = {BRIGHT, 60, 60};

static guint8 gradient(const struct geometry *geometry, guint x)
{
    return (guint8)(32 + 128 * (x + geometry->left) / geometry->across);
}

static guint8 *rgb_at(guint8 *data, const struct geometry *geometry, guint x, guint y, guint color)
{
    if (geometry->format == VDO_FORMAT_RGB)
        return data + (gsize)y * geometry->pitch + 3 * (gsize)x + color;
    return data + ((gsize)color * geometry->height + y) * geometry->pitch + x;
}

static bool is_yuv(const struct geometry *geometry)
{
    return geometry->format == VDO_FORMAT_YUV;
}

/* One row of the gradient or the square, from X on. */
static void draw_row(guint8 *data, const struct geometry *geometry, guint x, guint y, guint width, bool square)
{
    if (is_yuv(geometry)) {
        guint8 *row = data + (gsize)y * geometry->pitch + x;
        for (guint n = 0; n < width; n++)
            row[n] = square ? BRIGHT : gradient(geometry, x + n);
        if (geometry->y800 || y % 2)
            return;
        guint8 *uv = data + ((gsize)geometry->height + y / 2) * geometry->pitch + x;
        for (guint n = 0; n + 1 < width; n += 2) {
            uv[n] = square ? square_uv[0] : 128;
            uv[n + 1] = square ? square_uv[1] : 128;
        }
        return;
    }
    for (guint color = 0; color < 3; color++)
        for (guint n = 0; n < width; n++)
            *rgb_at(data, geometry, x + n, y, color) = square ? square_rgb[color] : gradient(geometry, x + n);
}

static void draw_square(guint8 *data, const struct geometry *geometry, guint x, bool square)
{
    guint side = geometry->height / 4 & ~1u;
    guint top = geometry->height / 2 & ~1u;
    for (guint y = top; y < top + side; y++)
        draw_row(data, geometry, x, y, side, square);
}

static void draw_cell(guint8 *data, const struct geometry *geometry, guint column, guint line, bool bright)
{
    guint8 value = bright ? BRIGHT : DARK;
    for (guint y = line * CELL; y < (line + 1) * CELL; y++) {
        if (is_yuv(geometry)) {
            memset(data + (gsize)y * geometry->pitch + column * CELL, value, CELL);
            continue;
        }
        for (guint color = 0; color < 3; color++)
            for (guint x = column * CELL; x < (column + 1) * CELL; x++)
                *rgb_at(data, geometry, x, y, color) = value;
    }
}

static void draw_code(guint8 *data, const struct geometry *geometry, guint sequence, guint64 timestamp)
{
    const guint32 lines[LINES] = {sequence, (guint32)(timestamp >> 32), (guint32)timestamp};
    for (guint line = 0; line < LINES; line++)
        for (guint column = 0; column < CELLS; column++)
            draw_cell(data, geometry, column, line, lines[line] >> (CELLS - 1 - column) & 1);
}

static void fill(guint8 *data, const struct geometry *geometry, guint x, guint y, guint8 value)
{
    if (!is_yuv(geometry)) {
        for (guint color = 0; color < 3; color++)
            *rgb_at(data, geometry, x, y, color) = value;
        return;
    }
    data[(gsize)y * geometry->pitch + x] = value;
}

/* The label is in the middle, so that a picture that is cut to 4:3 still has it. */
static void draw_label(guint8 *data, const struct geometry *geometry)
{
    if (geometry->across < LABEL_WIDTH || geometry->height < LABEL_HEIGHT)
        return;
    guint top = geometry->height * 13 / 16, bottom = geometry->height * 15 / 16;
    guint part = geometry->across / PARTS, left = (geometry->across - LABEL_PARTS * part) / 2;
    for (guint x = 0; x < geometry->width; x++) {
        guint column = x + geometry->left;
        if (column < left || column >= left + LABEL_PARTS * part)
            continue;
        guint number = (column - left) / part;
        bool dark = number >= MARGIN && number < MARGIN + sizeof bars - 1 && bars[number - MARGIN] == '1';
        for (guint y = top; y < bottom; y++)
            fill(data, geometry, x, y, dark ? DARK : BRIGHT);
    }
}

/* When the scene began, in microseconds of CLOCK_MONOTONIC. TIMESTAMP: of a picture, which may be the first. */
static guint64 scene_begin(guint64 timestamp)
{
    static guint64 after; /* one more than it, so that 0 says nothing */
    guint64 found = __atomic_load_n(&after, __ATOMIC_ACQUIRE), begin = timestamp + 1;
    const char *text = getenv("INCAMERA_SCENE_BEGIN");
    if (found)
        return found - 1;
    if (text && *text)
        begin = strtoull(text, NULL, 10) + 1;
    else if (access("/etc/incamera-parameters", F_OK) == 0)
        begin = 1; /* in a virtual camera */
    if (!__atomic_compare_exchange_n(&after, &found, begin, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return found - 1;
    return begin - 1;
}

/* The left edge of the square at TIMESTAMP, where it can move SPAN pixels. */
static guint square_at(guint64 timestamp, guint span)
{
    return (guint)((timestamp - scene_begin(timestamp)) % SCENE_MICROSECONDS * span / SCENE_MICROSECONDS) & ~1u;
}

/* Draw a frame. All that stays the same is drawn only once: drawing must cost little. */
void draw_scene(struct drawing *drawing, const struct geometry *geometry, guint sequence, guint64 timestamp)
{
    guint span = geometry->width - (geometry->height / 4 & ~1u);
    if (!drawing->drawn) {
        memset(drawing->data, DARK, geometry->size);
        for (guint y = 0; y < geometry->height; y++)
            draw_row(drawing->data, geometry, 0, y, geometry->width, false);
        draw_label(drawing->data, geometry);
    } else {
        draw_square(drawing->data, geometry, drawing->square_x, false);
    }
    drawing->drawn = true;
    drawing->square_x = square_at(timestamp, span);
    draw_square(drawing->data, geometry, drawing->square_x, true);
    draw_code(drawing->data, geometry, sequence, timestamp);
}
