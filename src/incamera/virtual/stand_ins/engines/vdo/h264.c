/* Pictures as H.264, baseline profile, without a loss.

   A macroblock (16 by 16 pixels) that is as in the picture before is skipped. One that continues the row above it or the
   column left of it is predicted from there. All others are written as they are. Annex B, with start codes of four bytes;
   the parameter sets stand before each key frame. */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = 16, FRAME_NUMBER_BITS = 16, BASELINE = 66, LEVEL_4 = 40 };
enum { SLICE = 0x41, KEY_SLICE = 0x65, SEQUENCE_SET = 0x67, PICTURE_SET = 0x68 };
/* mb_type in a key frame; in others, five more. */
enum { DOWNWARDS = 1, RIGHTWARDS = 2, AS_IT_IS = 25, MORE_IN_P = 5 };

struct writer {
    guint8 *out;
    guint zeros;
    guint32 bits;
    guint bit_count;
};

/* Three bytes 0, 0, 0 to 3 would look like a start code: a 3 is put between. */
static void put_raw(struct writer *writer, guint8 byte)
{
    if (writer->zeros == 2 && byte <= 3) {
        *writer->out++ = 3;
        writer->zeros = 0;
    }
    *writer->out++ = byte;
    writer->zeros = byte ? 0 : writer->zeros + 1;
}

static void put_number(struct writer *writer, guint32 value, guint count)
{
    while (count--) {
        writer->bits = writer->bits << 1 | (value >> count & 1);
        if (++writer->bit_count == 8) {
            put_raw(writer, (guint8)writer->bits);
            writer->bit_count = 0;
        }
    }
}

/* An unsigned Exp-Golomb code. */
static void put_golomb(struct writer *writer, guint32 value)
{
    guint size = 0;
    while ((value + 1) >> size)
        size++;
    put_number(writer, 0, size - 1);
    put_number(writer, value + 1, size);
}

static void start_unit(struct writer *writer, guint8 kind)
{
    memcpy(writer->out, "\0\0\0\1", 4);
    writer->out += 4;
    *writer->out++ = kind;
    writer->zeros = 0;
}

static void end_unit(struct writer *writer)
{
    put_number(writer, 1, 1);
    while (writer->bit_count)
        put_number(writer, 0, 1);
}

static void put_parameter_sets(struct writer *writer, const struct h264 *encoder, const struct geometry *geometry)
{
    guint right = (encoder->across * SIDE - geometry->width) / 2, bottom = (encoder->down * SIDE - geometry->height) / 2;
    start_unit(writer, SEQUENCE_SET);
    put_number(writer, BASELINE, 8);
    put_number(writer, 0xc0, 8); /* also of the constrained baseline, and the main profile */
    put_number(writer, LEVEL_4, 8);
    put_golomb(writer, 0);
    put_golomb(writer, FRAME_NUMBER_BITS - 4);
    put_golomb(writer, 2); /* pictures are shown in the order in which they come */
    put_golomb(writer, 1); /* one picture to refer to */
    put_number(writer, 0, 1);
    put_golomb(writer, encoder->across - 1);
    put_golomb(writer, encoder->down - 1);
    put_number(writer, 3, 2); /* whole frames, and 8 by 8 inference */
    put_number(writer, right || bottom, 1);
    if (right || bottom) {
        put_golomb(writer, 0);
        put_golomb(writer, right);
        put_golomb(writer, 0);
        put_golomb(writer, bottom);
    }
    put_number(writer, 0, 1);
    end_unit(writer);
    start_unit(writer, PICTURE_SET);
    put_golomb(writer, 0);
    put_golomb(writer, 0);
    put_number(writer, 0, 2); /* CAVLC, and no order for the fields */
    put_golomb(writer, 0);    /* one slice group */
    put_golomb(writer, 0);    /* one picture in each list */
    put_golomb(writer, 0);
    put_number(writer, 0, 3); /* no weights */
    put_golomb(writer, 0);    /* quantisers */
    put_golomb(writer, 0);
    put_golomb(writer, 0);
    put_number(writer, 4, 3); /* the deblocking filter is controlled by the slice */
    end_unit(writer);
}

