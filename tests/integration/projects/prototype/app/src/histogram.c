#include <histogram.h>
#include <malloc.h>

uint32_t *count_levels(const uint8_t *pixels, size_t length)
{
    uint32_t *bins = calloc(256, sizeof *bins);
    for (size_t i = 0; bins && i < length; i++)
        bins[pixels[i]]++;
    return bins;
}
