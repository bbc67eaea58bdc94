/* The stand-in of axoverlay: the program draws each overlay with cairo, for each stream, and the pictures lie over what
   the stand-in of VDO encodes. A stream is known from its first picture on. */
#include <axoverlay.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "drawing.h"

enum { MOST_OVERLAYS = 16, MOST_STREAMS = 16, MOST_PIXELS = 4096 * 4096, PALETTE = 16 };
enum { SENSOR_WIDTH = 1920, SENSOR_HEIGHT = 1080 };

/* What is drawn of an overlay in a stream. */
struct drawn {
    int left, top, width, height;
    uint8_t *data; /* BGRA, its colours multiplied by the opacity; NULL: nothing */
};

struct overlay {
    bool used;
    axoverlay_overlay_data data;
    gpointer user_data;
    struct drawn drawn[MOST_STREAMS];
};

struct stream {
    bool used, asked, taken; /* the program was asked whether it wants overlays in it; it does */
    unsigned seen;           /* when its last picture was encoded */
    axoverlay_stream_data data;
};

static struct {
    void *library;
    void *(*surface_create)(int format, int width, int height);
    unsigned char *(*surface_data)(void *surface);
    int (*surface_stride)(void *surface);
    void (*surface_flush)(void *surface);
    void (*surface_destroy)(void *surface);
    void *(*create)(void *surface);
    void (*destroy)(void *context);
} cairo;

/* The lock is never held while the program is called. Only one thread at a time calls it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, calls = PTHREAD_MUTEX_INITIALIZER;
static struct overlay overlays[MOST_OVERLAYS];
static struct stream streams[MOST_STREAMS];
static axoverlay_settings own;
static axoverlay_synced_render_function synced;
static axoverlay_palette_color palette[PALETTE];
static bool started, asked;

static bool fail(GError **error, axoverlay_error_code code, const char *message)
{
    g_set_error_literal(error, g_quark_from_static_string("axoverlay"), (gint)code, message);
    return false;
}

static bool load_cairo(void)
{
    const struct {
        const char *name;
        void *at;
    } functions[] = {
        {"cairo_image_surface_create", &cairo.surface_create}, {"cairo_image_surface_get_data", &cairo.surface_data},
        {"cairo_image_surface_get_stride", &cairo.surface_stride}, {"cairo_surface_flush", &cairo.surface_flush},
        {"cairo_surface_destroy", &cairo.surface_destroy}, {"cairo_create", &cairo.create},
        {"cairo_destroy", &cairo.destroy},
    };
    if (cairo.library)
        return true;
    void *library = dlopen("libcairo.so.2", RTLD_NOW | RTLD_LOCAL);
    for (size_t n = 0; library && n < sizeof functions / sizeof *functions; n++) {
        void *function = dlsym(library, functions[n].name);
        if (!function)
            return false;
        memcpy(functions[n].at, &function, sizeof function);
    }
    cairo.library = library;
    return library != NULL;
}

gboolean axoverlay_is_backend_supported(axoverlay_backend_type backend)
{
    return backend == AXOVERLAY_CAIRO_IMAGE_BACKEND && load_cairo();
}

void axoverlay_enable_cpu_mem_sync(gboolean sync)
{
    (void)sync; /* the memory is the processor's own */
}

void axoverlay_set_adjustment_callback(axoverlay_adjustment_function adjustment_callback)
{
    own.adjustment_callback = adjustment_callback;
}

void axoverlay_set_stream_select_callback(axoverlay_stream_select_function select_callback)
{
    own.select_callback = select_callback;
}

void axoverlay_set_render_callback(axoverlay_render_function render_callback)
{
    own.render_callback = render_callback;
}

void axoverlay_set_synced_render_callback(axoverlay_synced_render_function render_callback)
{
    synced = render_callback;
}

void axoverlay_set_backend(const char *backend)
{
    (void)backend; /* that of the settings counts */
}

void axoverlay_init_axoverlay_settings(axoverlay_settings *axoverlay_settings)
{
    memset(axoverlay_settings, 0, sizeof *axoverlay_settings);
    axoverlay_settings->backend = AXOVERLAY_CAIRO_IMAGE_BACKEND;
}

