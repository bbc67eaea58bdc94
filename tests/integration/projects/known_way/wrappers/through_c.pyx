# cython: language_level=3
"""The camera through C alone."""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free

import os


cdef extern from "camera.h" nogil:
    struct picture:
        unsigned width
        unsigned height
        unsigned pitch
        unsigned sequence
        uint64_t microseconds
        uint8_t *data
        size_t size

    const char *c_headers "headers"()
    const char *c_capture "capture"(unsigned width, unsigned height, int encoded, picture *picture)
    const char *c_show_box "show_box"(float x1, float y1, float x2, float y2)
    const char *c_hide_box "hide_box"()
    const char *c_infer "infer"(int model, const picture *nv12, uint8_t *outputs, size_t most, size_t *size)


def headers():
    return c_headers().decode()


cdef check(const char *failed):
    if failed != NULL:
        raise OSError(failed.decode())


def capture(unsigned width, unsigned height, bint encoded=False):
    cdef picture taken
    cdef const char *failed
    taken.data = NULL
    with nogil:
        failed = c_capture(width, height, encoded, &taken)
    check(failed)
    try:
        return taken.sequence, taken.microseconds, taken.pitch, taken.data[: taken.size]
    finally:
        free(taken.data)


def show_box(float x1, float y1, float x2, float y2):
    check(c_show_box(x1, y1, x2, y2))


def hide_box():
    check(c_hide_box())


def infer(path, unsigned width, unsigned height, unsigned pitch, bytes nv12):
    cdef picture given
    cdef uint8_t outputs[65536]
    cdef size_t size = 0
    given.width, given.height, given.pitch = width, height, pitch
    given.data, given.size = nv12, len(nv12)
    fd = os.open(path, os.O_RDONLY)
    try:
        check(c_infer(fd, &given, outputs, sizeof(outputs), &size))
    finally:
        os.close(fd)
    return outputs[:size]
