#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* Count in bins how often each of 256 levels is in pixels. Returns NULL when there is no memory; free() the result. */
uint32_t *count_levels(const uint8_t *pixels, size_t length);

#endif
