/* The stand-in of axoverlay: the program draws each overlay with cairo, for each stream, and the pictures lie over what
   the camera's service encodes. A stream is known from its first picture on. */
#include <axoverlay.h>
#include <dlfcn.h>
#include <sys/mman.h>

#include "client.h"
#include "draw_line.h"

enum { MOST_OVERLAYS = 16, MOST_STREAMS = 16, PALETTE = 16, WAIT_MS = 200 };
enum { SENSOR_WIDTH = 1920, SENSOR_HEIGHT = 1080 };

/* What is drawn of an overlay in a stream: memory of the service, of which one buffer is shown. */
struct drawn {
    bool made;
    uint32_t number, shown;
    int width, height;
    uint8_t *buffers[DRAW_BUFFERS]; /* BGRA, its colours multiplied by the opacity */
};

struct overlay {
    bool used;
    axoverlay_overlay_data data;
    gpointer user_data;
    struct drawn drawn[MOST_STREAMS];
};

struct stream {
    bool used, asked, taken; /* the program was asked whether it wants overlays in it; it does */
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

/* Held while the program is called, and by all that changes overlays and streams. What it calls may take it again. */
static pthread_mutex_t calls = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct overlay overlays[MOST_OVERLAYS];
static struct stream streams[MOST_STREAMS];
static unsigned stream_count; /* of all that were met */
static axoverlay_settings own;
static axoverlay_synced_render_function synced;
static axoverlay_palette_color palette[PALETTE];
static struct line *line; /* NULL: not initialised */
static int stream_pipe = -1;
static guint source; /* in the main context: of the pipe, or of the wait for the service */

engine_function engine_drawing;

static const struct engine own_engines[] = {{"axoverlay", engine_drawing}, {0}};

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

static struct line_message *ask(uint32_t kind, const void *data, size_t size)
{
    struct line_message *answer = line ? line_ask(line, kind, data, size) : NULL;
    if (!answer || answer->code == 0)
        return answer;
    line_free(answer);
    return NULL;
}

static bool order(uint32_t kind, const void *data, size_t size)
{
    struct line_message *answer = ask(kind, data, size);
    if (answer)
        line_free(answer);
    return answer != NULL;
}

static void forget_drawn(struct drawn *drawn)
{
    if (!drawn->made)
        return;
    order(DRAW_REMOVE, &drawn->number, sizeof drawn->number);
    for (unsigned n = 0; n < DRAW_BUFFERS; n++)
        if (drawn->buffers[n])
            munmap(drawn->buffers[n], 4 * (size_t)drawn->width * (size_t)drawn->height);
    *drawn = (struct drawn){0};
}

/* Have memory of the service for a picture of this size. */
static bool make_drawn(struct drawn *drawn, int width, int height, const axoverlay_stream_data *stream)
{
    if (drawn->made && drawn->width == width && drawn->height == height)
        return true;
    forget_drawn(drawn);
    const struct draw_overlay kind = {(uint32_t)width, (uint32_t)height, 1, 0, (uint32_t)stream->id};
    struct line_message *answer = ask(DRAW_OVERLAY, &kind, sizeof kind);
    const uint32_t *number = answer ? line_content(answer, sizeof *number) : NULL;
    bool good = number != NULL;
    if (good)
        *drawn = (struct drawn){.made = true, .number = *number, .width = width, .height = height};
    for (unsigned n = 0; good && n < DRAW_BUFFERS; n++) {
        int fd = line_take_fd(answer, n);
        void *data = fd < 0 ? MAP_FAILED
                            : mmap(NULL, 4 * (size_t)width * (size_t)height, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        good = data != MAP_FAILED;
        drawn->buffers[n] = good ? data : NULL;
        if (fd >= 0)
            close(fd);
    }
    if (answer)
        line_free(answer);
    if (!good)
        forget_drawn(drawn);
    return good;
}

static gboolean meet_streams(gint fd, GIOCondition condition, gpointer data);
static gboolean open_again(gpointer data);

static void close_service(void)
{
    if (source)
        g_source_remove(source);
    source = 0;
    if (stream_pipe >= 0)
        close(stream_pipe);
    stream_pipe = -1;
    line_close(line);
    line = NULL;
}

static bool open_service(void)
{
    line = line_open(own_engines);
    struct line_message *answer = ask(DRAW_STREAMS, NULL, 0);
    if (answer) {
        stream_pipe = line_take_fd(answer, 0);
        line_free(answer);
    }
    if (stream_pipe >= 0)
        source = g_unix_fd_add_full(G_PRIORITY_DEFAULT, stream_pipe, G_IO_IN, meet_streams, NULL, NULL);
    else
        close_service();
    return stream_pipe >= 0;
}

static void forget(struct overlay *overlay)
{
    for (int n = 0; n < MOST_STREAMS; n++)
        forget_drawn(&overlay->drawn[n]);
    memset(overlay, 0, sizeof *overlay);
}

/* An app without the group video is refused. */
void axoverlay_init(axoverlay_settings *axoverlay_settings, GError **error)
{
    const char *denied = getenv("INCAMERA_AXOVERLAY_DENIED");
    if (denied && strcmp(denied, "0") != 0) {
        fail(error, AXOVERLAY_ERROR_SERVICE_UNAVAILABLE, "the program may not use overlays");
        return;
    }
    if (!axoverlay_settings || line) {
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
    if (!open_service())
        fail(error, AXOVERLAY_ERROR_SERVICE_UNAVAILABLE, "the service that draws is not running");
}

void axoverlay_cleanup(void)
{
    pthread_mutex_lock(&calls);
    for (int n = 0; n < MOST_OVERLAYS; n++)
        forget(&overlays[n]);
    close_service();
    memset(streams, 0, sizeof streams);
    memset(&own, 0, sizeof own);
    synced = NULL;
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
    struct drawn *drawn = &overlay->drawn[stream_number];
    if (width < 1 || height < 1 || width > DRAW_MOST_SIDE || height > DRAW_MOST_SIDE ||
        !make_drawn(drawn, width, height, &stream))
        return;
    void *surface = cairo.surface_create(0, width, height), *context = cairo.create(surface);
    struct timeval now = {0};
    if (synced)
        synced(context, number, &stream, type, x, y, width, height, &now, overlay->user_data);
    else
        own.render_callback(context, number, &stream, type, x, y, width, height, overlay->user_data);
    cairo.surface_flush(surface);
    const unsigned char *from = cairo.surface_data(surface);
    uint32_t next = (drawn->shown + 1) % DRAW_BUFFERS;
    for (int row = 0; from && drawn->made && row < height; row++)
        memcpy(drawn->buffers[next] + 4 * (size_t)row * (size_t)width,
               from + (size_t)row * (size_t)cairo.surface_stride(surface), 4 * (size_t)width);
    cairo.destroy(context);
    cairo.surface_destroy(surface);
    bool right = type == AXOVERLAY_TOP_RIGHT || type == AXOVERLAY_BOTTOM_RIGHT;
    bool bottom = type == AXOVERLAY_BOTTOM_LEFT || type == AXOVERLAY_BOTTOM_RIGHT;
    const struct draw_show show = {drawn->number, next,
                                   edge(&data, type, x, width, stream.width, SENSOR_WIDTH, right),
                                   edge(&data, type, y, height, stream.height, SENSOR_HEIGHT, bottom)};
    if (drawn->made && order(DRAW_SHOW, &show, sizeof show))
        drawn->shown = next;
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
    if (line)
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
    if (!data || data->width < 1 || data->height < 1 || data->width > DRAW_MOST_SIDE ||
        data->height > DRAW_MOST_SIDE)
        return fail(error, AXOVERLAY_ERROR_INVALID_VALUE, "an overlay needs a size");
    if (data->colorspace != AXOVERLAY_COLORSPACE_ARGB32)
        return fail(error, AXOVERLAY_ERROR_INVALID_VALUE, "the stand-in has the colour space ARGB32 only");
    return true;
}

gint axoverlay_create_overlay(axoverlay_overlay_data *data, gpointer user_data, GError **error)
{
    if (!line)
        fail(error, AXOVERLAY_ERROR_UNEXPECTED, "it was not initialised");
    if (!line || !can_be(data, error))
        return -1;
    pthread_mutex_lock(&calls);
    int id = 0;
    while (id < MOST_OVERLAYS && overlays[id].used)
        id++;
    if (id < MOST_OVERLAYS)
        overlays[id] = (struct overlay){.used = true, .data = *data, .user_data = user_data};
    pthread_mutex_unlock(&calls);
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
    struct overlay *overlay = find(id, error);
    if (overlay)
        forget(overlay);
    pthread_mutex_unlock(&calls);
}

void axoverlay_set_overlay_position(gint id, axoverlay_position_type postype, gfloat x, gfloat y, GError **error)
{
    pthread_mutex_lock(&calls);
    struct overlay *overlay = find(id, error);
    if (overlay) {
        overlay->data.postype = postype;
        overlay->data.x = x;
        overlay->data.y = y;
    }
    pthread_mutex_unlock(&calls);
}

void axoverlay_set_overlay_size(gint id, gint width, gint height, GError **error)
{
    pthread_mutex_lock(&calls);
    struct overlay *overlay = find(id, error);
    axoverlay_overlay_data data = overlay ? overlay->data : (axoverlay_overlay_data){0};
    data.width = width;
    data.height = height;
    if (overlay && can_be(&data, error))
        overlay->data = data;
    pthread_mutex_unlock(&calls);
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

/* Note a stream that is drawn for the first time. It takes the place of the one that was met first. */
static void note_stream(const struct draw_stream *met)
{
    unsigned place = stream_count++ % MOST_STREAMS;
    for (int n = 0; n < MOST_OVERLAYS; n++)
        forget_drawn(&overlays[n].drawn[place]);
    streams[place] = (struct stream){.used = true,
                                     .data = {.id = (gint)met->id,
                                              .camera = AXOVERLAY_DEFAULT_CAMERA_ID,
                                              .width = (gint)met->width,
                                              .height = (gint)met->height,
                                              .rotation = (gint)met->rotation,
                                              .type = AXOVERLAY_STREAM_H264}};
}

/* In the main context: streams that are new get their overlays. */
static gboolean meet_streams(gint fd, GIOCondition condition, gpointer data)
{
    struct draw_stream met;
    ssize_t count;
    (void)condition, (void)data;
    pthread_mutex_lock(&calls);
    while ((count = read(fd, &met, sizeof met)) == (ssize_t)sizeof met)
        note_stream(&met);
    if (count == 0) /* the service has ended */
        source = g_timeout_add_full(G_PRIORITY_DEFAULT, WAIT_MS, open_again, NULL, NULL);
    pthread_mutex_unlock(&calls);
    draw_all(true);
    return count != 0;
}

/* In the main context, after the service has ended: the new one knows nothing of this program's overlays. */
static gboolean open_again(gpointer data)
{
    (void)data;
    pthread_mutex_lock(&calls);
    source = 0;
    close_service();
    for (int n = 0; n < MOST_OVERLAYS; n++)
        for (int s = 0; s < MOST_STREAMS; s++)
            forget_drawn(&overlays[n].drawn[s]);
    memset(streams, 0, sizeof streams);
    bool good = open_service();
    if (!good)
        source = g_timeout_add_full(G_PRIORITY_DEFAULT, WAIT_MS, open_again, NULL, NULL);
    pthread_mutex_unlock(&calls);
    return FALSE;
}
