/*
 * Frames: what is known of the picture in a buffer. VDO, in the camera since AXIS OS 9.80. Made by
 * incamera from data/vdo.toml.
 */
#ifndef INCAMERA_VDO_FRAME_H
#define INCAMERA_VDO_FRAME_H

#include "incamera-axis-os.h"
#include "vdo-error.h"
#include "vdo-map.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VDO_TYPE_FRAME (vdo_frame_get_type())
G_DECLARE_FINAL_TYPE(VdoFrame, vdo_frame, VDO, FRAME, GObject)

typedef void (*VdoFrameFinalizer)(VdoFrame *self);

VdoFrameType vdo_frame_get_frame_type(VdoFrame *self);
gboolean vdo_frame_is_key(VdoFrame *self);
gboolean vdo_frame_shown(VdoFrame *self);
/* Counts from 0. A gap is a dropped frame. */
guint vdo_frame_get_sequence_nbr(VdoFrame *self);
/* When the frame was captured: microseconds of CLOCK_MONOTONIC. */
guint64 vdo_frame_get_timestamp(VdoFrame *self);

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
guint64 vdo_frame_get_utc_timestamp(VdoFrame *self);
#endif

/*
 * Microseconds of the clock that the stream's key timestamp.type chooses; without it, of the wall
 * clock.
 */
gint64 vdo_frame_get_custom_timestamp(VdoFrame *self);
/* In bytes. The buffer may be larger. */
gsize vdo_frame_get_size(VdoFrame *self);
/* Where the slice begins in an H.26x frame, in bytes; -1 when that is not known. */
gssize vdo_frame_get_header_size(VdoFrame *self);
gint vdo_frame_get_fd(VdoFrame *self);
VdoMap *vdo_frame_get_extra_info(VdoFrame *self);
gpointer vdo_frame_get_opaque(VdoFrame *self);
gboolean vdo_frame_get_is_last_buffer(VdoFrame *self);
void vdo_frame_set_size(VdoFrame *self, gsize size);
void vdo_frame_set_frame_type(VdoFrame *self, VdoFrameType type);
void vdo_frame_set_sequence_nbr(VdoFrame *self, guint seqnum);
void vdo_frame_set_timestamp(VdoFrame *self, guint64 timestamp);
void vdo_frame_set_custom_timestamp(VdoFrame *self, gint64 timestamp);
void vdo_frame_set_is_last_buffer(VdoFrame *self, gboolean is_last_buffer);
void vdo_frame_set_extra_info(VdoFrame *self, VdoMap *extra_info);
void vdo_frame_set_header_size(VdoFrame *self, gssize size);
/* Deprecated, as vdo_frame_unmap: use vdo_buffer_get_data. */
gpointer vdo_frame_memmap(VdoFrame *self);
void vdo_frame_unmap(VdoFrame *self);
/* The next part of a frame. Size 0: there are no more. Type VDO_CHUNK_ERROR: it failed. */
VdoChunk vdo_frame_take_chunk(VdoFrame *self, GError **error);
VdoChunk vdo_frame_take_chunk_ex(VdoFrame *self, VdoChunkOption options, GError **error);
GType vdo_frame_get_type(void);

#ifdef __cplusplus
}
#endif

#endif
