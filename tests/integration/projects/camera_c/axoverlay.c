/* Draws one red frame over each stream that is not analysed, with a palette. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <axoverlay.h>

static gboolean select_stream(gint camera, gint width, gint height, gint rotation, gboolean mirrored,
                              enum axoverlay_stream_type type)
{
    (void)camera, (void)width, (void)height, (void)rotation, (void)mirrored;
    return type != AXOVERLAY_STREAM_YCBCR && type != AXOVERLAY_STREAM_RGB;
}

static void adjust(gint id, struct axoverlay_stream_data *stream, enum axoverlay_position_type *postype, gfloat *x,
                   gfloat *y, gint *width, gint *height, gpointer data)
{
    (void)id, (void)postype, (void)x, (void)y, (void)data;
    *width = stream->width;
    *height = stream->height;
}

static void draw(gpointer context, gint id, struct axoverlay_stream_data *stream, enum axoverlay_position_type postype,
                 gfloat x, gfloat y, gint width, gint height, gpointer data)
{
    (void)context, (void)postype, (void)data;
    printf("%d: %d x %d at %f, %f in stream %d\n", id, width, height, x, y, stream->id);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    struct axoverlay_settings settings;
    struct axoverlay_overlay_data data;
    struct axoverlay_palette_color red = {.red = 255, .alpha = 255, .pixelate = FALSE};
    if (!axoverlay_is_backend_supported(AXOVERLAY_CAIRO_IMAGE_BACKEND))
        return EXIT_FAILURE;
    axoverlay_init_axoverlay_settings(&settings);
    settings.render_callback = draw;
    settings.adjustment_callback = adjust;
    settings.select_callback = select_stream;
    settings.backend = AXOVERLAY_CAIRO_IMAGE_BACKEND;
    axoverlay_init(&settings, &error);
    if (!error)
        axoverlay_set_palette_color(0, &red, &error);
    if (error) {
        fprintf(stderr, "%d: %s\n", error->code == AXOVERLAY_ERROR_BACKEND, error->message);
        return EXIT_FAILURE;
    }
    axoverlay_init_overlay_data(&data);
    data.postype = AXOVERLAY_CUSTOM_NORMALIZED;
    data.anchor_point = AXOVERLAY_ANCHOR_CENTER;
    data.width = axoverlay_get_max_resolution_width(AXOVERLAY_DEFAULT_CAMERA_ID, &error);
    data.height = axoverlay_get_max_resolution_height(AXOVERLAY_DEFAULT_CAMERA_ID, &error);
    data.z_priority = AXOVERLAY_Z_PRIO_HIGH;
    data.colorspace = AXOVERLAY_COLORSPACE_4BIT_PALETTE;
    gint id = error ? -1 : axoverlay_create_overlay(&data, NULL, &error);
    if (id >= 0)
        axoverlay_redraw(&error);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(loop);
    axoverlay_destroy_overlay(id, &error);
    axoverlay_cleanup();
    return EXIT_SUCCESS;
}
