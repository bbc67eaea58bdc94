# What acap uses of the camera's video library, as vdo.h declares it.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "vdo.h" nogil:
    ctypedef struct GError:
        uint32_t domain
        int code
        char *message

    ctypedef struct VdoMap
    ctypedef struct VdoChannel
    ctypedef struct VdoStream
    ctypedef struct VdoBuffer
    ctypedef void (*VdoBufferFinalizer)(VdoBuffer *) noexcept nogil

    ctypedef struct VdoResolution:
        uint32_t width
        uint32_t height

    ctypedef struct VdoResolutionSet:
        size_t count
        VdoResolution *resolutions

    ctypedef struct VdoPair32u:
        uint32_t w
        uint32_t h

    ctypedef struct VdoChunk:
        void *data
        size_t size
        uint32_t type

    uint32_t VDO_CHUNK_ERROR

    ctypedef struct GList:
        void *data
        GList *next

    const char *vdo_open(const char *soname)
    const char *vdo_since(const char *name)

    struct vdo_functions "":
        int (*vdo_error_is_expected)(GError **) noexcept nogil
        VdoMap *(*vdo_map_new)() noexcept nogil
        void (*vdo_map_set_boolean)(VdoMap *, const char *, int) noexcept nogil
        void (*vdo_map_set_uint32)(VdoMap *, const char *, uint32_t) noexcept nogil
        void (*vdo_map_set_double)(VdoMap *, const char *, double) noexcept nogil
        void (*vdo_map_set_string)(VdoMap *, const char *, const char *) noexcept nogil
        uint32_t (*vdo_map_get_uint32)(VdoMap *, const char *, uint32_t) noexcept nogil
        double (*vdo_map_get_double)(VdoMap *, const char *, double) noexcept nogil
        const char *(*vdo_map_get_string)(VdoMap *, const char *, size_t *, const char *) noexcept nogil
        VdoPair32u (*vdo_map_get_pair32u)(VdoMap *, const char *, VdoPair32u) noexcept nogil
        GList *(*vdo_channel_get_all)(GError **) noexcept nogil
        unsigned (*vdo_channel_get_id)(VdoChannel *) noexcept nogil
        VdoMap *(*vdo_channel_get_info)(VdoChannel *, GError **) noexcept nogil
        VdoChannel *(*vdo_channel_get)(unsigned, GError **) noexcept nogil
        VdoChannel *(*vdo_channel_get_ex)(VdoMap *, GError **) noexcept nogil
        VdoResolutionSet *(*vdo_channel_get_resolutions)(VdoChannel *, VdoMap *, GError **) noexcept nogil
        VdoStream *(*vdo_stream_new)(VdoMap *, VdoBufferFinalizer, GError **) noexcept nogil
        int (*vdo_stream_start)(VdoStream *, GError **) noexcept nogil
        void (*vdo_stream_stop)(VdoStream *) noexcept nogil
        int (*vdo_stream_get_fd)(VdoStream *, GError **) noexcept nogil
        VdoMap *(*vdo_stream_get_info)(VdoStream *, GError **) noexcept nogil
        unsigned (*vdo_stream_get_id)(VdoStream *) noexcept nogil
        VdoMap *(*vdo_stream_get_settings)(VdoStream *, GError **) noexcept nogil
        int (*vdo_stream_force_key_frame)(VdoStream *, GError **) noexcept nogil
        VdoBuffer *(*vdo_stream_snapshot)(VdoMap *, GError **) noexcept nogil
        VdoStream *(*vdo_stream_get)(unsigned, GError **) noexcept nogil
        int (*vdo_stream_attach)(VdoStream *, VdoMap *, GError **) noexcept nogil
        int (*vdo_stream_get_event_fd)(VdoStream *, GError **) noexcept nogil
        VdoMap *(*vdo_stream_get_event)(VdoStream *, GError **) noexcept nogil
        VdoBuffer *(*vdo_stream_get_buffer)(VdoStream *, GError **) noexcept nogil
        int (*vdo_stream_buffer_unref)(VdoStream *, VdoBuffer **, GError **) noexcept nogil
        int (*vdo_stream_set_framerate)(VdoStream *, double, GError **) noexcept nogil
        void *(*vdo_buffer_get_data)(VdoBuffer *) noexcept nogil
        int (*vdo_buffer_get_fd)(VdoBuffer *) noexcept nogil
        int64_t (*vdo_buffer_get_offset)(VdoBuffer *) noexcept nogil
        size_t (*vdo_buffer_get_capacity)(VdoBuffer *) noexcept nogil
        int (*vdo_buffer_is_contiguous)(VdoBuffer *) noexcept nogil
        VdoChunk (*vdo_frame_take_chunk)(VdoBuffer *, GError **) noexcept nogil
        int (*vdo_frame_get_frame_type)(VdoBuffer *) noexcept nogil
        int (*vdo_frame_is_key)(VdoBuffer *) noexcept nogil
        ssize_t (*vdo_frame_get_header_size)(VdoBuffer *) noexcept nogil
        size_t (*vdo_frame_get_size)(VdoBuffer *) noexcept nogil
        unsigned (*vdo_frame_get_sequence_nbr)(VdoBuffer *) noexcept nogil
        uint64_t (*vdo_frame_get_timestamp)(VdoBuffer *) noexcept nogil
        int64_t (*vdo_frame_get_custom_timestamp)(VdoBuffer *) noexcept nogil
        void (*g_object_unref)(void *) noexcept nogil
        void (*g_error_free)(GError *) noexcept nogil
        void (*g_free)(void *) noexcept nogil
        void (*g_list_free)(GList *) noexcept nogil

    vdo_functions vdo
