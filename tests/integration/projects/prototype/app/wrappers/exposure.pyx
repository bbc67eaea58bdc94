cimport numpy as np
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free


cdef extern from "histogram.h":
    uint32_t *count_levels(const uint8_t *pixels, size_t length)


def levels(np.ndarray[np.uint8_t, ndim=1, mode="c"] pixels not None):
    cdef uint32_t *bins = count_levels(<const uint8_t *>np.PyArray_DATA(pixels), len(pixels))
    if bins is NULL:
        raise MemoryError
    try:
        return [bins[level] for level in range(256)]
    finally:
        free(bins)
