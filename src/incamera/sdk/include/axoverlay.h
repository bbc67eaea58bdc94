/*
 * Drawings over the video, on ARTPEC. Since AXIS OS 12.10, axoverlay2.h is its successor.
 * Axoverlay, in the camera since AXIS OS 9.80. Made by incamera from data/axoverlay.toml.
 */
#ifndef INCAMERA_AXOVERLAY_H
#define INCAMERA_AXOVERLAY_H

#include "incamera-axis-os.h"
#include <sys/time.h>
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AXOVERLAY_QUAD_CAMERA_ID 0
#define AXOVERLAY_DEFAULT_CAMERA_ID 1

/* Values of z_priority. */
#define AXOVERLAY_Z_PRIO_LOW 0
#define AXOVERLAY_Z_PRIO_MEDIUM 1000
#define AXOVERLAY_Z_PRIO_HIGH 2000
#define AXOVERLAY_Z_PRIO_VERY_HIGH 3000

typedef enum axoverlay_error_code {
    AXOVERLAY_ERROR_INVALID_VALUE = 1000,
    AXOVERLAY_ERROR_INTERNAL = 2000,
    AXOVERLAY_ERROR_UNEXPECTED = 3000,
    AXOVERLAY_ERROR_GENERIC = 4000,
    AXOVERLAY_ERROR_INVALID_ARGUMENT = 5000,
    AXOVERLAY_ERROR_SERVICE_UNAVAILABLE = 6000,
    AXOVERLAY_ERROR_BACKEND = 7000,
} axoverlay_error_code;

typedef enum axoverlay_colorspace {
    AXOVERLAY_COLORSPACE_ARGB32 = 0,
    AXOVERLAY_COLORSPACE_4BIT_PALETTE = 1,
    AXOVERLAY_COLORSPACE_1BIT_PALETTE = 2,
    AXOVERLAY_COLORSPACE_UNDEFINED = 3,
} axoverlay_colorspace;

typedef enum axoverlay_position_type {
    AXOVERLAY_TOP_LEFT = 0,
    AXOVERLAY_TOP_RIGHT = 1,
    AXOVERLAY_BOTTOM_LEFT = 2,
    AXOVERLAY_BOTTOM_RIGHT = 3,
    AXOVERLAY_CUSTOM_NORMALIZED = 4,
    AXOVERLAY_CUSTOM_SOURCE = 5,
} axoverlay_position_type;

typedef enum axoverlay_backend_type {
    AXOVERLAY_CAIRO_IMAGE_BACKEND = 1,
    AXOVERLAY_OPENGLES_BACKEND = 2,
    AXOVERLAY_OPEN_BACKEND = 3,
} axoverlay_backend_type;

typedef enum axoverlay_anchor_point {
    AXOVERLAY_ANCHOR_TOP_LEFT = 0,
    AXOVERLAY_ANCHOR_CENTER = 1,
} axoverlay_anchor_point;

typedef enum axoverlay_stream_type {
    AXOVERLAY_STREAM_JPEG = 0,
    AXOVERLAY_STREAM_H264 = 1,
    AXOVERLAY_STREAM_H265 = 2,
    AXOVERLAY_STREAM_YCBCR = 3,
    AXOVERLAY_STREAM_VOUT = 4,
    AXOVERLAY_STREAM_OTHER = 5,
    AXOVERLAY_STREAM_RGB = 6,
    AXOVERLAY_STREAM_AV1 = 7,
} axoverlay_stream_type;

/* In pixels and degrees. */
typedef struct axoverlay_stream_data {
    gint id;
    gint camera;
    gint width;
    gint height;
    gint rotation;
    gboolean is_mirrored;
    enum axoverlay_stream_type type;
} axoverlay_stream_data;

/* Normalized positions are -1 to 1. The size is that at the highest resolution, scaled unless scale_to_stream is FALSE. */
typedef struct axoverlay_overlay_data {
    enum axoverlay_anchor_point anchor_point;
    enum axoverlay_position_type postype;
    gfloat x;
    gfloat y;
    gint width;
    gint height;
    gint z_priority;
    enum axoverlay_colorspace colorspace;
    gboolean scale_to_stream;
} axoverlay_overlay_data;

