/* cpu-proc: cuts a part out of a picture, scales it, and changes its format, in this order.

   Scaling is bilinear, in 256ths of a pixel: each pixel of the result lies at the middle of the part that it stands for.
   Colours are those of BT.601 with 16 to 235 for black to white. The camera's own arithmetic may round otherwise. */
#include "objects.h"

enum picture_format { NV12, INTERLEAVED, PLANAR };

struct picture {
    enum picture_format format;
    size_t width, height, pitch;
};

struct conversion {
    struct picture input, output;
    const struct known *known;
    bool is_refused; /* at the job */
};

/* A plane of pixels that have STEP bytes. */
struct plane {
    const uint8_t *data;
    size_t width, height, pitch, step;
};

static const struct ask_entry *find_entry(const struct ask_load *ask, const char *key)
{
    for (uint32_t number = 0; number < ask->entry_count && number < MOST_ENTRIES; number++)
        if (strncmp(ask->entries[number].key, key, sizeof ask->entries[number].key) == 0)
            return &ask->entries[number];
    return NULL;
}

static bool read_picture(const struct ask_load *ask, const char *which, struct picture *picture, larodError **error)
{
    static const char *const formats[] = {"nv12", "rgb-interleaved", "rgb-planar"};
    char key[64];
    const struct ask_entry *entries[3];
    static const char *const names[] = {"format", "size", "row-pitch"};
    for (size_t number = 0; number < 3; number++) {
        strcpy(key, which);
        strcat(key, names[number]);
        entries[number] = find_entry(ask, key);
    }
    if (!entries[0] || entries[0]->kind != IS_TEXT || !entries[1] || entries[1]->kind != IS_PAIR ||
        (entries[2] && entries[2]->kind != IS_INT))
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%sformat and %ssize are needed", which, which);
    size_t format = 0;
    const int longest = sizeof entries[0]->text - 1;
    while (format < 3 && strncmp(formats[format], entries[0]->text, sizeof entries[0]->text) != 0)
        format++;
    int64_t width = entries[1]->values[0], height = entries[1]->values[1];
    int64_t least = format == INTERLEAVED ? 3 * width : width, pitch = entries[2] ? entries[2]->values[0] : least;
    if (format == 3)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "there is no format %.*s", longest, entries[0]->text);
    if (width < 2 || height < 2 || width > 16384 || height > 16384 || pitch < least || pitch > 1 << 18)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%ssize or %srow-pitch cannot be", which, which);
    if (width % 2 || height % 2)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "width and height must be even: %ssize", which);
    *picture = (struct picture){(enum picture_format)format, (size_t)width, (size_t)height, (size_t)pitch};
    return true;
}

static void describe_picture(const struct picture *picture, struct description *is)
{
    size_t height = picture->height, width = picture->width, pitch = picture->pitch, plane = pitch * height;
    if (picture->format == NV12) {
        describe(is, LAROD_TENSOR_DATA_TYPE_UINT8, LAROD_TENSOR_LAYOUT_420SP, (size_t[]){3, height, width}, 3);
        memcpy(is->pitches.pitches, (size_t[]){plane + plane / 2, plane, pitch}, 3 * sizeof(size_t));
    } else if (picture->format == INTERLEAVED) {
        describe(is, LAROD_TENSOR_DATA_TYPE_UINT8, LAROD_TENSOR_LAYOUT_NHWC, (size_t[]){1, height, width, 3}, 4);
        memcpy(is->pitches.pitches, (size_t[]){plane, plane, pitch, 3}, 4 * sizeof(size_t));
    } else {
        describe(is, LAROD_TENSOR_DATA_TYPE_UINT8, LAROD_TENSOR_LAYOUT_NCHW, (size_t[]){1, 3, height, width}, 4);
        memcpy(is->pitches.pitches, (size_t[]){3 * plane, 3 * plane, plane, pitch}, 4 * sizeof(size_t));
    }
}

static size_t row_of(const struct picture *picture)
{
    return picture->format == INTERLEAVED ? 3 * picture->width : picture->width;
}

static bool check_picture(const struct device *device, const struct picture *picture, const char *which, larodError **error)
{
    const struct known *known = device->known;
    if (known->width_step && picture->width % known->width_step)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s needs a width that is a multiple of %u: %ssize", device->name,
                    known->width_step, which);
    if (known->pitch_step && picture->pitch % known->pitch_step)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s needs a row pitch that is a multiple of %u: %srow-pitch", device->name,
                    known->pitch_step, which);
    if (known->packed && picture->pitch != row_of(picture))
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s takes no padding of rows: %srow-pitch", device->name, which);
    if (picture->height < known->least_height)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s needs a height of %u: %ssize", device->name, known->least_height, which);
    if (known->most_pixels && picture->width * picture->height > known->most_pixels)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s takes pictures of %u pixels at most: %ssize", device->name,
                    known->most_pixels, which);
    return true;
}