/* An app without the group video is refused. */
void axoverlay_init(axoverlay_settings *axoverlay_settings, GError **error)
{
    const char *denied = getenv("INCAMERA_AXOVERLAY_DENIED");
    if (denied && strcmp(denied, "0") != 0) {
        fail(error, AXOVERLAY_ERROR_SERVICE_UNAVAILABLE, "the program may not use overlays");
        return;
    }
    if (!axoverlay_settings || started) {
        fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "no settings, or it was initialised before");
        return;
    }
    if (!axoverlay_is_backend_supported(axoverlay_settings->backend)) {
        fail(error, AXOVERLAY_ERROR_BACKEND, "the stand-in needs cairo (libcairo.so.2), and has no other backend");
        return;
    }
    if (axoverlay_settings->render_callback)
        own.render_callback = axoverlay_settings->render_callback;
    if (axoverlay_settings->adjustment_callback)
        own.adjustment_callback = axoverlay_settings->adjustment_callback;
    if (axoverlay_settings->select_callback)
        own.select_callback = axoverlay_settings->select_callback;
    if (!own.render_callback && !synced) {
        fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "no function draws");
        return;
    }
    started = true;
}

static void forget(struct overlay *overlay)
{
    for (int n = 0; n < MOST_STREAMS; n++)
        free(overlay->drawn[n].data);
    memset(overlay, 0, sizeof *overlay);
}

void axoverlay_cleanup(void)
{
    pthread_mutex_lock(&calls);
    pthread_mutex_lock(&lock);
    for (int n = 0; n < MOST_OVERLAYS; n++)
        forget(&overlays[n]);
    memset(streams, 0, sizeof streams);
    memset(&own, 0, sizeof own);
    synced = NULL;
    started = false;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&calls);
}

/* The edge of an overlay: POSITION is -1 to 1, or pixels of the highest resolution. */
static int edge(const axoverlay_overlay_data *data, axoverlay_position_type type, float position, int size, int whole,
                int sensor, bool far)
{
    double at = far ? whole - size : 0;
    if (type == AXOVERLAY_CUSTOM_NORMALIZED)
        at = (position + 1) / 2 * (float)whole;
    else if (type == AXOVERLAY_CUSTOM_SOURCE)
        at = (double)position * whole / sensor;
    if (type >= AXOVERLAY_CUSTOM_NORMALIZED && data->anchor_point == AXOVERLAY_ANCHOR_CENTER)
        at -= size / 2.0;
    return (int)(at < 0 ? at - 0.5 : at + 0.5);
}

/* Let the program draw an overlay for a stream. Called with CALLS. */
static void draw(struct overlay *overlay, int number, int stream_number)
{
    axoverlay_stream_data stream = streams[stream_number].data;
    axoverlay_overlay_data data = overlay->data;
    axoverlay_position_type type = data.postype;
    float x = data.x, y = data.y;
    int width = data.width, height = data.height;
    if (data.scale_to_stream) {
        width = width * stream.width / SENSOR_WIDTH;
        height = height * stream.height / SENSOR_HEIGHT;
    }
    if (own.adjustment_callback)
        own.adjustment_callback(number, &stream, &type, &x, &y, &width, &height, overlay->user_data);
    if (width < 1 || height < 1 || (size_t)width * (size_t)height > MOST_PIXELS)
        return;
    void *surface = cairo.surface_create(0, width, height), *context = cairo.create(surface);
    struct timeval now = {0};
    if (synced)
        synced(context, number, &stream, type, x, y, width, height, &now, overlay->user_data);
    else
        own.render_callback(context, number, &stream, type, x, y, width, height, overlay->user_data);
    cairo.surface_flush(surface);
    const unsigned char *from = cairo.surface_data(surface);
    uint8_t *copy = from ? malloc(4 * (size_t)width * (size_t)height) : NULL;
    for (int row = 0; copy && row < height; row++)
        memcpy(copy + 4 * (size_t)row * (size_t)width, from + (size_t)row * (size_t)cairo.surface_stride(surface),
               4 * (size_t)width);
    cairo.destroy(context);
    cairo.surface_destroy(surface);
    bool right = type == AXOVERLAY_TOP_RIGHT || type == AXOVERLAY_BOTTOM_RIGHT;
    bool bottom = type == AXOVERLAY_BOTTOM_LEFT || type == AXOVERLAY_BOTTOM_RIGHT;
    struct drawn drawn = {edge(&data, type, x, width, stream.width, SENSOR_WIDTH, right),
                          edge(&data, type, y, height, stream.height, SENSOR_HEIGHT, bottom), width, height, copy};
    pthread_mutex_lock(&lock);
    free(overlay->drawn[stream_number].data);
    overlay->drawn[stream_number] = drawn;
    pthread_mutex_unlock(&lock);
}

