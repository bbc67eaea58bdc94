/*
 * Drawings over the video, on ARTPEC-7 and later: one overlay for each stream. Axoverlay 2, in the
 * camera since AXIS OS 12.10. Made by incamera from data/axoverlay2.toml.
 */
#ifndef INCAMERA_AXOVERLAY2_H
#define INCAMERA_AXOVERLAY2_H

#include "incamera-axis-os.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The program makes an overlay for each stream that VDO's stream 0 tells of, and removes it when the stream is closed.
 * The manifest asks for it with resources.overlay. A function that fails makes *ERR point to a new error.
 */
typedef struct axo_settings axo_settings;
typedef struct axo_props axo_props;
typedef struct axo_match axo_match;
typedef struct axo_buffer axo_buffer;
typedef struct axo_request axo_request;
typedef struct axo_submit axo_submit;
typedef struct axo_err axo_err;
typedef struct axo_detailed_format axo_detailed_format;
struct axo_argb_entry;

typedef enum axo_err_code {
    AXO_ERR_INTERNAL = 0,
    AXO_ERR_INVALID = 1,
    AXO_ERR_UNSUPPORTED = 2,
    /* There is no free buffer now: try again later. */
    AXO_ERR_WAIT = 3,
    /* The stream is closed. */
    AXO_ERR_NO_STREAM = 4,
    AXO_ERR_NOT_AVAILABLE = 5,
} axo_err_code;

typedef enum axo_format {
    AXO_FORMAT_INVALID = 0,
    AXO_FORMAT_ARGB32 = 1,
    AXO_FORMAT_4BIT_PALETTE = 2,
    AXO_FORMAT_1BIT_PALETTE = 3,
    AXO_FORMAT_ARGB16 = 4,
    AXO_FORMAT_COUNT = 5,
} axo_format;

/* Flags. C++ needs a cast to combine them. */
typedef enum axo_format_flags {
    AXO_FORMAT_FLAGS_NONE = 0,
    AXO_FORMAT_FLAGS_COMPRESSED = 2,
    AXO_FORMAT_FLAGS_GPU = 4,
} axo_format_flags;

/* SETTINGS may be NULL. */
bool axo_start(axo_settings *settings, axo_err **err);
bool axo_stop(axo_err **err);
axo_props *axo_props_new(void);
void axo_props_free(axo_props *props);
void axo_props_set_size(axo_props *props, unsigned width, unsigned height);
void axo_props_set_format(axo_props *props, axo_format format);
void axo_props_set_detailed_format(axo_props *props, const axo_detailed_format *format);
void axo_props_set_upscale_x2(axo_props *props, bool upscale);
void axo_props_set_manual_dma_sync(axo_props *props, bool manual);
axo_match *axo_match_new(void);
void axo_match_free(axo_match *match);
void axo_match_stream_id(axo_match *match, unsigned stream_id);
/* Returns an id, or less than 0. PROPS and MATCH may be freed afterwards. */
int axo_create_overlay(axo_props *props, axo_match *match, axo_err **err);
bool axo_remove_overlay(int id, axo_err **err);
/* The size that an overlay of WIDTH x HEIGHT pixels must have. Clear what it has more. */
bool axo_get_aligned_size(axo_format format, unsigned width, unsigned height, unsigned
    *aligned_width, unsigned *aligned_height, axo_err **err);
/* REQUEST may be NULL. Give the buffer back with axo_submit_buffer. */
axo_buffer *axo_get_buffer(int id, axo_request *request, axo_err **err);
/* Memory of the device, for copying into. ARGB32: rows of 4 x width bytes, without padding. */
void *axo_buffer_get_data(axo_buffer *buffer, axo_err **err);
size_t axo_buffer_get_byte_size(axo_buffer *buffer);
unsigned long axo_buffer_get_id(axo_buffer *buffer);
int axo_buffer_get_dma_buf_fd(axo_buffer *buffer);
/* Shows the buffer. SUBMIT may be NULL. */
bool axo_submit_buffer(axo_buffer *buffer, axo_submit *submit, axo_err **err);
axo_detailed_format *axo_suggest_detailed_format(axo_format format, axo_format_flags flags, axo_err
    **err);
void axo_detailed_format_free(axo_detailed_format *format);
void axo_detailed_format_get_aligned_size(const axo_detailed_format *format, unsigned width,
    unsigned height, unsigned *aligned_width, unsigned *aligned_height);
uint32_t axo_detailed_format_get_drm_fourcc(const axo_detailed_format *format);
uint64_t axo_detailed_format_get_drm_modifier(const axo_detailed_format *format, unsigned plane);
axo_err_code axo_err_get_code(const axo_err *err);
const char *axo_err_get_message(const axo_err *err);
/* Frees *ERR and sets it to NULL. */
void axo_err_clear(axo_err **err);

#ifdef __cplusplus
}
#endif

#endif
