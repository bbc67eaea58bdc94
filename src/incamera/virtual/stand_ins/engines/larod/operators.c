/* The operators: each is prepared once, and computed for each job. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_signed(const struct value *value)
{
    return value->type == LAROD_TENSOR_DATA_TYPE_INT8;
}

static bool has_zero(const struct value *value)
{
    return value->zero >= (is_signed(value) ? -128 : 0) && value->zero <= (is_signed(value) ? 127 : 255);
}

static bool is_quantized(const struct value *value)
{
    return (is_signed(value) || value->type == LAROD_TENSOR_DATA_TYPE_UINT8) && value->scale > 0 && isfinite(value->scale) &&
           has_zero(value);
}

static const uint8_t *data_of(const struct value *value)
{
    return value->constant ? value->constant : value->data;
}

static inline int get(const uint8_t *data, size_t at, bool with_sign)
{
    return with_sign ? ((const int8_t *)data)[at] : data[at];
}

static inline uint8_t clamp(int32_t number, const struct step *step)
{
    return (uint8_t)(number < step->least ? step->least : number > step->most ? step->most : number);
}

/* The nearest integer, within bounds that no sum of it and a zero point leaves. */
static int32_t nearest(float number)
{
    return number < -1e6f ? -1000000 : number < 1e6f ? (int32_t)roundf(number) : 1000000;
}

static int32_t bias_of(const struct step *step, size_t channel)
{
    if (step->input_count < 3 || !step->inputs[2])
        return 0;
    int32_t bias;
    memcpy(&bias, data_of(step->inputs[2]) + 4 * channel, sizeof bias);
    return bias;
}

/* The size of the output in one direction. */
static int output_size(const struct step *step, int input, int filter, int stride, int dilation)
{
    int64_t covered = (int64_t)(filter - 1) * dilation + 1;
    return (int)((step->same_padding ? input + (int64_t)stride - 1 : input + (int64_t)stride - covered) / stride);
}

static int padding(int input, int output, int filter, int stride, int dilation)
{
    int64_t missing = (int64_t)(output - 1) * stride + (int64_t)(filter - 1) * dilation + 1 - input;
    return missing > 0 ? (int)(missing / 2) : 0;
}

static bool has_window(const struct step *step)
{
    const int *in = step->inputs[0]->dims, *out = step->output->dims;
    int most = 1 << 15;
    return step->inputs[0]->rank == 4 && step->output->rank == 4 && in[0] == out[0] && step->stride_w > 0 &&
           step->stride_h > 0 && step->dilation_w > 0 && step->dilation_h > 0 && step->filter_w > 0 && step->filter_h > 0 &&
           step->stride_w < most && step->stride_h < most && step->dilation_w < most && step->dilation_h < most &&
           step->filter_w < most && step->filter_h < most &&
           out[1] == output_size(step, in[1], step->filter_h, step->stride_h, step->dilation_h) &&
           out[2] == output_size(step, in[2], step->filter_w, step->stride_w, step->dilation_w);
}

/* One scale for each channel, or one for all. */
static const char *set_scales(struct step *step, struct file *file, size_t channels)
{
    const struct value *input = step->inputs[0], *weights = step->inputs[1];
    step->scales = calloc(channels, sizeof *step->scales);
    if (!step->scales)
        return "no memory";
    if (weights->scale_count != 1 && weights->scale_count != channels)
        return "there is not one scale for each channel";
    for (size_t channel = 0; channel < channels; channel++) {
        bool each = weights->scale_count > 1;
        float scale = each ? read_float(file, weights->scales + 4 * channel) : weights->scale;
        if (!(scale > 0) || !isfinite(scale))
            return "a scale is not positive";
        /* With one scale for all, TensorFlow Lite multiplies in single precision, but not in convolutions of int8. */
        bool single = step->code == FULLY_CONNECTED || !is_signed(input);
        float product = input->scale * scale;
        double real = single && !each ? (double)product : (double)input->scale * (double)scale;
        step->scales[channel] = to_fixed(real / (double)step->output->scale);
    }
    return NULL;
}

