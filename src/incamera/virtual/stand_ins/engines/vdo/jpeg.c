/* Pictures as baseline JPEG. One Huffman table serves all: it is written with the picture. */
#include "objects.h"

#include <string.h>

/* The quantisation tables of the standard's annex K, row by row. */
static const guint8 of_brightness[64] = {
    16, 11, 10, 16, 24,  40,  51,  61,  12, 12, 14, 19, 26,  58,  60,  55,  14, 13, 16, 24, 40,  57,
    69, 56, 14, 17, 22,  29,  51,  87,  80, 62, 18, 22, 37,  56,  68,  109, 103, 77, 24, 35, 55,  64,
    81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
};
static const guint8 of_color[64] = {
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99,
    99, 99, 47, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
};
static const guint8 zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
};

/* The end of a block has two bits; a run of up to 15 zeros with a size of 1 to 10, or 16 zeros, has nine. */
enum { SIZES = 10, RUNS = 16, LONG_CODES = RUNS * SIZES + 1, DC_CODES = 12, FIRST_LONG_CODE = 1 << 7 };

struct jpeg {
    guint8 *out, *end;
    guint32 bits;
    guint bit_count;
    gint32 before[3];
    guint8 tables[2][64];
};

static void put_bytes(struct jpeg *jpeg, const void *data, gsize size)
{
    memcpy(jpeg->out, data, size);
    jpeg->out += size;
}

static void put_marker(struct jpeg *jpeg, guint8 marker, guint size)
{
    const guint8 bytes[] = {0xff, marker, (guint8)(size >> 8), (guint8)size};
    put_bytes(jpeg, bytes, size ? 4 : 2);
}

static void put_code(struct jpeg *jpeg, guint32 value, guint count)
{
    jpeg->bits = jpeg->bits << count | (value & ((1u << count) - 1));
    jpeg->bit_count += count;
    while (jpeg->bit_count >= 8 && jpeg->end - jpeg->out >= 2) {
        guint8 byte = (guint8)(jpeg->bits >> (jpeg->bit_count - 8));
        *jpeg->out++ = byte;
        if (byte == 0xff)
            *jpeg->out++ = 0;
        jpeg->bit_count -= 8;
    }
}

static void put_tables(struct jpeg *jpeg, guint quality)
{
    guint scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
    for (guint table = 0; table < 2; table++) {
        put_marker(jpeg, 0xdb, 67);
        *jpeg->out++ = (guint8)table;
        for (guint n = 0; n < 64; n++) {
            guint value = ((table ? of_color : of_brightness)[zigzag[n]] * scale + 50) / 100;
            jpeg->tables[table][zigzag[n]] = *jpeg->out++ = (guint8)(value < 1 ? 1 : value > 255 ? 255 : value);
        }
    }
    const guint8 dc_lengths[16] = {[3] = DC_CODES}, ac_lengths[16] = {[1] = 1, [8] = LONG_CODES};
    put_marker(jpeg, 0xc4, 2 + 17 + DC_CODES);
    *jpeg->out++ = 0x00;
    put_bytes(jpeg, dc_lengths, 16);
    for (guint8 size = 0; size < DC_CODES; size++)
        *jpeg->out++ = size;
    put_marker(jpeg, 0xc4, 2 + 17 + 1 + LONG_CODES);
    *jpeg->out++ = 0x10;
    put_bytes(jpeg, ac_lengths, 16);
    *jpeg->out++ = 0;
    for (guint run = 0; run < RUNS; run++)
        for (guint size = 1; size <= SIZES; size++)
            *jpeg->out++ = (guint8)(run << 4 | size);
    *jpeg->out++ = 0xf0;
}

/* The cosine transform of eight numbers, STEP apart. Integers give the same picture on every processor. */
static void transform(gint32 *x, guint step, guint shift)
{
    /* cos(k * pi / 16) / 2 in 1/4096 */
    enum { C1 = 2009, C2 = 1892, C3 = 1703, C4 = 1448, C5 = 1138, C6 = 784, C7 = 400 };
    gint32 s[4], d[4], r = 1 << (shift - 1);
    for (guint n = 0; n < 4; n++) {
        s[n] = x[n * step] + x[(7 - n) * step];
        d[n] = x[n * step] - x[(7 - n) * step];
    }
    x[0] = ((s[0] + s[1] + s[2] + s[3]) * C4 + r) >> shift;
    x[step] = (d[0] * C1 + d[1] * C3 + d[2] * C5 + d[3] * C7 + r) >> shift;
    x[2 * step] = ((s[0] - s[3]) * C2 + (s[1] - s[2]) * C6 + r) >> shift;
    x[3 * step] = (d[0] * C3 - d[1] * C7 - d[2] * C1 - d[3] * C5 + r) >> shift;
    x[4 * step] = ((s[0] - s[1] - s[2] + s[3]) * C4 + r) >> shift;
    x[5 * step] = (d[0] * C5 - d[1] * C1 + d[2] * C7 + d[3] * C3 + r) >> shift;
    x[6 * step] = ((s[0] - s[3]) * C6 - (s[1] - s[2]) * C2 + r) >> shift;
    x[7 * step] = (d[0] * C7 - d[1] * C5 + d[2] * C3 - d[3] * C1 + r) >> shift;
}

