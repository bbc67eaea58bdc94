/* Arithmetic with scaled 8-bit integers, rounded as TensorFlow Lite's reference does. */
#include "network.h"

#include <math.h>

/* NUMBER as a 31-bit fraction and a power of two. */
struct fixed to_fixed(double number)
{
    int shift;
    if (!(number > 0))
        return (struct fixed){0, 0};
    int64_t fraction = (int64_t)round(frexp(number, &shift) * (1LL << 31));
    if (fraction == 1LL << 31) {
        fraction /= 2;
        shift++;
    }
    if (shift < -31)
        return (struct fixed){0, 0};
    if (shift > 30)
        return (struct fixed){INT32_MAX, 30};
    return (struct fixed){(int32_t)fraction, shift};
}

/* The upper half of twice the product, rounded to the nearest. */
static int32_t high_product(int32_t one, int32_t other)
{
    if (one == INT32_MIN && other == INT32_MIN)
        return INT32_MAX;
    int64_t product = (int64_t)one * other;
    return (int32_t)((product + (product >= 0 ? 1 << 30 : 1 - (1 << 30))) / (1LL << 31));
}

static int32_t divide_by_power(int32_t number, int exponent)
{
    int32_t mask = (int32_t)((1LL << exponent) - 1);
    int32_t rest = number & mask, half = (mask >> 1) + (number < 0);
    return (number >> exponent) + (rest > half);
}

int32_t multiply(int32_t number, struct fixed by)
{
    int left = by.shift > 0 ? by.shift : 0, right = by.shift > 0 ? 0 : -by.shift;
    return divide_by_power(high_product((int32_t)((uint32_t)number << left), by.multiplier), right);
}

/* The same, rounded once: half upwards. */
int32_t multiply_once(int32_t number, struct fixed by)
{
    int shift = 31 - by.shift;
    return (int32_t)(((int64_t)number * by.multiplier + (1LL << (shift - 1))) >> shift);
}

int32_t quantize(float number, const struct value *as)
{
    float scaled = roundf(number / as->scale);
    return scaled > 1e6f ? 1000000 : scaled < -1e6f ? -1000000 : as->zero + (int32_t)scaled;
}

/* Set the least and the most that the output may be. */
bool set_activation(struct step *step)
{
    enum { NONE, RELU, RELU_N1_TO_1, RELU6 };
    const struct value *output = step->output;
    bool is_signed = output->type == LAROD_TENSOR_DATA_TYPE_INT8;
    step->least = is_signed ? -128 : 0;
    step->most = is_signed ? 127 : 255;
    if (step->activation < NONE || step->activation > RELU6)
        return false;
    int32_t least = quantize(step->activation == RELU_N1_TO_1 ? -1 : 0, output);
    int32_t most = quantize(step->activation == RELU_N1_TO_1 ? 1 : 6, output);
    if (step->activation != NONE && least > step->least)
        step->least = least < step->most ? least : step->most;
    if ((step->activation == RELU_N1_TO_1 || step->activation == RELU6) && most < step->most)
        step->most = most > step->least ? most : step->least;
    return true;
}
