/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define BBOX_FUNCTIONS(FUNCTION) \
    FUNCTION(bbox_t *, bbox_new, (size_t n_channels, ...), "11.11") \
    FUNCTION(bbox_t *, bbox_view_new, (bbox_channel_t view), "11.11") \
    FUNCTION(bool, bbox_destroy, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_coordinates_scene_normalized, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_coordinates_frame_normalized, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_video_output, (bbox_t *self, bool enabled), "11.11") \
    FUNCTION(bbox_color_t, bbox_color_from_rgb, (uint8_t r, uint8_t g, uint8_t b), "11.11") \
    FUNCTION(bbox_color_t, bbox_color_from_rgba, (uint8_t r, uint8_t g, uint8_t b, uint8_t a), "11.11") \
    FUNCTION(bool, bbox_clear, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_color, (bbox_t *self, bbox_color_t color), "11.11") \
    FUNCTION(bool, bbox_style_outline, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_style_corners, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_thickness_thin, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_thickness_medium, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_thickness_thick, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_rectangle, (bbox_t *self, float x1, float y1, float x2, float y2), "11.11") \
    FUNCTION(bool, bbox_line, (bbox_t *self, float x1, float y1, float x2, float y2), "11.11") \
    FUNCTION(bool, bbox_quad, (bbox_t *self, float x1, float y1, float x2, float y2, float x3, float y3, float x4, float y4), "11.11") \
    FUNCTION(bool, bbox_move_to, (bbox_t *self, float x, float y), "11.11") \
    FUNCTION(bool, bbox_line_to, (bbox_t *self, float x, float y), "11.11") \
    FUNCTION(bool, bbox_draw_path, (bbox_t *self), "11.11") \
    FUNCTION(bool, bbox_commit, (bbox_t *self, int64_t when_us), "11.11")
