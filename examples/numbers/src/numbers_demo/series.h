#ifndef NUMBERS_DEMO_SERIES_H
#define NUMBERS_DEMO_SERIES_H

#include <stddef.h>

/* Fill values[0..count-1] with the first terms of 1/1! + 1/2! + 1/3! + ..., whose sum is e - 1. */
void series_fill(double *values, size_t count);

#endif
