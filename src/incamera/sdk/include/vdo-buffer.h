/*
 * Buffers: memory with a frame. VDO, in the camera since AXIS OS 9.80. Made by incamera from
 * data/vdo.toml.
 */
#ifndef INCAMERA_VDO_BUFFER_H
#define INCAMERA_VDO_BUFFER_H

#include "incamera-axis-os.h"
#include "vdo-frame.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A buffer and its frame are one object. */
typedef VdoFrame VdoBuffer;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VdoBuffer, g_object_unref)

typedef void (*VdoBufferFinalizer)(VdoBuffer *self);

/* The buffer does not close FD. Offset and capacity are in bytes. */
VdoBuffer *vdo_buffer_new(gint fd, gsize capacity, guint64 offset, gpointer opaque);
VdoBuffer *vdo_buffer_new_full(gint fd, gsize capacity, guint64 offset, gpointer opaque, VdoMap
    *settings);
guint32 vdo_buffer_get_id(VdoBuffer *self);
/* -1 on error. The file descriptor belongs to the buffer. */
gint vdo_buffer_get_fd(VdoBuffer *self);
gint64 vdo_buffer_get_offset(VdoBuffer *self);
/* In bytes; may be more than the frame's size. */
gsize vdo_buffer_get_capacity(VdoBuffer *self);
gboolean vdo_buffer_is_complete(VdoBuffer *self);

#if INCAMERA_AXIS_OS >= 1211
/*
 * Whether vdo_buffer_get_data has the whole frame. Otherwise, take its chunks. Newer than AXIS OS
 * 12.1; in 12.11 at the latest.
 */
gboolean vdo_buffer_is_contiguous(VdoBuffer *self);
#endif

gpointer vdo_buffer_get_opaque(VdoBuffer *self);
/* Borrowed from the buffer; NULL when it cannot be mapped. */
gpointer vdo_buffer_get_data(VdoBuffer *self);
/* Borrowed from the buffer: they are one object. */
VdoFrame *vdo_buffer_get_frame(VdoBuffer *self);

#ifdef __cplusplus
}
#endif

#endif