static bool check_scale(const struct device *device, const struct conversion *conversion, larodError **error)
{
    const struct picture *in = &conversion->input, *out = &conversion->output;
    const struct known *known = device->known;
    bool scales = in->width != out->width || in->height != out->height;
    if (scales && !known->scales)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s does not scale", device->name);
    if (scales && in->format == PLANAR && out->format != PLANAR)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s cannot scale rgb-planar to another format", device->name);
    if (known->most_scale && (in->width > known->most_scale * out->width || out->width > known->most_scale * in->width ||
                              in->height > known->most_scale * out->height || out->height > known->most_scale * in->height))
        return fail(error, LAROD_ERROR_LOAD_MODEL, "%s scales by %u at most", device->name, known->most_scale);
    return true;
}

struct conversion *read_conversion(const struct ask_load *ask, struct loaded *model, larodError **error)
{
    const struct device *device = &model->device;
    struct conversion *conversion = calloc(1, sizeof *conversion);
    if (!conversion || !read_picture(ask, "image.input.", &conversion->input, error) ||
        !read_picture(ask, "image.output.", &conversion->output, error)) {
        free(conversion);
        return NULL;
    }
    const struct picture *in = &conversion->input, *out = &conversion->output;
    bool has = device->known->conversions & 1u << (3 * in->format + out->format), is_late = device->known->late;
    conversion->known = device->known;
    conversion->is_refused = !has && is_late;
    if ((!has && !is_late && !fail(error, LAROD_ERROR_LOAD_MODEL, "%s has no such conversion of formats", device->name)) ||
        !check_picture(device, in, "image.input.", error) || !check_picture(device, out, "image.output.", error) ||
        !check_scale(device, conversion, error)) {
        free(conversion);
        return NULL;
    }
    model->input_count = model->output_count = 1;
    describe_picture(in, &model->inputs[0]);
    describe_picture(out, &model->outputs[0]);
    return conversion;
}

/* Where a pixel of the result lies, in 256ths of a pixel, for sizes FROM and TO. */
static size_t position(size_t at, size_t from, size_t to)
{
    size_t place = (size_t)(((2 * at + 1) * (uint64_t)from * 256) / (2 * to));
    place = place > 128 ? place - 128 : 0;
    size_t last = (from - 1) * 256;
    return place < last ? place : last;
}

static void scale_plane(const struct plane *from, const struct plane *to, uint8_t *data)
{
    for (size_t y = 0; y < to->height; y++) {
        size_t v = position(y, from->height, to->height), below = v / 256 + 1 < from->height ? from->pitch : 0;
        const uint8_t *row = from->data + v / 256 * from->pitch;
        uint8_t *result = data + y * to->pitch;
        unsigned down = v % 256;
        for (size_t x = 0; x < to->width; x++) {
            size_t u = position(x, from->width, to->width), after = u / 256 + 1 < from->width ? from->step : 0;
            const uint8_t *pixel = row + u / 256 * from->step;
            unsigned right = u % 256;
            for (size_t byte = 0; byte < from->step; byte++, pixel++) {
                unsigned above = pixel[0] * (256 - right) + pixel[after] * right;
                unsigned under = pixel[below] * (256 - right) + pixel[below + after] * right;
                *result++ = (uint8_t)((above * (256 - down) + under * down + (1u << 15)) >> 16);
            }
        }
    }
}

/* The planes of PICTURE in DATA. Returns their number. */
static size_t planes_of(const struct picture *picture, const uint8_t *data, struct plane *planes)
{
    size_t width = picture->width, height = picture->height, pitch = picture->pitch, size = pitch * height;
    if (picture->format == NV12) {
        planes[0] = (struct plane){data, width, height, pitch, 1};
        planes[1] = (struct plane){data + size, width / 2, height / 2, pitch, 2};
        return 2;
    }
    size_t step = picture->format == INTERLEAVED ? 3 : 1, count = picture->format == INTERLEAVED ? 1 : 3;
    for (size_t number = 0; number < count; number++)
        planes[number] = (struct plane){data + number * size, width, height, pitch, step};
    return count;
}

static void cut(struct plane *plane, const int64_t *crop, bool half)
{
    size_t by = half ? 2 : 1;
    plane->data += (size_t)crop[1] / by * plane->pitch + (size_t)crop[0] / by * plane->step;
    plane->width = (size_t)crop[2] / by;
    plane->height = (size_t)crop[3] / by;
}

static uint8_t limited(int number)
{
    return (uint8_t)(number < 0 ? 0 : number > 255 ? 255 : number);
}

static void to_rgb(int y, int u, int v, uint8_t *red, uint8_t *green, uint8_t *blue)
{
    y = 298 * (y - 16) + 128;
    u -= 128;
    v -= 128;
    *red = limited((y + 409 * v) >> 8);
    *green = limited((y - 100 * u - 208 * v) >> 8);
    *blue = limited((y + 516 * u) >> 8);
}

/* Where the colours of a pixel are in an RGB picture. */
static uint8_t *colours_at(const struct picture *picture, uint8_t *data, size_t x, size_t y, size_t *step)
{
    *step = picture->format == INTERLEAVED ? 1 : picture->pitch * picture->height;
    return data + y * picture->pitch + (picture->format == INTERLEAVED ? 3 * x : x);
}

