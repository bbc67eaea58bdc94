# What acap uses of the camera's library for boxes, as bbox.h declares it.

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef extern from "bbox.h" nogil:
    ctypedef struct bbox_t

    int BBOX_MOST_CHANNELS
    const char *bbox_open(const char *soname)
    const char *bbox_lacks(const char **names, const char **since)
    bbox_t *bbox_new_of(size_t count, const uint32_t *channels)
    bint bbox_set_color(bbox_t *self, const uint8_t *rgba)

    struct bbox_functions "":
        bbox_t *(*bbox_view_new)(uint32_t) noexcept nogil
        bint (*bbox_destroy)(bbox_t *) noexcept nogil
        bint (*bbox_coordinates_scene_normalized)(bbox_t *) noexcept nogil
        bint (*bbox_coordinates_frame_normalized)(bbox_t *) noexcept nogil
        bint (*bbox_video_output)(bbox_t *, bint) noexcept nogil
        bint (*bbox_clear)(bbox_t *) noexcept nogil
        bint (*bbox_style_outline)(bbox_t *) noexcept nogil
        bint (*bbox_style_corners)(bbox_t *) noexcept nogil
        bint (*bbox_thickness_thin)(bbox_t *) noexcept nogil
        bint (*bbox_thickness_medium)(bbox_t *) noexcept nogil
        bint (*bbox_thickness_thick)(bbox_t *) noexcept nogil
        bint (*bbox_rectangle)(bbox_t *, float, float, float, float) noexcept nogil
        bint (*bbox_line)(bbox_t *, float, float, float, float) noexcept nogil
        bint (*bbox_quad)(bbox_t *, float, float, float, float, float, float, float, float) noexcept nogil
        bint (*bbox_move_to)(bbox_t *, float, float) noexcept nogil
        bint (*bbox_line_to)(bbox_t *, float, float) noexcept nogil
        bint (*bbox_draw_path)(bbox_t *) noexcept nogil
        bint (*bbox_commit)(bbox_t *, int64_t) noexcept nogil

    bbox_functions bbox
