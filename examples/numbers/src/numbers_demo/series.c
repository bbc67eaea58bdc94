#include "series.h"

void series_fill(double *values, size_t count)
{
    double term = 1.0;

    for (size_t i = 0; i < count; i++) {
        term /= (double)(i + 1);
        values[i] = term;
    }
}