static const char *prepare_weights(struct step *step, struct file *file)
{
    const struct value *input = step->inputs[0], *weights = step->inputs[1], *output = step->output;
    bool depthwise = step->code == DEPTHWISE_CONV_2D, full = step->code == FULLY_CONNECTED;
    if (step->input_count < 2 || !weights || !is_quantized(input) || !is_quantized(output) || output->type != input->type ||
        weights->type != input->type || !has_zero(weights) || !weights->constant || weights->rank != (full ? 2 : 4))
        return "its operands must be quantised, and its weights constant";
    size_t channels = (size_t)weights->dims[depthwise ? 3 : 0];
    const struct value *bias = step->input_count > 2 ? step->inputs[2] : NULL;
    if (bias && (bias->type != LAROD_TENSOR_DATA_TYPE_INT32 || !bias->constant || bias->count != channels))
        return "its bias must be constant, of one int32 for each channel";
    step->filter_h = full ? 1 : weights->dims[1];
    step->filter_w = full ? 1 : weights->dims[2];
    if (full) {
        size_t depth = (size_t)weights->dims[1];
        if (input->count % depth || input->count / depth * channels != output->count)
            return "its sizes do not fit";
    } else if (!has_window(step) || (size_t)output->dims[3] != channels ||
               (depthwise ? weights->dims[0] != 1 || channels % (size_t)input->dims[3] : weights->dims[3] != input->dims[3])) {
        return "its sizes do not fit";
    }
    return set_scales(step, file, channels);
}

static const char *prepare_table(struct step *step)
{
    const struct value *input = step->inputs[0], *output = step->output;
    step->table = malloc(256);
    if (!step->table)
        return "no memory";
    float inverse = 1 / output->scale;
    for (int number = 0; number < 256; number++) {
        int quantized = is_signed(input) ? (int8_t)number : number;
        float real = input->scale * (float)(quantized - input->zero);
        float result = 1.0f / (1.0f + (float)exp(-(double)real));
        step->table[number] = clamp(nearest(result * inverse) + output->zero, step);
    }
    return NULL;
}

static const char *prepare_softmax(struct step *step)
{
    step->exponentials = malloc(256 * sizeof *step->exponentials);
    if (!step->exponentials || step->inputs[0]->rank < 1)
        return "no memory";
    float scale = -step->inputs[0]->scale * step->beta;
    for (int number = 0; number < 256; number++)
        step->exponentials[255 - number] = (float)exp((double)(scale * (float)number));
    return NULL;
}

static const char *prepare_add(struct step *step)
{
    const struct value *one = step->inputs[0], *other = step->inputs[1];
    if (step->input_count != 2 || !other || !is_quantized(other) || other->type != one->type || one->count != other->count ||
        one->count != step->output->count)
        return "both operands must have the same shape and type";
    step->scales = calloc(3, sizeof *step->scales);
    if (!step->scales)
        return "no memory";
    double twice = 2 * (one->scale > other->scale ? one->scale : other->scale);
    step->scales[0] = to_fixed(one->scale / twice);
    step->scales[1] = to_fixed(other->scale / twice);
    step->scales[2] = to_fixed(twice / ((1 << 20) * (double)step->output->scale));
    return step->scales[2].shift > 0 ? "its output has too small a scale" : NULL;
}

static const char *prepare_concatenation(struct step *step)
{
    const struct value *output = step->output;
    if (step->axis < 0)
        step->axis += output->rank;
    if (step->axis < 0 || step->axis >= output->rank)
        return "it has no such axis";
    int64_t sum = 0;
    for (size_t number = 0; number < step->input_count; number++) {
        const struct value *part = step->inputs[number];
        if (!part || part->rank != output->rank || part->type != output->type || part->scale != output->scale ||
            part->zero != output->zero)
            return "its operands must have the output's type and scale";
        for (int axis = 0; axis < output->rank; axis++)
            if (axis != step->axis && part->dims[axis] != output->dims[axis])
                return "its sizes do not fit";
        sum += part->dims[step->axis];
    }
    return sum == output->dims[step->axis] ? NULL : "its sizes do not fit";
}

/* Return NULL, or why the operator cannot be computed. */
const char *prepare(struct step *step, struct file *file)
{
    const struct value *input = step->input_count ? step->inputs[0] : NULL;
    if (!input)
        return "it has no operand";
    if (step->code == RESHAPE || step->code == SQUEEZE)
        return input->bytes == step->output->bytes && input->type == step->output->type ? NULL : "its sizes do not fit";
    if (!is_quantized(input) || !is_quantized(step->output) || step->output->type != input->type)
        return "its operands must be int8 or uint8, with a scale";
    if (!set_activation(step))
        return "its activation is not imitated";
    switch (step->code) {
    case CONV_2D:
    case DEPTHWISE_CONV_2D:
    case FULLY_CONNECTED:
        return prepare_weights(step, file);
    case MAX_POOL_2D:
    case AVERAGE_POOL_2D:
        return has_window(step) && input->dims[3] == step->output->dims[3] ? NULL : "its sizes do not fit";
    case ADD:
        return prepare_add(step);
    case CONCATENATION:
        return prepare_concatenation(step);
    case SOFTMAX:
    case LOGISTIC:
        if (input->count != step->output->count)
            return "its sizes do not fit";
        return step->code == SOFTMAX ? prepare_softmax(step) : prepare_table(step);
    default:
        return "it is not imitated";
    }
}