static bool wants(const axoverlay_stream_data *stream)
{
    return !own.select_callback || own.select_callback(stream->camera, stream->width, stream->height, stream->rotation,
                                                       stream->is_mirrored, stream->type);
}

/* Draw all, or only in streams that are new. */
static void draw_all(bool only_new)
{
    pthread_mutex_lock(&calls);
    for (int s = 0; s < MOST_STREAMS; s++) {
        struct stream *stream = &streams[s];
        if (!stream->used || (only_new && stream->asked))
            continue;
        if (!stream->asked)
            stream->taken = wants(&stream->data);
        stream->asked = true;
        for (int n = 0; stream->taken && n < MOST_OVERLAYS; n++)
            if (overlays[n].used)
                draw(&overlays[n], n, s);
    }
    pthread_mutex_unlock(&calls);
}

void axoverlay_redraw(GError **error)
{
    if (started)
        draw_all(false);
    else
        fail(error, AXOVERLAY_ERROR_UNEXPECTED, "it was not initialised");
}

void axoverlay_reload_streams(GError **error)
{
    axoverlay_redraw(error);
}

void axoverlay_init_overlay_data(axoverlay_overlay_data *data)
{
    memset(data, 0, sizeof *data);
    data->scale_to_stream = TRUE;
}

static bool can_be(const axoverlay_overlay_data *data, GError **error)
{
    if (!data || data->width < 1 || data->height < 1 || (size_t)data->width * (size_t)data->height > MOST_PIXELS)
        return fail(error, AXOVERLAY_ERROR_INVALID_VALUE, "an overlay needs a size");
    if (data->colorspace != AXOVERLAY_COLORSPACE_ARGB32)
        return fail(error, AXOVERLAY_ERROR_INVALID_VALUE, "the stand-in has the colour space ARGB32 only");
    return true;
}

gint axoverlay_create_overlay(axoverlay_overlay_data *data, gpointer user_data, GError **error)
{
    if (!started)
        fail(error, AXOVERLAY_ERROR_UNEXPECTED, "it was not initialised");
    if (!started || !can_be(data, error))
        return -1;
    pthread_mutex_lock(&lock);
    int id = 0;
    while (id < MOST_OVERLAYS && overlays[id].used)
        id++;
    if (id < MOST_OVERLAYS)
        overlays[id] = (struct overlay){.used = true, .data = *data, .user_data = user_data};
    pthread_mutex_unlock(&lock);
    if (id < MOST_OVERLAYS)
        return id;
    fail(error, AXOVERLAY_ERROR_GENERIC, "too many overlays");
    return -1;
}

static struct overlay *find(gint id, GError **error)
{
    if (id >= 0 && id < MOST_OVERLAYS && overlays[id].used)
        return &overlays[id];
    fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "there is no such overlay");
    return NULL;
}

void axoverlay_destroy_overlay(gint id, GError **error)
{
    pthread_mutex_lock(&calls);
    pthread_mutex_lock(&lock);
    struct overlay *overlay = find(id, error);
    if (overlay)
        forget(overlay);
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&calls);
}

