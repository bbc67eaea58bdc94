/* Uses axoverlay as its documentation describes it: an overlay that the program draws with cairo, in all streams. */
#include <assert.h>
#include <axoverlay.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct _GMainContext GMainContext;
gboolean g_main_context_iteration(GMainContext *context, gboolean may_block);
void g_clear_error(GError **error);
void cairo_set_source_rgba(void *context, double red, double green, double blue, double alpha);
void cairo_paint(void *context);

/* The stand-in of VDO calls this for each picture that it encodes. */
struct incamera_picture {
    uint8_t *y, *uv;
    size_t pitch;
    unsigned width, height, channel, stream, rotation, across, left;
};
void incamera_draw(const struct incamera_picture *picture);

enum { WIDTH = 64, HEIGHT = 48 };
static uint8_t y[WIDTH * HEIGHT], uv[WIDTH * HEIGHT / 2];
static unsigned selected, rendered;
static int data;

static gboolean select_stream(gint camera, gint width, gint height, gint rotation, gboolean is_mirrored,
                              enum axoverlay_stream_type type)
{
    assert(camera == AXOVERLAY_DEFAULT_CAMERA_ID && height == HEIGHT && rotation == 0 && !is_mirrored);
    assert(type != AXOVERLAY_STREAM_YCBCR);
    selected++;
    return width == WIDTH;
}

static void adjust(gint id, struct axoverlay_stream_data *stream, enum axoverlay_position_type *postype, gfloat *x,
                   gfloat *y_, gint *width, gint *height, gpointer user_data)
{
    assert(id >= 0 && stream->width == WIDTH && user_data == &data);
    assert(*postype == AXOVERLAY_CUSTOM_NORMALIZED && *x == 0 && *y_ == 0);
    *width = *height = 16;
}

static void render(gpointer context, gint id, struct axoverlay_stream_data *stream, enum axoverlay_position_type postype,
                   gfloat x, gfloat y_, gint width, gint height, gpointer user_data)
{
    (void)id, (void)stream, (void)postype, (void)x, (void)y_;
    assert(width == 16 && height == 16 && user_data == &data);
    cairo_set_source_rgba(context, 1, 1, 1, 1);
    cairo_paint(context);
    rendered++;
}

/* Show a picture of a stream, and tell whether the pixel in its middle was drawn over. */
static bool show(unsigned stream, unsigned width)
{
    const struct incamera_picture picture = {y, uv, WIDTH, width, HEIGHT, 1, stream, 0, width, 0};
    memset(y, 16, sizeof y);
    memset(uv, 128, sizeof uv);
    incamera_draw(&picture);
    while (g_main_context_iteration(NULL, FALSE))
        ;
    assert(y[0] == 16 && y[(HEIGHT / 2 - 9) * WIDTH + WIDTH / 2] == 16);
    return y[HEIGHT / 2 * WIDTH + WIDTH / 2 - 8] > 200 && y[(HEIGHT / 2 + 7) * WIDTH + WIDTH / 2 + 7] > 200;
}

static void expect(GError **error, int code)
{
    assert(*error && (*error)->code == code);
    g_clear_error(error);
}

int main(void)
{
    GError *error = NULL;
    axoverlay_settings settings;
    axoverlay_overlay_data overlay;
    axoverlay_palette_color red = {255, 0, 0, 255, FALSE}, found;
    axoverlay_redraw(&error);
    expect(&error, AXOVERLAY_ERROR_UNEXPECTED);
    assert(axoverlay_is_backend_supported(AXOVERLAY_CAIRO_IMAGE_BACKEND));
    assert(!axoverlay_is_backend_supported(AXOVERLAY_OPENGLES_BACKEND));
    axoverlay_init_axoverlay_settings(&settings);
    settings.select_callback = select_stream;
    settings.adjustment_callback = adjust;
    settings.backend = AXOVERLAY_CAIRO_IMAGE_BACKEND;
    axoverlay_init(&settings, &error);
    expect(&error, AXOVERLAY_ERROR_INVALID_ARGUMENT);
    settings.render_callback = render;
    axoverlay_init(&settings, &error);
    assert(!error);
    assert(axoverlay_get_max_resolution_width(1, &error) > axoverlay_get_max_resolution_height(1, &error));
    assert(axoverlay_get_max_resolution_width(9, &error) < 0);
    expect(&error, AXOVERLAY_ERROR_INVALID_ARGUMENT);
    axoverlay_init_overlay_data(&overlay);
    assert(overlay.scale_to_stream && overlay.postype == AXOVERLAY_TOP_LEFT);
    assert(axoverlay_create_overlay(&overlay, &data, &error) < 0);
    expect(&error, AXOVERLAY_ERROR_INVALID_VALUE);
    overlay.width = overlay.height = 100;
    int id = axoverlay_create_overlay(&overlay, &data, &error);
    assert(id >= 0 && !error);
    axoverlay_set_overlay_size(id, 50, 50, &error);
    overlay.anchor_point = AXOVERLAY_ANCHOR_CENTER;
    axoverlay_destroy_overlay(id, &error);
    overlay.postype = AXOVERLAY_CUSTOM_SOURCE;
    id = axoverlay_create_overlay(&overlay, &data, &error);
    axoverlay_set_overlay_position(id, AXOVERLAY_CUSTOM_NORMALIZED, 0, 0, &error);
    assert(id >= 0 && !error);
    /* A stream that begins is drawn in the main context, and others are not selected. */
    assert(!show(1, WIDTH) && selected == 1 && rendered == 1);
    assert(show(1, WIDTH));
    assert(!show(2, WIDTH / 2) && !show(2, WIDTH / 2) && selected == 2);
    axoverlay_redraw(&error);
    assert(rendered == 2 && !error);
    for (unsigned stream = 10; stream < 60; stream++)
        assert(!show(stream, WIDTH) && show(stream, WIDTH));
    assert(axoverlay_get_number_of_palette_colors(&error) > 1);
    axoverlay_set_palette_color(1, &red, &error);
    axoverlay_get_palette_color(1, &found, &error);
    assert(found.red == 255 && found.alpha == 255 && !error);
    axoverlay_destroy_overlay(id, &error);
    assert(!show(59, WIDTH) && !error);
    axoverlay_destroy_overlay(id, &error);
    expect(&error, AXOVERLAY_ERROR_INVALID_ARGUMENT);
    axoverlay_reload_streams(&error);
    axoverlay_cleanup();
    axoverlay_redraw(&error);
    expect(&error, AXOVERLAY_ERROR_UNEXPECTED);
    puts("done");
    return 0;
}
