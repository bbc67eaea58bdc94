# What acap uses of the camera's library for overlays, as axoverlay2.h declares it.

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "axoverlay2.h" nogil:
    ctypedef struct axo_err
    ctypedef struct axo_props
    ctypedef struct axo_match
    ctypedef struct axo_buffer

    int OVERLAY_ARGB32, OVERLAY_INVALID, OVERLAY_WAIT, OVERLAY_NO_STREAM
    const char *axoverlay2_open(const char *soname)
    const char *axoverlay2_lacks(const char **since)
    void overlay_fill(uint32_t *to, unsigned width, unsigned height, const uint8_t *rgba, unsigned across, unsigned down,
                      unsigned left, unsigned top)

    struct axoverlay2_functions "":
        bint (*axo_start)(void *, axo_err **) noexcept nogil
        axo_props *(*axo_props_new)() noexcept nogil
        void (*axo_props_free)(axo_props *) noexcept nogil
        void (*axo_props_set_size)(axo_props *, unsigned, unsigned) noexcept nogil
        void (*axo_props_set_format)(axo_props *, int) noexcept nogil
        axo_match *(*axo_match_new)() noexcept nogil
        void (*axo_match_free)(axo_match *) noexcept nogil
        void (*axo_match_stream_id)(axo_match *, unsigned) noexcept nogil
        int (*axo_create_overlay)(axo_props *, axo_match *, axo_err **) noexcept nogil
        bint (*axo_remove_overlay)(int, axo_err **) noexcept nogil
        bint (*axo_get_aligned_size)(int, unsigned, unsigned, unsigned *, unsigned *, axo_err **) noexcept nogil
        axo_buffer *(*axo_get_buffer)(int, void *, axo_err **) noexcept nogil
        void *(*axo_buffer_get_data)(axo_buffer *, axo_err **) noexcept nogil
        size_t (*axo_buffer_get_byte_size)(axo_buffer *) noexcept nogil
        bint (*axo_submit_buffer)(axo_buffer *, void *, axo_err **) noexcept nogil
        int (*axo_err_get_code)(const axo_err *) noexcept nogil
        const char *(*axo_err_get_message)(const axo_err *) noexcept nogil
        void (*axo_err_clear)(axo_err **) noexcept nogil

    axoverlay2_functions axoverlay2