static guint size_of(gint32 value)
{
    guint32 rest = (guint32)(value < 0 ? -value : value);
    guint size = 0;
    while (rest >> size)
        size++;
    return size;
}

static void put_value(struct jpeg *jpeg, gint32 value, guint size)
{
    put_code(jpeg, (guint32)(value < 0 ? value - 1 : value), size);
}

static void put_block(struct jpeg *jpeg, gint32 *block, guint component)
{
    const guint8 *table = jpeg->tables[component > 0];
    for (guint n = 0; n < 8; n++)
        transform(block + 8 * n, 1, 9); /* three bits more than asked, for the second pass */
    for (guint n = 0; n < 8; n++)
        transform(block + n, 8, 15);
    for (guint n = 0; n < 64; n++)
        block[n] = (block[n] + (block[n] < 0 ? -table[n] : table[n]) / 2) / table[n];
    gint32 change = block[0] - jpeg->before[component];
    jpeg->before[component] = block[0];
    put_code(jpeg, size_of(change), 4);
    put_value(jpeg, change, size_of(change));
    guint run = 0;
    for (guint n = 1; n < 64; n++) {
        gint32 value = block[zigzag[n]];
        if (value == 0) {
            run++;
            continue;
        }
        for (; run >= RUNS; run -= RUNS)
            put_code(jpeg, FIRST_LONG_CODE + RUNS * SIZES, 9);
        put_code(jpeg, FIRST_LONG_CODE + run * SIZES + size_of(value) - 1, 9);
        put_value(jpeg, value, size_of(value));
        run = 0;
    }
    if (run)
        put_code(jpeg, 0, 2);
}

static guint least(guint a, guint b)
{
    return a < b ? a : b;
}

/* The block at X, Y of a plane whose pixels are STEP bytes apart. Beyond the edge, the last pixel is repeated. */
static void load_block(gint32 *block, const guint8 *plane, const struct geometry *geometry, guint x, guint y, guint step)
{
    guint width = geometry->width / step, height = geometry->height / step;
    for (guint n = 0; n < 64; n++) {
        guint row = least(y + n / 8, height - 1), column = least(x + n % 8, width - 1);
        block[n] = plane[(gsize)row * geometry->pitch + column * step] - 128;
    }
}

/* Write the picture to OUT, which has ROOM for more than a head, and return its bytes: 0 if they don't fit. QUALITY: 1 to
   100. */
gsize encode_jpeg(const guint8 *nv12, const struct geometry *geometry, guint quality, guint8 *out, gsize room)
{
    enum { TAIL = 8 };
    struct jpeg jpeg = {.out = out, .end = out + room - TAIL};
    guint width = geometry->width, height = geometry->height;
    const guint8 *uv = nv12 + (gsize)geometry->pitch * height;
    put_marker(&jpeg, 0xd8, 0);
    put_marker(&jpeg, 0xe0, 16);
    put_bytes(&jpeg, "JFIF\0\1\1\0\0\1\0\1\0\0", 14);
    put_tables(&jpeg, quality);
    put_marker(&jpeg, 0xc0, 17);
    const guint8 frame[] = {8, (guint8)(height >> 8), (guint8)height, (guint8)(width >> 8), (guint8)width,
                            3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1};
    put_bytes(&jpeg, frame, sizeof frame);
    put_marker(&jpeg, 0xda, 12);
    put_bytes(&jpeg, "\3\1\0\2\0\3\0\0\77\0", 10);
    gint32 block[64];
    for (guint y = 0; y < height; y += 16)
        for (guint x = 0; x < width; x += 16) {
            for (guint n = 0; n < 4; n++) {
                load_block(block, nv12, geometry, x + n % 2 * 8, y + n / 2 * 8, 1);
                put_block(&jpeg, block, 0);
            }
            for (guint color = 0; color < 2; color++) {
                load_block(block, uv + color, geometry, x / 2, y / 2, 2);
                put_block(&jpeg, block, 1 + color);
            }
        }
    put_code(&jpeg, 0x7f, 7);
    if (jpeg.bit_count >= 8)
        return 0;
    put_marker(&jpeg, 0xd9, 0);
    return (gsize)(jpeg.out - out);
}