/* The part of a filter that lies within the input: [*first, *end). */
static void overlap(int position, int size, int filter, int dilation, int *first, int *end)
{
    *first = position < 0 ? (-position + dilation - 1) / dilation : 0;
    *end = filter > *first ? filter : *first;
    while (*end > *first && position + (int64_t)(*end - 1) * dilation >= size)
        --*end;
}

struct window {
    int top, left, first_y, end_y, first_x, end_x;
};

static struct window window_at(const struct step *step, int y, int x)
{
    const int *in = step->inputs[0]->dims, *out = step->output->dims;
    struct window window;
    window.top = y * step->stride_h - padding(in[1], out[1], step->filter_h, step->stride_h, step->dilation_h);
    window.left = x * step->stride_w - padding(in[2], out[2], step->filter_w, step->stride_w, step->dilation_w);
    overlap(window.top, in[1], step->filter_h, step->dilation_h, &window.first_y, &window.end_y);
    overlap(window.left, in[2], step->filter_w, step->dilation_w, &window.first_x, &window.end_x);
    return window;
}

static size_t pixel(const int *dims, int image, int y, int x)
{
    return (((size_t)image * (size_t)dims[1] + (size_t)y) * (size_t)dims[2] + (size_t)x) * (size_t)dims[3];
}

static int32_t dot(const uint8_t *one, int one_zero, const uint8_t *other, int other_zero, size_t count, bool with_sign)
{
    uint32_t sum = 0;
    if (with_sign)
        for (size_t at = 0; at < count; at++)
            sum += (uint32_t)((get(one, at, true) - one_zero) * (get(other, at, true) - other_zero));
    else
        for (size_t at = 0; at < count; at++)
            sum += (uint32_t)((get(one, at, false) - one_zero) * (get(other, at, false) - other_zero));
    return (int32_t)sum;
}

static uint8_t finish(const struct step *step, uint32_t sum, size_t channel)
{
    int32_t biased = (int32_t)(sum + (uint32_t)bias_of(step, channel));
    struct fixed scale = step->scales[channel];
    int32_t scaled = step->code == FULLY_CONNECTED ? multiply_once(biased, scale) : multiply(biased, scale);
    return clamp((int32_t)((uint32_t)scaled + (uint32_t)step->output->zero), step);
}

static void convolve_pixel(const struct step *step, int image, int y, int x)
{
    const struct value *input = step->inputs[0], *weights = step->inputs[1];
    const uint8_t *in = data_of(input), *filter = data_of(weights);
    uint8_t *out = step->output->data + pixel(step->output->dims, image, y, x);
    struct window w = window_at(step, y, x);
    size_t depth = (size_t)input->dims[3];
    bool with_sign = is_signed(input);
    for (int channel = 0; channel < step->output->dims[3]; channel++) {
        uint32_t sum = 0;
        for (int fy = w.first_y; fy < w.end_y; fy++)
            for (int fx = w.first_x; fx < w.end_x; fx++) {
                size_t from = pixel(input->dims, image, w.top + fy * step->dilation_h, w.left + fx * step->dilation_w);
                size_t by = pixel(weights->dims, channel, fy, fx);
                sum += (uint32_t)dot(in + from, input->zero, filter + by, weights->zero, depth, with_sign);
            }
        out[channel] = finish(step, sum, (size_t)channel);
    }
}

static void convolve_depthwise_pixel(const struct step *step, int image, int y, int x)
{
    const struct value *input = step->inputs[0], *weights = step->inputs[1];
    const uint8_t *in = data_of(input), *filter = data_of(weights);
    uint8_t *out = step->output->data + pixel(step->output->dims, image, y, x);
    struct window w = window_at(step, y, x);
    int times = step->output->dims[3] / input->dims[3];
    bool with_sign = is_signed(input);
    for (int channel = 0; channel < step->output->dims[3]; channel++) {
        uint32_t sum = 0;
        for (int fy = w.first_y; fy < w.end_y; fy++)
            for (int fx = w.first_x; fx < w.end_x; fx++) {
                size_t from = pixel(input->dims, image, w.top + fy * step->dilation_h, w.left + fx * step->dilation_w);
                size_t by = pixel(weights->dims, 0, fy, fx) + (size_t)channel;
                sum += (uint32_t)((get(in, from + (size_t)(channel / times), with_sign) - input->zero) *
                                  (get(filter, by, with_sign) - weights->zero));
            }
        out[channel] = finish(step, sum, (size_t)channel);
    }
}

