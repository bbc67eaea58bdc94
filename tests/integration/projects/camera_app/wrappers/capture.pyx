cdef extern from "frames.h" nogil:
    double frame_mean(unsigned width, unsigned height)
    int count_devices()


def mean(unsigned width, unsigned height):
    cdef double result
    with nogil:
        result = frame_mean(width, height)
    return result


def devices():
    return count_devices()
