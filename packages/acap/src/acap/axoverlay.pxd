# What acap uses of the camera's older library for overlays, as axoverlay.h declares it.

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "axoverlay.h" nogil:
    ctypedef struct GError:
        int code
        char *message

    ctypedef struct overlay_picture:
        int id, across, down, margin, width, height
        unsigned streams
        uint32_t *argb

    const char *axoverlay_open(const char *soname)
    const char *axoverlay_lacks(const char **since)
    void overlay_begin(GError **error)
    void overlay_create(overlay_picture *picture, GError **error)
    void overlay_show(overlay_picture *picture, const uint8_t *rgba, GError **error)
    void overlay_end(overlay_picture *picture, GError **error)

    struct axoverlay_functions "":
        bint (*axoverlay_is_backend_supported)(int) noexcept nogil
        void (*g_error_free)(GError *) noexcept nogil

    axoverlay_functions axoverlay
