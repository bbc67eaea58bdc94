/* Streams of frames. VDO, in the camera since AXIS OS 9.80. Made by incamera from data/vdo.toml. */
#ifndef INCAMERA_VDO_STREAM_H
#define INCAMERA_VDO_STREAM_H

#include "incamera-axis-os.h"
#include "vdo-buffer.h"
#include "vdo-channel.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VDO_TYPE_STREAM (vdo_stream_get_type())
G_DECLARE_FINAL_TYPE(VdoStream, vdo_stream, VDO, STREAM, GObject)

#if INCAMERA_AXIS_OS >= 1208
/*
 * As vdo_stream_new with socket.blocking FALSE, image.fit scale, two buffers, and this format,
 * input and resolution. SETTINGS, which may be NULL, come first.
 */
VdoStream *vdo_stream_rgb_new(const VdoMap *settings, guint32 input, VdoResolution resolution,
    GError **error);
/* As vdo_stream_rgb_new. */
VdoStream *vdo_stream_nv12_new(const VdoMap *settings, guint32 input, VdoResolution resolution,
    GError **error);
/* As vdo_stream_rgb_new; the Y plane only. */
VdoStream *vdo_stream_y800_new(const VdoMap *settings, guint32 input, VdoResolution resolution,
    GError **error);
#endif

/* Free a stream with g_object_unref. FIN may be NULL. */
VdoStream *vdo_stream_new(VdoMap *settings, VdoBufferFinalizer fin, GError **error);
/* The stream 0 always exists: its events tell of streams that come and go. */
VdoStream *vdo_stream_get(guint id, GError **error);
/* Free the list with g_list_free_full (list, g_object_unref). */
GList *vdo_stream_get_all(GError **error);
guint vdo_stream_get_id(VdoStream *self);
/* -1 on error. Readable when there is a frame. */
gint vdo_stream_get_fd(VdoStream *self, GError **error);

#if INCAMERA_AXIS_OS >= 1009
/* -1 on error. Readable when there is an event. */
gint vdo_stream_get_event_fd(VdoStream *self, GError **error);
#endif

/* A new map, with what the stream really has: width, height, pitch, framerate, format, ... */
VdoMap *vdo_stream_get_info(VdoStream *self, GError **error);
/* A new map. */
VdoMap *vdo_stream_get_settings(VdoStream *self, GError **error);
gboolean vdo_stream_set_settings(VdoStream *self, VdoMap *settings, GError **error);
/* Requires dynamic.framerate TRUE, or zip.fps_mode 1, before the start. */
gboolean vdo_stream_set_framerate(VdoStream *self, gdouble framerate, GError **error);
gboolean vdo_stream_attach(VdoStream *self, VdoMap *intent, GError **error);
gboolean vdo_stream_start(VdoStream *self, GError **error);
gboolean vdo_stream_play(VdoStream *self, VdoMap *settings, GError **error);
void vdo_stream_stop(VdoStream *self);
gboolean vdo_stream_force_key_frame(VdoStream *self, GError **error);
/* For the strategy EXPLICIT. Asks the service, and blocks for its answer. */
VdoBuffer *vdo_stream_buffer_alloc(VdoStream *self, gpointer opaque, GError **error);
/* Gives a buffer back, and sets *BUFFER to NULL. Blocks for the service's answer. */
gboolean vdo_stream_buffer_unref(VdoStream *self, VdoBuffer **buffer, GError **error);
/* For the strategy EXPLICIT: lets the service fill the buffer again. */
gboolean vdo_stream_buffer_enqueue(VdoStream *self, VdoBuffer *buffer, GError **error);
/*
 * Give the buffer back with vdo_stream_buffer_unref. Blocks for the next frame, unless
 * socket.blocking is FALSE: then NULL and VDO_ERROR_NO_DATA.
 */
VdoBuffer *vdo_stream_get_buffer(VdoStream *self, GError **error);
VdoStream *vdo_stream_to_fd(VdoMap *settings, int data_fd, int meta_fd, GError **error);
/*
 * One frame without a stream. Changes SETTINGS to what the frame has. Free it with g_object_unref.
 */
VdoBuffer *vdo_stream_snapshot(VdoMap *settings, GError **error);
gboolean vdo_stream_encode(VdoStream *self, VdoBuffer **in_buf, VdoMap *settings, GError **error);

#if INCAMERA_AXIS_OS >= 1009
/*
 * A new map with event (VdoStreamEvent) and id; NULL and VDO_ERROR_NO_EVENT when there is none.
 * Never blocks.
 */
VdoMap *vdo_stream_get_event(VdoStream *self, GError **error);
#endif

GType vdo_stream_get_type(void);

#ifdef __cplusplus
}
#endif

#endif