void axoverlay_set_overlay_position(gint id, axoverlay_position_type postype, gfloat x, gfloat y, GError **error)
{
    pthread_mutex_lock(&lock);
    struct overlay *overlay = find(id, error);
    if (overlay) {
        overlay->data.postype = postype;
        overlay->data.x = x;
        overlay->data.y = y;
    }
    pthread_mutex_unlock(&lock);
}

void axoverlay_set_overlay_size(gint id, gint width, gint height, GError **error)
{
    pthread_mutex_lock(&lock);
    struct overlay *overlay = find(id, error);
    axoverlay_overlay_data data = overlay ? overlay->data : (axoverlay_overlay_data){0};
    data.width = width;
    data.height = height;
    if (overlay && can_be(&data, error))
        overlay->data = data;
    pthread_mutex_unlock(&lock);
}

gint axoverlay_get_max_resolution_width(gint camera, GError **error)
{
    if (camera == AXOVERLAY_DEFAULT_CAMERA_ID)
        return SENSOR_WIDTH;
    fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "there is no such camera");
    return -1;
}

gint axoverlay_get_max_resolution_height(gint camera, GError **error)
{
    return axoverlay_get_max_resolution_width(camera, error) < 0 ? -1 : SENSOR_HEIGHT;
}

gint axoverlay_get_number_of_palette_colors(GError **error)
{
    (void)error;
    return PALETTE;
}

void axoverlay_get_palette_color(gint index, axoverlay_palette_color *color, GError **error)
{
    if (index < 0 || index >= PALETTE || !color)
        fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "there is no such colour");
    else
        *color = palette[index];
}

void axoverlay_set_palette_color(gint index, axoverlay_palette_color *color, GError **error)
{
    if (index < 0 || index >= PALETTE || !color)
        fail(error, AXOVERLAY_ERROR_INVALID_ARGUMENT, "there is no such colour");
    else
        palette[index] = *color;
}

/* In the main context: streams that are new get their overlays. */
static gboolean draw_new(gpointer data)
{
    (void)data;
    pthread_mutex_lock(&lock);
    asked = false;
    pthread_mutex_unlock(&lock);
    draw_all(true);
    return FALSE;
}

/* The number of the picture's stream, which may be new, or -1. The lock is held. A new one takes the place of the one
   that was not seen for the longest time. */
static int stream_of(const struct incamera_picture *picture)
{
    static unsigned now;
    int oldest = 0;
    now++;
    for (int n = 0; n < MOST_STREAMS; n++) {
        if (streams[n].used && (unsigned)streams[n].data.id == picture->stream) {
            streams[n].seen = now;
            return n;
        }
        if (streams[n].seen < streams[oldest].seen)
            oldest = n;
    }
    if (!started)
        return -1;
    for (int n = 0; n < MOST_OVERLAYS; n++) {
        free(overlays[n].drawn[oldest].data);
        overlays[n].drawn[oldest].data = NULL;
    }
    streams[oldest] = (struct stream){.used = true,
                                     .seen = now,
                                     .data = {.id = (gint)picture->stream,
                                              .camera = AXOVERLAY_DEFAULT_CAMERA_ID,
                                              .width = (gint)picture->width,
                                              .height = (gint)picture->height,
                                              .rotation = (gint)picture->rotation,
                                              .type = AXOVERLAY_STREAM_H264}};
    if (!asked)
        g_timeout_add_full(G_PRIORITY_DEFAULT, 0, draw_new, NULL, NULL);
    asked = true;
    return oldest;
}

incamera_draw_function incamera_draw;

void incamera_draw(const struct incamera_picture *picture)
{
    pthread_mutex_lock(&lock);
    int stream = stream_of(picture);
    for (int n = 0; stream >= 0 && n < MOST_OVERLAYS; n++) {
        const struct drawn *drawn = &overlays[n].drawn[stream];
        for (int y = 0; overlays[n].used && drawn->data && y < drawn->height; y++)
            for (int x = 0; x < drawn->width; x++) {
                const uint8_t *bgra = drawn->data + 4 * ((size_t)y * (size_t)drawn->width + (size_t)x);
                draw_argb(picture, drawn->left + x, drawn->top + y, bgra);
            }
    }
    pthread_mutex_unlock(&lock);
}
