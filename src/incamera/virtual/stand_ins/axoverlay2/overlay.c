/* The stand-in of axoverlay2: pictures that lie over the streams which the camera's service encodes. Each overlay has two
   buffers in the service's memory: the program fills one while the other is shown. */
#include <axoverlay2.h>
#include <sys/mman.h>

#include "client.h"
#include "draw_line.h"
#include "resources.h"

enum { ALIGNMENT = 16, BUFFERS = DRAW_BUFFERS, MOST_OVERLAYS = 32 };

struct axo_err {
    axo_err_code code;
    const char *message;
};

struct axo_detailed_format {
    axo_format format;
};

struct axo_props {
    unsigned width, height;
    axo_format format;
    bool twice;
};

struct axo_match {
    bool any;
    unsigned stream;
};

struct axo_buffer {
    int overlay; /* the id of the one it belongs to */
    unsigned number;
    int fd;
    uint8_t *data;
    size_t size;
    enum { FREE, WITH_PROGRAM, SHOWN } state;
};

struct overlay {
    int id; /* 0: unused */
    uint32_t number; /* for the service */
    struct axo_props props;
    struct axo_match match;
    struct axo_buffer buffers[BUFFERS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct overlay overlays[MOST_OVERLAYS];
static struct line *line; /* NULL: not started */
static int last_id;
static unsigned refused;

engine_function engine_drawing;

static const struct engine own_engines[] = {{"axoverlay2", engine_drawing}, {0}};

static void fail(axo_err **err, axo_err_code code, const char *message)
{
    if (!err)
        return;
    *err = malloc(sizeof **err);
    if (*err)
        **err = (struct axo_err){code, message};
}

static unsigned setting(const char *name)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

axo_err_code axo_err_get_code(const axo_err *err)
{
    return err ? err->code : AXO_ERR_INTERNAL;
}

const char *axo_err_get_message(const axo_err *err)
{
    return err ? err->message : "no error";
}

void axo_err_clear(axo_err **err)
{
    if (!err)
        return;
    free(*err);
    *err = NULL;
}

/* An app whose manifest lacks resources.overlay is refused. */
bool axo_start(axo_settings *settings, axo_err **err)
{
    (void)settings;
    if (setting("INCAMERA_AXOVERLAY_DENIED") || !may_use_resource("overlay")) {
        fail(err, AXO_ERR_NOT_AVAILABLE, "the program may not use overlays");
        return false;
    }
    pthread_mutex_lock(&lock);
    bool again = line != NULL;
    if (!again)
        line = line_open(own_engines);
    bool good = !again && line;
    pthread_mutex_unlock(&lock);
    if (again)
        fail(err, AXO_ERR_INVALID, "it has been started already");
    else if (!good)
        fail(err, AXO_ERR_INTERNAL, "the service that draws is not running");
    return good;
}

static void free_overlay(struct overlay *overlay)
{
    for (int n = 0; n < BUFFERS; n++) {
        struct axo_buffer *buffer = &overlay->buffers[n];
        if (buffer->data)
            munmap(buffer->data, buffer->size);
        if (buffer->fd >= 0)
            close(buffer->fd);
    }
    memset(overlay, 0, sizeof *overlay);
}

/* Ask the service, with the lock. *CODE: what it answers, or ECONNREFUSED if it has ended. */
static struct line_message *ask(uint32_t kind, const void *data, size_t size, int *code)
{
    struct line_message *answer = line ? line_ask(line, kind, data, size) : NULL;
    *code = answer ? answer->code : ECONNREFUSED;
    return answer;
}

static bool order(uint32_t kind, const void *data, size_t size)
{
    int code;
    struct line_message *answer = ask(kind, data, size, &code);
    if (answer)
        line_free(answer);
    return code == 0;
}

static void remove_overlay(struct overlay *overlay)
{
    order(DRAW_REMOVE, &overlay->number, sizeof overlay->number);
    free_overlay(overlay);
}

bool axo_stop(axo_err **err)
{
    pthread_mutex_lock(&lock);
    bool good = line != NULL;
    for (int n = 0; n < MOST_OVERLAYS; n++)
        if (overlays[n].id)
            remove_overlay(&overlays[n]);
    line_close(line);
    line = NULL;
    pthread_mutex_unlock(&lock);
    if (!good)
        fail(err, AXO_ERR_INVALID, "it has not been started");
    return good;
}

axo_props *axo_props_new(void)
{
    axo_props *props = calloc(1, sizeof *props);
    if (props)
        props->format = AXO_FORMAT_ARGB32;
    return props;
}

void axo_props_free(axo_props *props)
{
    free(props);
}

void axo_props_set_size(axo_props *props, unsigned width, unsigned height)
{
    props->width = width;
    props->height = height;
}

void axo_props_set_format(axo_props *props, axo_format format)
{
    props->format = format;
}

void axo_props_set_detailed_format(axo_props *props, const axo_detailed_format *format)
{
    props->format = format->format;
}

void axo_props_set_upscale_x2(axo_props *props, bool upscale)
{
    props->twice = upscale;
}

void axo_props_set_manual_dma_sync(axo_props *props, bool manual)
{
    (void)props, (void)manual; /* the memory is the processor's own */
}

axo_match *axo_match_new(void)
{
    axo_match *match = calloc(1, sizeof *match);
    if (match)
        match->any = true;
    return match;
}

void axo_match_free(axo_match *match)
{
    free(match);
}

void axo_match_stream_id(axo_match *match, unsigned stream_id)
{
    match->any = false;
    match->stream = stream_id;
}

static unsigned align(unsigned size)
{
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_known(axo_format format, axo_err **err)
{
    if (format == AXO_FORMAT_ARGB32)
        return true;
    fail(err, AXO_ERR_UNSUPPORTED, "the stand-in has the format ARGB32 only");
    return false;
}

bool axo_get_aligned_size(axo_format format, unsigned width, unsigned height, unsigned *aligned_width,
                          unsigned *aligned_height, axo_err **err)
{
    if (!is_known(format, err))
        return false;
    *aligned_width = align(width);
    *aligned_height = align(height);
    return true;
}

static bool map_buffer(struct axo_buffer *buffer, int fd, size_t size)
{
    buffer->fd = fd;
    void *data = fd < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return false;
    buffer->data = data;
    buffer->size = size;
    return true;
}

/* After the service has ended: the new one knows nothing of this program's overlays. With the lock. */
static bool open_again(void)
{
    struct line *new = line_is_own(line) ? line_open(own_engines) : NULL;
    if (!new)
        return false;
    for (int n = 0; n < MOST_OVERLAYS; n++)
        if (overlays[n].id)
            free_overlay(&overlays[n]);
    line_close(line);
    line = new;
    return true;
}

/* Ask the service for an overlay, with the lock. Returns its id, or -1. */
static int make_overlay(struct overlay *overlay, const axo_props *props, const axo_match *match)
{
    int code;
    const struct draw_overlay kind = {props->width, props->height, props->twice ? 2 : 1, match->any, match->stream};
    struct line_message *answer = ask(DRAW_OVERLAY, &kind, sizeof kind, &code);
    if (!answer && open_again())
        answer = ask(DRAW_OVERLAY, &kind, sizeof kind, &code);
    const uint32_t *number = answer ? line_content(answer, sizeof *number) : NULL;
    bool good = code == 0 && number;
    if (good) {
        overlay->number = *number;
        overlay->id = ++last_id;
        overlay->props = *props;
        overlay->match = *match;
    }
    for (unsigned n = 0; good && n < BUFFERS; n++) {
        struct axo_buffer *buffer = &overlay->buffers[n];
        *buffer = (struct axo_buffer){.overlay = overlay->id, .number = n};
        good = map_buffer(buffer, line_take_fd(answer, n), 4 * (size_t)props->width * props->height);
    }
    if (answer)
        line_free(answer);
    if (!good && overlay->id)
        remove_overlay(overlay);
    return good ? overlay->id : -1;
}

int axo_create_overlay(axo_props *props, axo_match *match, axo_err **err)
{
    if (!props || !match || props->width == 0 || props->height == 0 || props->width % ALIGNMENT ||
        props->height % ALIGNMENT || props->width > DRAW_MOST_SIDE || props->height > DRAW_MOST_SIDE) {
        fail(err, AXO_ERR_INVALID, "an overlay needs a size that is aligned");
        return -1;
    }
    if (!is_known(props->format, err))
        return -1;
    int id = -1;
    pthread_mutex_lock(&lock);
    for (int n = 0; line && n < MOST_OVERLAYS; n++)
        if (overlays[n].id == 0) {
            id = make_overlay(&overlays[n], props, match);
            break;
        }
    pthread_mutex_unlock(&lock);
    if (id < 0)
        fail(err, AXO_ERR_NOT_AVAILABLE, "there is no room for an overlay, or the library was not started");
    return id;
}

static struct overlay *find(int id)
{
    for (int n = 0; id > 0 && n < MOST_OVERLAYS; n++)
        if (overlays[n].id == id)
            return &overlays[n];
    return NULL;
}

bool axo_remove_overlay(int id, axo_err **err)
{
    pthread_mutex_lock(&lock);
    struct overlay *overlay = find(id);
    if (overlay)
        remove_overlay(overlay);
    pthread_mutex_unlock(&lock);
    if (!overlay)
        fail(err, AXO_ERR_INVALID, "there is no such overlay");
    return overlay != NULL;
}

/* INCAMERA_AXOVERLAY_WAIT calls in this process find no free buffer. */
axo_buffer *axo_get_buffer(int id, axo_request *request, axo_err **err)
{
    (void)request;
    axo_buffer *buffer = NULL;
    pthread_mutex_lock(&lock);
    struct overlay *overlay = find(id);
    bool waits = refused < setting("INCAMERA_AXOVERLAY_WAIT");
    refused += waits;
    for (int n = 0; overlay && !waits && n < BUFFERS && !buffer; n++)
        if (overlay->buffers[n].state == FREE)
            buffer = &overlay->buffers[n];
    if (buffer)
        buffer->state = WITH_PROGRAM;
    pthread_mutex_unlock(&lock);
    if (!overlay)
        fail(err, AXO_ERR_INVALID, "there is no such overlay");
    else if (!buffer)
        fail(err, AXO_ERR_WAIT, "all buffers are in use");
    return buffer;
}

void *axo_buffer_get_data(axo_buffer *buffer, axo_err **err)
{
    if (!buffer)
        fail(err, AXO_ERR_INVALID, "no buffer");
    return buffer ? buffer->data : NULL;
}

size_t axo_buffer_get_byte_size(axo_buffer *buffer)
{
    return buffer->size;
}

unsigned long axo_buffer_get_id(axo_buffer *buffer)
{
    return (unsigned long)buffer->overlay * BUFFERS + buffer->number;
}

int axo_buffer_get_dma_buf_fd(axo_buffer *buffer)
{
    return buffer->fd;
}

bool axo_submit_buffer(axo_buffer *buffer, axo_submit *submit, axo_err **err)
{
    (void)submit;
    bool good = false, down = false;
    pthread_mutex_lock(&lock);
    struct overlay *overlay = buffer ? find(buffer->overlay) : NULL;
    if (overlay && buffer->state == WITH_PROGRAM) {
        const struct draw_show show = {.number = overlay->number, .buffer = buffer->number};
        good = order(DRAW_SHOW, &show, sizeof show);
        down = !good;
        for (int n = 0; n < BUFFERS; n++)
            if (overlay->buffers[n].state == SHOWN)
                overlay->buffers[n].state = FREE;
        buffer->state = good ? SHOWN : FREE;
    }
    pthread_mutex_unlock(&lock);
    if (down)
        fail(err, AXO_ERR_INTERNAL, "the service that draws has been stopped");
    else if (!good)
        fail(err, AXO_ERR_INVALID, "not a buffer that the program has");
    return good;
}

axo_detailed_format *axo_suggest_detailed_format(axo_format format, axo_format_flags flags, axo_err **err)
{
    if (flags & (AXO_FORMAT_FLAGS_COMPRESSED | AXO_FORMAT_FLAGS_GPU)) {
        fail(err, AXO_ERR_UNSUPPORTED, "the stand-in has no compressed formats, and no GPU");
        return NULL;
    }
    axo_detailed_format *detailed = is_known(format, err) ? malloc(sizeof *detailed) : NULL;
    if (detailed)
        detailed->format = format;
    return detailed;
}

void axo_detailed_format_free(axo_detailed_format *format)
{
    free(format);
}

void axo_detailed_format_get_aligned_size(const axo_detailed_format *format, unsigned width, unsigned height,
                                          unsigned *aligned_width, unsigned *aligned_height)
{
    (void)format;
    *aligned_width = align(width);
    *aligned_height = align(height);
}

uint32_t axo_detailed_format_get_drm_fourcc(const axo_detailed_format *format)
{
    (void)format;
    return 'A' | 'R' << 8 | '2' << 16 | (uint32_t)'4' << 24;
}

/* Linear. */
uint64_t axo_detailed_format_get_drm_modifier(const axo_detailed_format *format, unsigned plane)
{
    (void)format, (void)plane;
    return 0;
}
