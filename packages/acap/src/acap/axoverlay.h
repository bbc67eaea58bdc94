/* The camera's older library for overlays, opened at run time. It calls back in the thread that serves GLib's default main
   context, and in the one that redraws. The callbacks here take no Python. */
#ifndef ACAP_AXOVERLAY_H
#define ACAP_AXOVERLAY_H

#include "axoverlay_functions.h"
#include "glib.h"

typedef float gfloat;
typedef gboolean (*GSourceFunc)(gpointer data);
typedef void (*GDestroyNotify)(gpointer data);
typedef int axoverlay_backend_type;

typedef struct axoverlay_stream_data {
    gint id, camera, width, height, rotation;
    gboolean is_mirrored;
    int type;
} axoverlay_stream_data;

typedef struct axoverlay_overlay_data {
    int anchor_point, postype;
    gfloat x, y;
    gint width, height, z_priority;
    int colorspace;
    gboolean scale_to_stream;
} axoverlay_overlay_data;

typedef struct axoverlay_settings {
    void (*render_callback)(gpointer, gint, axoverlay_stream_data *, int, gfloat, gfloat, gint, gint, gpointer);
    void (*adjustment_callback)(gint, axoverlay_stream_data *, int *, gfloat *, gfloat *, gint *, gint *, gpointer);
    gboolean (*select_callback)(gint, gint, gint, gint, gboolean, int);
    int backend;
} axoverlay_settings;

enum { AXOVERLAY_NORMALIZED = 4, AXOVERLAY_CAIRO = 1, CAIRO_ARGB32 = 0, CAIRO_SOURCE = 1 };

#define OVERLAY_GLIB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, g_error_free, (GError * error), "9.80") \
    FUNCTION(guint, g_timeout_add_full, \
             (gint priority, guint milliseconds, GSourceFunc function, gpointer data, GDestroyNotify notify), "9.80")

#define OVERLAY_CAIRO_FUNCTIONS(FUNCTION) \
    FUNCTION(void *, cairo_image_surface_create_for_data, \
             (unsigned char *data, int format, int width, int height, int stride), "9.80") \
    FUNCTION(void, cairo_surface_destroy, (void *surface), "9.80") \
    FUNCTION(void, cairo_set_operator, (void *context, int operator), "9.80") \
    FUNCTION(void, cairo_set_source_surface, (void *context, void *surface, double x, double y), "9.80") \
    FUNCTION(void, cairo_set_source_rgba, (void *context, double red, double green, double blue, double alpha), "9.80") \
    FUNCTION(void, cairo_paint, (void *context), "9.80")

static struct {
    AXOVERLAY_FUNCTIONS(LIBRARY_POINTER)
    OVERLAY_GLIB_FUNCTIONS(LIBRARY_POINTER)
} axoverlay;

static struct {
    OVERLAY_CAIRO_FUNCTIONS(LIBRARY_POINTER)
} overlay_cairo;

static const struct library_function axoverlay_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&axoverlay.name - (char *)&axoverlay)},
    AXOVERLAY_FUNCTIONS(FUNCTION)
    OVERLAY_GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