static void nv12_to_rgb(const struct picture *in, const uint8_t *from, const struct picture *out, uint8_t *to)
{
    for (size_t y = 0; y < out->height; y++)
        for (size_t x = 0; x < out->width; x++) {
            const uint8_t *uv = from + (in->height + y / 2) * in->pitch + x / 2 * 2;
            size_t step;
            uint8_t *rgb = colours_at(out, to, x, y, &step);
            to_rgb(from[y * in->pitch + x], uv[0], uv[1], rgb, rgb + step, rgb + 2 * step);
        }
}

static void rgb_to_nv12(const struct picture *in, const uint8_t *from, const struct picture *out, uint8_t *to)
{
    for (size_t y = 0; y < out->height; y++)
        for (size_t x = 0; x < out->width; x++) {
            size_t step;
            const uint8_t *rgb = colours_at(in, (uint8_t *)from, x, y, &step);
            int red = rgb[0], green = rgb[step], blue = rgb[2 * step];
            to[y * out->pitch + x] = (uint8_t)(((66 * red + 129 * green + 25 * blue + 128) >> 8) + 16);
            if (x % 2 || y % 2)
                continue;
            uint8_t *uv = to + (out->height + y / 2) * out->pitch + x;
            uv[0] = (uint8_t)(((-38 * red - 74 * green + 112 * blue + 128) >> 8) + 128);
            uv[1] = (uint8_t)(((112 * red - 94 * green - 18 * blue + 128) >> 8) + 128);
        }
}

static void rgb_to_rgb(const struct picture *in, const uint8_t *from, const struct picture *out, uint8_t *to)
{
    for (size_t y = 0; y < out->height; y++)
        for (size_t x = 0; x < out->width; x++) {
            size_t step, other;
            const uint8_t *rgb = colours_at(in, (uint8_t *)from, x, y, &step);
            uint8_t *result = colours_at(out, to, x, y, &other);
            for (size_t colour = 0; colour < 3; colour++)
                result[colour * other] = rgb[colour * step];
        }
}

static bool check_crop(const struct conversion *conversion, const int64_t *crop, larodError **error)
{
    const struct picture *in = &conversion->input;
    if (crop[0] < 0 || crop[1] < 0 || crop[2] < 2 || crop[3] < 2 || crop[0] > (int64_t)in->width || crop[1] > (int64_t)in->height ||
        crop[2] > (int64_t)in->width - crop[0] || crop[3] > (int64_t)in->height - crop[1])
        return fail(error, LAROD_ERROR_JOB, "image.input.crop lies outside of the picture");
    if (crop[0] % 2 || crop[1] % 2 || crop[2] % 2 || crop[3] % 2)
        return fail(error, LAROD_ERROR_JOB, "image.input.crop must be of even numbers");
    if (!conversion->known->scales || (in->format == PLANAR && conversion->output.format != PLANAR))
        return fail(error, LAROD_ERROR_JOB, "%s cannot crop such a picture", conversion->known->name);
    return true;
}

struct conversion_run {
    const struct conversion *conversion;
    const int64_t *crop;
    const uint8_t *input;
    uint8_t *output, *between;
    struct picture scaled;
};

static bool convert(void *data)
{
    const struct conversion_run *run = data;
    const struct picture *in = &run->conversion->input, *out = &run->conversion->output, *scaled = &run->scaled;
    struct plane from[3], to[3];
    planes_of(scaled, run->between, to);
    for (size_t number = 0, count = planes_of(in, run->input, from); number < count; number++) {
        bool half = in->format == NV12 && number == 1;
        if (run->crop)
            cut(&from[number], run->crop, half);
        scale_plane(&from[number], &to[number], (uint8_t *)to[number].data);
    }
    if (in->format == out->format)
        return true;
    if (in->format == NV12)
        nv12_to_rgb(scaled, run->between, out, run->output);
    else if (out->format == NV12)
        rgb_to_nv12(scaled, run->between, out, run->output);
    else
        rgb_to_rgb(scaled, run->between, out, run->output);
    return true;
}

bool run_conversion(const struct conversion *conversion, const int64_t *crop, const uint8_t *input, uint8_t *output,
                    larodError **error)
{
    if (conversion->is_refused)
        return fail(error, LAROD_ERROR_JOB, "This backend only supports color conversion from NV12 to RGB interleaved");
    if (crop && !check_crop(conversion, crop, error))
        return false;
    const struct picture *in = &conversion->input, *out = &conversion->output;
    bool converts = in->format != out->format;
    struct conversion_run run = {conversion, crop, input, output, output, *out};
    run.scaled.format = in->format;
    run.scaled.pitch = !converts ? out->pitch : in->format == INTERLEAVED ? 3 * out->width : out->width;
    if (converts)
        run.between = malloc(run.scaled.pitch * run.scaled.height * (run.scaled.format == PLANAR ? 3 : 2));
    bool good = run.between && guarded(convert, &run);
    if (!run.between)
        fail(error, ENOMEM, "no memory for a picture");
    else if (!good)
        fail(error, LAROD_ERROR_FD, "a buffer became shorter meanwhile");
    if (converts)
        free(run.between);
    return good;
}
