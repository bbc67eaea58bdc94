/* The stand-in of axoverlay2: pictures that lie over the streams which the stand-in of VDO encodes. Each overlay has two
   buffers of plain memory: the program fills one while the other is shown. */
#include <axoverlay2.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "drawing.h"
#include "resources.h"

enum { ALIGNMENT = 16, MOST_PIXELS = 4096 * 4096, BUFFERS = 2, MOST_OVERLAYS = 32 };

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
    struct axo_props props;
    struct axo_match match;
    struct axo_buffer buffers[BUFFERS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct overlay overlays[MOST_OVERLAYS];
static bool started;
static int last_id;
static unsigned refused;

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
    bool good = !started;
    started = true;
    pthread_mutex_unlock(&lock);
    if (!good)
        fail(err, AXO_ERR_INVALID, "it has been started already");
    return good;
}

static void free_overlay(struct overlay *overlay)
{
    for (int n = 0; n < BUFFERS; n++) {
        struct axo_buffer *buffer = &overlay->buffers[n];
        if (buffer->data)
            munmap(buffer->data, buffer->size);
        if (buffer->fd > 0)
            close(buffer->fd);
    }
    memset(overlay, 0, sizeof *overlay);
}

bool axo_stop(axo_err **err)
{
    pthread_mutex_lock(&lock);
    bool good = started;
    for (int n = 0; n < MOST_OVERLAYS; n++)
        if (overlays[n].id)
            free_overlay(&overlays[n]);
    started = false;
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

static bool make_buffer(struct axo_buffer *buffer, size_t size)
{
    buffer->fd = memfd_create("overlay", MFD_CLOEXEC);
    if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)size) != 0)
        return false;
    void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
    if (data == MAP_FAILED)
        return false;
    buffer->data = data;
    buffer->size = size;
    return true;
}

int axo_create_overlay(axo_props *props, axo_match *match, axo_err **err)
{
    if (!props || !match || props->width == 0 || props->height == 0 || props->width % ALIGNMENT ||
        props->height % ALIGNMENT || (size_t)props->width * props->height > MOST_PIXELS) {
        fail(err, AXO_ERR_INVALID, "an overlay needs a size that is aligned");
        return -1;
    }
    if (!is_known(props->format, err))
        return -1;
    struct overlay *overlay = NULL;
    int id = -1;
    pthread_mutex_lock(&lock);
    for (int n = 0; started && n < MOST_OVERLAYS && !overlay; n++)
        if (overlays[n].id == 0)
            overlay = &overlays[n];
    if (overlay) {
        overlay->id = id = ++last_id;
        overlay->props = *props;
        overlay->match = *match;
        for (unsigned n = 0; n < BUFFERS; n++) {
            overlay->buffers[n].overlay = id;
            overlay->buffers[n].number = n;
            if (!make_buffer(&overlay->buffers[n], 4 * (size_t)props->width * props->height)) {
                free_overlay(overlay);
                id = -1;
                break;
            }
        }
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
        free_overlay(overlay);
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
    bool good = false;
    pthread_mutex_lock(&lock);
    struct overlay *overlay = buffer ? find(buffer->overlay) : NULL;
    if (overlay && buffer->state == WITH_PROGRAM) {
        for (int n = 0; n < BUFFERS; n++)
            if (overlay->buffers[n].state == SHOWN)
                overlay->buffers[n].state = FREE;
        buffer->state = SHOWN;
        good = true;
    }
    pthread_mutex_unlock(&lock);
    if (!good)
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

static void draw_buffer(const struct incamera_picture *picture, const struct overlay *overlay, const uint8_t *data)
{
    unsigned step = overlay->props.twice ? 2 : 1;
    for (unsigned y = 0; y < picture->height && y / step < overlay->props.height; y++)
        for (unsigned x = 0; x < picture->width && x / step < overlay->props.width; x++)
            draw_argb(picture, (int)x, (int)y, data + 4 * ((size_t)(y / step) * overlay->props.width + x / step));
}

incamera_draw_function incamera_draw;

void incamera_draw(const struct incamera_picture *picture)
{
    pthread_mutex_lock(&lock);
    for (int n = 0; n < MOST_OVERLAYS; n++) {
        const struct overlay *overlay = &overlays[n];
        if (!overlay->id || !(overlay->match.any || overlay->match.stream == picture->stream))
            continue;
        for (int buffer = 0; buffer < BUFFERS; buffer++)
            if (overlay->buffers[buffer].state == SHOWN)
                draw_buffer(picture, overlay, overlay->buffers[buffer].data);
    }
    pthread_mutex_unlock(&lock);
}
