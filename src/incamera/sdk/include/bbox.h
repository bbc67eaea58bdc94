/*
 * Boxes and lines over the video. Bounding box, in the camera since AXIS OS 11.11. Made by incamera
 * from data/bbox.toml.
 */
#ifndef INCAMERA_BBOX_H
#define INCAMERA_BBOX_H

#include "incamera-axis-os.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A function that returns bool returns false on failure, and sets errno. What is drawn appears with bbox_commit, in
 * place of what was there. Coordinates are 0 to 1; what is outside is cut off.
 */
typedef struct bbox_t bbox_t;

typedef uint32_t bbox_channel_t;

/* Opaque: bbox_color_from_rgb makes it. */
typedef struct {
    uint32_t value : 32;
} bbox_color_t;

/* N_CHANNELS numbers of channels follow. NULL on failure. Free it with bbox_destroy. */
bbox_t *bbox_new(size_t n_channels, ...);
/* For one view area. NULL on failure. Free it with bbox_destroy. */
bbox_t *bbox_view_new(bbox_channel_t view);
bool bbox_destroy(bbox_t *self);
/* Coordinates are parts of what the sensor sees. */
bool bbox_coordinates_scene_normalized(bbox_t *self);
/* Coordinates are parts of the channel's picture. */
bool bbox_coordinates_frame_normalized(bbox_t *self);
/* Whether the HDMI output gets the boxes, too. */
bool bbox_video_output(bbox_t *self, bool enabled);
bbox_color_t bbox_color_from_rgb(uint8_t r, uint8_t g, uint8_t b);
bbox_color_t bbox_color_from_rgba(uint8_t r, uint8_t g, uint8_t b, uint8_t a);
bool bbox_clear(bbox_t *self);
bool bbox_color(bbox_t *self, bbox_color_t color);
bool bbox_style_outline(bbox_t *self);
bool bbox_style_corners(bbox_t *self);
bool bbox_thickness_thin(bbox_t *self);
bool bbox_thickness_medium(bbox_t *self);
bool bbox_thickness_thick(bbox_t *self);
bool bbox_rectangle(bbox_t *self, float x1, float y1, float x2, float y2);
bool bbox_line(bbox_t *self, float x1, float y1, float x2, float y2);
bool bbox_quad(bbox_t *self, float x1, float y1, float x2, float y2, float x3, float y3, float x4,
    float y4);
bool bbox_move_to(bbox_t *self, float x, float y);
bool bbox_line_to(bbox_t *self, float x, float y);
bool bbox_draw_path(bbox_t *self);
/* WHEN_US, in microseconds, synchronizes with video. Programs pass 0. */
bool bbox_commit(bbox_t *self, int64_t when_us);

#ifdef __cplusplus
}
#endif

#endif
