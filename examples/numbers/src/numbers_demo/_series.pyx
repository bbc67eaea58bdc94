# cython: language_level=3
"""The C function of series.h, for Python."""


cdef extern from "series.h" nogil:
    void series_fill(double *values, size_t count)


def fill(double[::1] values not None):
    """Fill *values* in place. It is any writable buffer of doubles, such as a numpy array. Nothing is copied."""
    if values.shape[0] == 0:
        return
    with nogil:
        series_fill(&values[0], values.shape[0])