static const struct library_function overlay_cairo_table[] = {
#define FUNCTION(result, name, arguments, since) \
    {#name, since, (size_t)((char *)&overlay_cairo.name - (char *)&overlay_cairo)},
    OVERLAY_CAIRO_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define AXOVERLAY_COUNT (sizeof axoverlay_table / sizeof *axoverlay_table)
#define OVERLAY_CAIRO_COUNT (sizeof overlay_cairo_table / sizeof *overlay_cairo_table)

/* Open the library and cairo, which it draws with. Returns NULL, or what is said against it. */
static const char *axoverlay_open(const char *soname)
{
    const char *message = library_open(soname, &axoverlay, axoverlay_table, AXOVERLAY_COUNT);
    return message ? message : library_open("libcairo.so.2", &overlay_cairo, overlay_cairo_table, OVERLAY_CAIRO_COUNT);
}

/* The first function of the libraries that is missing, or NULL. */
static const char *axoverlay_lacks(const char **since)
{
    const struct library_function *tables[] = {axoverlay_table, overlay_cairo_table};
    const void *functions[] = {&axoverlay, &overlay_cairo};
    size_t counts[] = {AXOVERLAY_COUNT, OVERLAY_CAIRO_COUNT};
    for (int part = 0; part < 2; part++)
        for (size_t number = 0; number < counts[part]; number++) {
            const char *names[] = {tables[part][number].name, NULL};
            if (library_lacks(names, functions[part], tables[part], counts[part])) {
                *since = tables[part][number].since;
                return names[0];
            }
        }
    return NULL;
}

/* A picture and its place. PICTURES guards what is drawn. */
typedef struct {
    int id;
    int across, down; /* -1, 0 or 1: left or top, the middle, right or bottom */
    int margin, width, height;
    unsigned streams; /* in so many it was drawn the last time */
    uint32_t *argb;   /* the colours are multiplied by the opacity; NULL: nothing */
} overlay_picture;

static pthread_mutex_t overlay_pictures = PTHREAD_MUTEX_INITIALIZER;

static int overlay_edge(int side, int whole, int size, int margin)
{
    int at = side == 0 ? (whole - size) / 2 : side < 0 ? margin : whole - size - margin;
    return at > 0 ? at : 0;
}

static void overlay_adjust(gint id, axoverlay_stream_data *stream, int *postype, gfloat *x, gfloat *y, gint *width,
                           gint *height, gpointer user_data)
{
    const overlay_picture *picture = user_data;
    (void)id;
    *postype = AXOVERLAY_NORMALIZED;
    *width = picture->width;
    *height = picture->height;
    *x = 2.0f * (gfloat)overlay_edge(picture->across, stream->width, picture->width, picture->margin) /
             (gfloat)stream->width - 1;
    *y = 2.0f * (gfloat)overlay_edge(picture->down, stream->height, picture->height, picture->margin) /
             (gfloat)stream->height - 1;
}

static void overlay_render(gpointer context, gint id, axoverlay_stream_data *stream, int postype, gfloat x, gfloat y,
                           gint width, gint height, gpointer user_data)
{
    overlay_picture *picture = user_data;
    (void)id, (void)stream, (void)postype, (void)x, (void)y, (void)width, (void)height;
    pthread_mutex_lock(&overlay_pictures);
    overlay_cairo.cairo_set_operator(context, CAIRO_SOURCE);
    overlay_cairo.cairo_set_source_rgba(context, 0, 0, 0, 0);
    overlay_cairo.cairo_paint(context);
    if (picture->argb) {
        void *surface = overlay_cairo.cairo_image_surface_create_for_data(
            (unsigned char *)picture->argb, CAIRO_ARGB32, picture->width, picture->height, 4 * picture->width);
        overlay_cairo.cairo_set_source_surface(context, surface, 0, 0);
        overlay_cairo.cairo_paint(context);
        /* So that the context no longer has the surface. */
        overlay_cairo.cairo_set_source_rgba(context, 0, 0, 0, 0);
        overlay_cairo.cairo_surface_destroy(surface);
    }
    picture->streams++;
    pthread_mutex_unlock(&overlay_pictures);
}

static gboolean overlay_select(gint camera, gint width, gint height, gint rotation, gboolean is_mirrored, int type)
{
    (void)camera, (void)width, (void)height, (void)rotation, (void)is_mirrored, (void)type;
    return 1;
}

/* The library belongs to the thread that initialises it, which must serve the main context. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int done;
    GError *error;
} overlay_start = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, NULL};

static gboolean overlay_initialise(gpointer data)
{
    axoverlay_settings settings;
    GError *error = NULL;
    (void)data;
    axoverlay.axoverlay_init_axoverlay_settings(&settings);
    settings.render_callback = overlay_render;
    settings.adjustment_callback = overlay_adjust;
    settings.select_callback = overlay_select;
    settings.backend = AXOVERLAY_CAIRO;
    axoverlay.axoverlay_init(&settings, &error);
    pthread_mutex_lock(&overlay_start.mutex);
    overlay_start.done = 1;
    overlay_start.error = error;
    pthread_cond_broadcast(&overlay_start.changed);
    pthread_mutex_unlock(&overlay_start.mutex);
    return 0;
}

/* Initialise the library in the thread that serves the main context, and wait for it. */
static void overlay_begin(GError **error)
{
    overlay_start.done = 0;
    axoverlay.g_timeout_add_full(0, 0, overlay_initialise, NULL, NULL);
    pthread_mutex_lock(&overlay_start.mutex);
    while (!overlay_start.done)
        pthread_cond_wait(&overlay_start.changed, &overlay_start.mutex);
    *error = overlay_start.error;
    pthread_mutex_unlock(&overlay_start.mutex);
}

static void overlay_create(overlay_picture *picture, GError **error)
{
    axoverlay_overlay_data data;
    axoverlay.axoverlay_init_overlay_data(&data);
    data.postype = AXOVERLAY_NORMALIZED;
    data.x = data.y = -1;
    data.width = picture->width;
    data.height = picture->height;
    data.scale_to_stream = 0;
    picture->id = axoverlay.axoverlay_create_overlay(&data, picture, error);
}

/* Show RGBA, or nothing if it is NULL. */
static void overlay_show(overlay_picture *picture, const uint8_t *rgba, GError **error)
{
    pthread_mutex_lock(&overlay_pictures);
    picture->streams = 0;
    if (!picture->argb)
        picture->argb = calloc((size_t)picture->width * (size_t)picture->height, 4);
    for (size_t n = 0; picture->argb && n < (size_t)picture->width * (size_t)picture->height; n++) {
        const uint8_t *at = rgba + 4 * n;
        uint32_t alpha = at[3];
        picture->argb[n] = alpha << 24 | (at[0] * alpha + 127) / 255 << 16 | (at[1] * alpha + 127) / 255 << 8 |
                           (at[2] * alpha + 127) / 255;
    }
    pthread_mutex_unlock(&overlay_pictures);
    axoverlay.axoverlay_redraw(error);
}

/* A late callback may still have the picture: only its pixels are freed. */
static void overlay_end(overlay_picture *picture, GError **error)
{
    axoverlay.axoverlay_destroy_overlay(picture->id, error);
    pthread_mutex_lock(&overlay_pictures);
    free(picture->argb);
    picture->argb = NULL;
    pthread_mutex_unlock(&overlay_pictures);
}

#endif