typedef struct axoverlay_palette_color {
    guchar red;
    guchar green;
    guchar blue;
    guchar alpha;
    gboolean pixelate;
} axoverlay_palette_color;

/* Whether the stream gets overlays. */
typedef gboolean (*axoverlay_stream_select_function)(gint camera, gint width, gint height, gint rotation,
    gboolean is_mirrored, enum axoverlay_stream_type type);
/* Called before each drawing; may change position and size. */
typedef void (*axoverlay_adjustment_function)(gint id, struct axoverlay_stream_data *stream,
    enum axoverlay_position_type *postype, gfloat *overlay_x, gfloat *overlay_y, gint *overlay_width,
    gint *overlay_height, gpointer user_data);
/* RENDERING_CONTEXT is a cairo_t * with the backend AXOVERLAY_CAIRO_IMAGE_BACKEND. */
typedef void (*axoverlay_render_function)(gpointer rendering_context, gint id, struct axoverlay_stream_data *stream,
    enum axoverlay_position_type postype, gfloat overlay_x, gfloat overlay_y, gint overlay_width,
    gint overlay_height, gpointer user_data);
typedef void (*axoverlay_synced_render_function)(gpointer rendering_context, gint id,
    struct axoverlay_stream_data *stream, enum axoverlay_position_type postype, gfloat overlay_x,
    gfloat overlay_y, gint overlay_width, gint overlay_height, struct timeval *timestamp, gpointer user_data);

typedef struct axoverlay_settings {
    axoverlay_render_function render_callback;
    axoverlay_adjustment_function adjustment_callback;
    axoverlay_stream_select_function select_callback;
    enum axoverlay_backend_type backend;
} axoverlay_settings;

/* This and the functions that follow are called before axoverlay_init, if at all. */
void axoverlay_enable_cpu_mem_sync(gboolean sync);
void axoverlay_set_adjustment_callback(axoverlay_adjustment_function adjustment_callback);
void axoverlay_set_stream_select_callback(axoverlay_stream_select_function select_callback);
void axoverlay_set_render_callback(axoverlay_render_function render_callback);
void axoverlay_set_synced_render_callback(axoverlay_synced_render_function render_callback);
void axoverlay_set_backend(const char *backend);
/* Fills in defaults. */
void axoverlay_init_axoverlay_settings(axoverlay_settings *axoverlay_settings);
/* In a thread with a GLib main loop. */
void axoverlay_init(axoverlay_settings *axoverlay_settings, GError **error);
void axoverlay_cleanup(void);
void axoverlay_reload_streams(GError **error);
/* Calls the render callback in this thread. */
void axoverlay_redraw(GError **error);
/* Fills in defaults: ARGB32, top left, scaled to the stream. */
void axoverlay_init_overlay_data(axoverlay_overlay_data *data);
/* Returns an id, which is at least 0. Nothing is drawn before axoverlay_redraw. */
gint axoverlay_create_overlay(axoverlay_overlay_data *data, gpointer user_data, GError **error);
void axoverlay_destroy_overlay(gint id, GError **error);
/* Not from a callback. */
void axoverlay_set_overlay_position(gint id, axoverlay_position_type postype, gfloat x, gfloat y,
    GError **error);
void axoverlay_set_overlay_size(gint id, gint width, gint height, GError **error);
/* In pixels. Not from a callback, as the height. */
gint axoverlay_get_max_resolution_width(gint camera, GError **error);
gint axoverlay_get_max_resolution_height(gint camera, GError **error);
gboolean axoverlay_is_backend_supported(axoverlay_backend_type backend);
gint axoverlay_get_number_of_palette_colors(GError **error);
void axoverlay_get_palette_color(gint index, axoverlay_palette_color *color, GError **error);
void axoverlay_set_palette_color(gint index, axoverlay_palette_color *color, GError **error);

#ifdef __cplusplus
}
#endif

#endif