static void pool_pixel(const struct step *step, int image, int y, int x)
{
    const struct value *input = step->inputs[0];
    const uint8_t *in = data_of(input);
    uint8_t *out = step->output->data + pixel(step->output->dims, image, y, x);
    struct window w = window_at(step, y, x);
    int count = (w.end_y - w.first_y) * (w.end_x - w.first_x);
    for (int channel = 0; channel < input->dims[3]; channel++) {
        int sum = 0, most = step->least;
        for (int fy = w.first_y; fy < w.end_y; fy++)
            for (int fx = w.first_x; fx < w.end_x; fx++) {
                size_t from = pixel(input->dims, image, w.top + fy, w.left + fx) + (size_t)channel;
                int number = get(in, from, is_signed(input));
                sum += number;
                most = number > most ? number : most;
            }
        if (step->code == AVERAGE_POOL_2D && count)
            most = sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
        out[channel] = clamp(most, step);
    }
}

static void compute_pixels(const struct step *step, void (*compute)(const struct step *, int, int, int))
{
    const int *dims = step->output->dims;
    for (int image = 0; image < dims[0]; image++)
        for (int y = 0; y < dims[1]; y++)
            for (int x = 0; x < dims[2]; x++)
                compute(step, image, y, x);
}

static void connect_fully(const struct step *step)
{
    const struct value *input = step->inputs[0], *weights = step->inputs[1];
    size_t depth = (size_t)weights->dims[1], channels = (size_t)weights->dims[0];
    for (size_t row = 0; row < input->count / depth; row++)
        for (size_t channel = 0; channel < channels; channel++) {
            int32_t sum = dot(data_of(input) + row * depth, input->zero, data_of(weights) + channel * depth, weights->zero, depth,
                              is_signed(input));
            step->output->data[row * channels + channel] = finish(step, (uint32_t)sum, channel);
        }
}

static void add(const struct step *step)
{
    const struct value *one = step->inputs[0], *other = step->inputs[1];
    for (size_t at = 0; at < one->count; at++) {
        int32_t a = (get(data_of(one), at, is_signed(one)) - one->zero) * (1 << 20);
        int32_t b = (get(data_of(other), at, is_signed(one)) - other->zero) * (1 << 20);
        int32_t sum = multiply(a, step->scales[0]) + multiply(b, step->scales[1]);
        step->output->data[at] = clamp(multiply(sum, step->scales[2]) + step->output->zero, step);
    }
}

static void softmax(const struct step *step)
{
    const struct value *input = step->inputs[0], *output = step->output;
    size_t depth = (size_t)input->dims[input->rank - 1];
    bool with_sign = is_signed(input);
    for (size_t start = 0; start < input->count; start += depth) {
        const uint8_t *in = data_of(input) + start;
        int most = -128;
        for (size_t at = 0; at < depth; at++)
            most = get(in, at, with_sign) > most ? get(in, at, with_sign) : most;
        const float *exponentials = step->exponentials + 255 - most;
        float sum = 0;
        for (size_t at = 0; at < depth; at++)
            sum += exponentials[get(in, at, with_sign)];
        float inverse = 1.0f / (sum * output->scale);
        for (size_t at = 0; at < depth; at++) {
            float number = exponentials[get(in, at, with_sign)] * inverse;
            output->data[start + at] = clamp(nearest(number) + output->zero, step);
        }
    }
}

static void concatenate(const struct step *step)
{
    const struct value *output = step->output;
    size_t outer = 1, inner = 1, at = 0;
    for (int axis = 0; axis < step->axis; axis++)
        outer *= (size_t)output->dims[axis];
    for (int axis = step->axis + 1; axis < output->rank; axis++)
        inner *= (size_t)output->dims[axis];
    for (size_t row = 0; row < outer; row++)
        for (size_t number = 0; number < step->input_count; number++) {
            size_t size = (size_t)step->inputs[number]->dims[step->axis] * inner;
            memcpy(output->data + at, data_of(step->inputs[number]) + row * size, size);
            at += size;
        }
}

void compute_step(const struct step *step)
{
    switch (step->code) {
    case CONV_2D:
        compute_pixels(step, convolve_pixel);
        break;
    case DEPTHWISE_CONV_2D:
        compute_pixels(step, convolve_depthwise_pixel);
        break;
    case MAX_POOL_2D:
    case AVERAGE_POOL_2D:
        compute_pixels(step, pool_pixel);
        break;
    case FULLY_CONNECTED:
        connect_fully(step);
        break;
    case ADD:
        add(step);
        break;
    case SOFTMAX:
        softmax(step);
        break;
    case LOGISTIC:
        for (size_t at = 0; at < step->inputs[0]->count; at++)
            step->output->data[at] = step->table[data_of(step->inputs[0])[at]];
        break;
    case CONCATENATION:
        concatenate(step);
        break;
    default: /* a reshape */
        memmove(step->output->data, data_of(step->inputs[0]), step->output->bytes);
    }
}