static void put_slice_header(struct writer *writer, const struct h264 *encoder, bool key)
{
    start_unit(writer, key ? KEY_SLICE : SLICE);
    put_golomb(writer, 0);
    put_golomb(writer, key ? 7 : 5);
    put_golomb(writer, 0);
    put_number(writer, encoder->number, FRAME_NUMBER_BITS);
    if (key) {
        put_golomb(writer, encoder->group & 1);
        put_number(writer, 0, 2);
    } else {
        put_number(writer, 0, 3); /* the lists are as usual, and so is the marking */
    }
    put_golomb(writer, 0);
    put_golomb(writer, 1); /* no deblocking */
}

/* The encoder's pictures are planes of whole macroblocks: Y, then U, then V. */
struct plane {
    gsize start, pitch;
    guint side; /* of a macroblock */
};

static struct plane plane_of(const struct h264 *encoder, guint number)
{
    gsize pitch = encoder->across * SIDE, size = pitch * encoder->down * SIDE;
    if (number == 0)
        return (struct plane){0, pitch, SIDE};
    return (struct plane){size + (number - 1) * size / 4, pitch / 2, SIDE / 2};
}

static void load_picture(struct h264 *encoder, const guint8 *nv12, const struct geometry *geometry)
{
    const guint8 *uv = nv12 + (gsize)geometry->pitch * geometry->height;
    for (guint number = 0; number < 3; number++) {
        struct plane plane = plane_of(encoder, number);
        guint step = number ? 2 : 1;
        guint width = geometry->width / step, height = geometry->height / step;
        const guint8 *from = number ? uv + number - 1 : nv12;
        for (guint y = 0; y < encoder->down * plane.side; y++) {
            const guint8 *row = from + (gsize)(y < height ? y : height - 1) * geometry->pitch;
            guint8 *to = encoder->picture + plane.start + y * plane.pitch;
            for (guint x = 0; x < plane.pitch; x++)
                to[x] = row[(x < width ? x : width - 1) * step];
        }
    }
}

static const guint8 *block_at(const struct plane *plane, const guint8 *picture, guint column, guint row)
{
    return picture + plane->start + row * plane->side * plane->pitch + column * plane->side;
}

static bool is_as_before(const struct h264 *encoder, guint column, guint row)
{
    for (guint number = 0; number < 3; number++) {
        struct plane plane = plane_of(encoder, number);
        const guint8 *now = block_at(&plane, encoder->picture, column, row);
        const guint8 *before = block_at(&plane, encoder->before, column, row);
        for (guint y = 0; y < plane.side; y++)
            if (memcmp(now + y * plane.pitch, before + y * plane.pitch, plane.side) != 0)
                return false;
    }
    return true;
}

/* Whether each row is as the one above the block, or each column as the one left of it. */
static bool continues(const struct h264 *encoder, guint column, guint row, bool downwards)
{
    if ((downwards ? row : column) == 0)
        return false;
    for (guint number = 0; number < 3; number++) {
        struct plane plane = plane_of(encoder, number);
        const guint8 *now = block_at(&plane, encoder->picture, column, row);
        for (guint y = 0; y < plane.side; y++, now += plane.pitch) {
            if (downwards && memcmp(now, now - plane.pitch, plane.side) != 0)
                return false;
            for (guint x = 0; !downwards && x < plane.side; x++)
                if (now[x] != now[-1])
                    return false;
        }
    }
    return true;
}

