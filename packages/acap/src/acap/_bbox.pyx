# cython: language_level=3, binding=False
"""Boxes over the camera's video: one object of the camera's library, and one check for every error."""

cimport cython
from libc.errno cimport errno
from libc.stdint cimport int64_t, uint8_t, uint32_t

from .bbox cimport *

from .errors import LibraryMissing, NotSupported, UseAfterFork, drawing_error

cdef extern from "unistd.h" nogil:
    int getpid()

cdef bint opened = False


def open_library():
    """Open the camera's library, once in a process. Raises LibraryMissing."""
    global opened
    if opened:
        return
    cdef const char *message = bbox_open(b"libbbox.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for boxes libbbox.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
            hint="AXIS OS 11.11 and newer have it, but not on ARTPEC-6; on a desk, name a file for a picture in ACAP_PICTURE",
        )
    opened = True


cdef int need(list names) except -1:
    """Raise NotSupported if the camera lacks one of the functions *names*."""
    cdef const char *c_names[2]
    cdef const char *since = b""
    cdef const char *missing
    c_names[1] = NULL
    for name in names:
        c_names[0] = name
        missing = bbox_lacks(c_names, &since)
        if missing != NULL:
            raise NotSupported(
                f"the camera's library for boxes has no {missing.decode()}", hint=f"AXIS OS {since.decode()} has it"
            )
    return 0


# What each kind of shape needs, and what each thickness and style does.
cdef dict KINDS = {
    "rectangle": [b"bbox_rectangle"], "line": [b"bbox_line"], "quad": [b"bbox_quad"],
    "path": [b"bbox_move_to", b"bbox_line_to", b"bbox_draw_path"],
}
cdef dict THICKNESSES = {
    "thin": [b"bbox_thickness_thin"], "medium": [b"bbox_thickness_medium"], "thick": [b"bbox_thickness_thick"],
}


@cython.no_gc_clear
cdef class Drawing:
    """What the camera shows over the video of some channels, or of a view area."""

    cdef bbox_t *box
    cdef int pid

    def __cinit__(self, list channels, object view, bint scene, object on_output):
        cdef uint32_t numbers[8]
        cdef size_t count = len(channels)
        cdef int code
        open_library()
        need([b"bbox_destroy", b"bbox_clear", b"bbox_color", b"bbox_color_from_rgb", b"bbox_commit"])
        self.pid = getpid()
        if view is not None:
            need([b"bbox_view_new"])
            self.box = bbox.bbox_view_new(view)
        else:
            need([b"bbox_new"])
            for n in range(BBOX_MOST_CHANNELS):
                numbers[n] = channels[n] if n < count else 0
            with nogil:
                self.box = bbox_new_of(count, numbers)
        if self.box == NULL:
            code = errno
            raise drawing_error(code, "draw over the video" if view is None else f"draw over the view {view}")
        name = b"bbox_coordinates_scene_normalized" if scene else b"bbox_coordinates_frame_normalized"
        need([name])
        self.check(bbox.bbox_coordinates_scene_normalized(self.box) if scene
                   else bbox.bbox_coordinates_frame_normalized(self.box))
        if on_output is not None:
            need([b"bbox_video_output"])
            self.check(bbox.bbox_video_output(self.box, on_output))

    cdef int check(self, bint good) except -1:
        cdef int code = errno
        if not good:
            raise drawing_error(code, "draw over the video")
        return 0

    def show(self, list shapes, int64_t when):
        """Show *shapes* in place of what is shown: (kind, numbers, RGBA, thickness, style) each."""
        cdef bint good
        if self.pid != getpid():
            raise UseAfterFork("these boxes were made before a fork", hint="make them in the new process")
        self.check(bbox.bbox_clear(self.box))
        for kind, numbers, color, thickness, style in shapes:
            self.pen(color, thickness, style)
            need(KINDS[kind])
            self.draw(kind, numbers)
        with nogil:
            good = bbox.bbox_commit(self.box, when)
        self.check(good)

    cdef int pen(self, tuple color, str thickness, str style) except -1:
        cdef uint8_t rgba[4]
        for n in range(4):
            rgba[n] = color[n]
        if rgba[3] != 255:
            need([b"bbox_color_from_rgba"])
        self.check(bbox_set_color(self.box, rgba))
        need(THICKNESSES[thickness])
        if thickness == "thin":
            self.check(bbox.bbox_thickness_thin(self.box))
        elif thickness == "medium":
            self.check(bbox.bbox_thickness_medium(self.box))
        else:
            self.check(bbox.bbox_thickness_thick(self.box))
        need([b"bbox_style_corners" if style == "corners" else b"bbox_style_outline"])
        self.check(bbox.bbox_style_corners(self.box) if style == "corners" else bbox.bbox_style_outline(self.box))
        return 0

    cdef int draw(self, str kind, tuple p) except -1:
        if kind == "rectangle":
            self.check(bbox.bbox_rectangle(self.box, p[0], p[1], p[2], p[3]))
        elif kind == "line":
            self.check(bbox.bbox_line(self.box, p[0], p[1], p[2], p[3]))
        elif kind == "quad":
            self.check(bbox.bbox_quad(self.box, p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]))
        else:
            self.check(bbox.bbox_move_to(self.box, p[0], p[1]))
            for n in range(2, len(p), 2):
                self.check(bbox.bbox_line_to(self.box, p[n], p[n + 1]))
            self.check(bbox.bbox_draw_path(self.box))
        return 0

    def close(self):
        """Remove all that is shown."""
        cdef bbox_t *box = self.box
        self.box = NULL
        if box != NULL and self.pid == getpid():
            with nogil:
                bbox.bbox_destroy(box)

    def __dealloc__(self):
        self.close()