static void put_pixels(struct writer *writer, const struct h264 *encoder, guint column, guint row)
{
    while (writer->bit_count)
        put_number(writer, 0, 1);
    for (guint number = 0; number < 3; number++) {
        struct plane plane = plane_of(encoder, number);
        const guint8 *block = block_at(&plane, encoder->picture, column, row);
        for (guint y = 0; y < plane.side; y++)
            for (guint x = 0; x < plane.side; x++)
                put_raw(writer, block[y * plane.pitch + x]);
    }
}

/* Which macroblocks were written as they are: neighbours have another code for "no coefficients". */
static void put_prediction(struct writer *writer, const guint8 *raw, const struct h264 *encoder, guint column, guint row,
                           guint type)
{
    guint kind = type % MORE_IN_P;
    put_golomb(writer, type);
    put_golomb(writer, kind == DOWNWARDS ? 2 : 1);
    put_golomb(writer, 0);
    guint known = (column > 0) + (row > 0), count = 0;
    if (column > 0)
        count += raw[-1] ? 16 : 0;
    if (row > 0)
        count += *(raw - encoder->across) ? 16 : 0;
    if (known && count / known >= 8)
        put_number(writer, 3, 6);
    else
        put_number(writer, 1, 1);
}

bool start_h264(struct h264 *encoder, const struct geometry *geometry)
{
    encoder->across = (geometry->width + SIDE - 1) / SIDE;
    encoder->down = (geometry->height + SIDE - 1) / SIDE;
    gsize size = (gsize)encoder->across * encoder->down * SIDE * SIDE * 3 / 2;
    encoder->picture = calloc(1, size);
    encoder->before = calloc(1, size);
    encoder->raw = malloc((gsize)encoder->across * encoder->down);
    encoder->key_wanted = true;
    return encoder->picture && encoder->before && encoder->raw;
}

void end_h264(struct h264 *encoder)
{
    free(encoder->picture);
    free(encoder->before);
    free(encoder->raw);
    *encoder = (struct h264){0};
}

/* Write the picture to OUT, and return its bytes. HEADER_SIZE becomes the bytes before the slice of a key frame, else 0. */
gsize encode_h264(struct h264 *encoder, const guint8 *nv12, const struct geometry *geometry, guint8 *out,
                  gint64 *header_size)
{
    struct writer writer = {.out = out};
    bool key = encoder->key_wanted;
    encoder->key_wanted = false;
    if (key) {
        encoder->number = 0;
        encoder->since_key = 0;
        encoder->group++;
        put_parameter_sets(&writer, encoder, geometry);
    }
    *header_size = writer.out - out;
    load_picture(encoder, nv12, geometry);
    put_slice_header(&writer, encoder, key);
    guint8 *raw = encoder->raw;
    memset(raw, 0, (gsize)encoder->across * encoder->down);
    guint skipped = 0, more = key ? 0 : MORE_IN_P;
    for (guint row = 0; row < encoder->down; row++)
        for (guint column = 0; column < encoder->across; column++) {
            guint8 *is_raw = raw + (gsize)row * encoder->across + column;
            if (!key && is_as_before(encoder, column, row)) {
                skipped++;
                continue;
            }
            if (!key)
                put_golomb(&writer, skipped);
            skipped = 0;
            if (continues(encoder, column, row, true)) {
                put_prediction(&writer, is_raw, encoder, column, row, DOWNWARDS + more);
            } else if (continues(encoder, column, row, false)) {
                put_prediction(&writer, is_raw, encoder, column, row, RIGHTWARDS + more);
            } else {
                put_golomb(&writer, AS_IT_IS + more);
                put_pixels(&writer, encoder, column, row);
                *is_raw = 1;
            }
        }
    if (skipped)
        put_golomb(&writer, skipped);
    end_unit(&writer);
    guint8 *picture = encoder->picture;
    encoder->picture = encoder->before;
    encoder->before = picture;
    encoder->number = (encoder->number + 1) & ((1u << FRAME_NUMBER_BITS) - 1);
    encoder->since_key++;
    return (gsize)(writer.out - out);
}
