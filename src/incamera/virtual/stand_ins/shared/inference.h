/* What the library of inference and its engine have in common: descriptions of tensors, errors, and the messages of their
   line. Include larod.h before it. */
#ifndef STAND_INS_INFERENCE_H
#define STAND_INS_INFERENCE_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"

#define MOST_TRACKED 32
#define MOST_TENSORS 16 /* of a model's inputs, or outputs */
#define MOST_DEVICES 16
#define MOST_DIMS 6
#define MOST_ENTRIES 16
#define MOST_JOBS 32 /* of a session: those that were started and did not end */
#define DEVICE_NAME 48
#define MODEL_NAME 256

/* What a tensor of a model is. */
struct description {
    char name[64];
    larodTensorDataType type;
    larodTensorLayout layout;
    larodTensorDims dims;
    larodTensorPitches pitches;
};

enum entry_kind { IS_TEXT, IS_INT, IS_PAIR, IS_QUAD };

static inline size_t type_size(larodTensorDataType type)
{
    switch (type) {
    case LAROD_TENSOR_DATA_TYPE_UINT16:
    case LAROD_TENSOR_DATA_TYPE_INT16:
    case LAROD_TENSOR_DATA_TYPE_FLOAT16:
        return 2;
    case LAROD_TENSOR_DATA_TYPE_UINT32:
    case LAROD_TENSOR_DATA_TYPE_INT32:
    case LAROD_TENSOR_DATA_TYPE_FLOAT32:
        return 4;
    case LAROD_TENSOR_DATA_TYPE_UINT64:
    case LAROD_TENSOR_DATA_TYPE_INT64:
    case LAROD_TENSOR_DATA_TYPE_FLOAT64:
        return 8;
    default:
        return 1;
    }
}

static inline size_t byte_size(const struct description *is)
{
    return is->pitches.len ? is->pitches.pitches[0] : 0;
}

/* Fill IS in, with pitches that have no padding. */
static inline void describe(struct description *is, larodTensorDataType type, larodTensorLayout layout, const size_t *dims,
                            size_t len)
{
    size_t bytes = type_size(type);
    is->type = type;
    is->layout = layout;
    is->dims.len = is->pitches.len = len;
    for (size_t number = len; number-- > 0;) {
        is->dims.dims[number] = dims[number];
        is->pitches.pitches[number] = bytes *= dims[number];
    }
}

/* Store an error with CODE and a text, unless the program wants none. Returns false. */
static inline bool __attribute__((format(printf, 3, 4))) fail(larodError **error, int code, const char *format, ...)
{
    if (!error)
        return false;
    char *text = NULL;
    va_list values;
    va_start(values, format);
    if (vasprintf(&text, format, values) < 0)
        text = NULL;
    va_end(values);
    *error = calloc(1, sizeof **error);
    if (*error)
        **error = (larodError){.code = code, .msg = text};
    else
        free(text);
    return false;
}

static inline void clear_error(larodError **error)
{
    if (!error || !*error)
        return;
    free((char *)(*error)->msg);
    free(*error);
    *error = NULL;
}

/* Messages. An answer whose code is not 0 is an error of larod, and its content the text. */
enum {
    ASK_OPEN = 2, /* -> told_open */
    ASK_CHECK,    /* -> nothing */
    ASK_SESSIONS, /* -> told_sessions */
    ASK_LOAD,     /* ask_load, and the model's file if it has one -> told_model */
    ASK_MODEL,    /* ask_model -> told_model */
    ASK_MODELS,   /* -> told_models */
    ASK_DELETE,   /* ask_model -> nothing */
    ASK_BUFFERS,  /* ask_buffers -> told_buffers, and a file for each */
    ASK_TRACK,    /* ask_tensor, and its file -> told_tracked */
    ASK_FORGET,   /* ask_forget -> nothing */
    ASK_RUN,      /* ask_run, and the files of tensors that are not tracked -> nothing, when the job has ended */
    ASK_START,    /* the same -> nothing, at once */
    ASK_ENDS,     /* -> nothing, and a socket that brings ends */
    TELL_END,     /* told_end: over that socket */
};

struct told_device {
    char name[DEVICE_NAME];
    int32_t chip; /* its number in the first two generations, or 0 */
};

struct told_open {
    uint32_t count;
    struct told_device devices[MOST_DEVICES];
};

struct told_sessions {
    uint64_t count;
};

struct told_tensor {
    char name[64];
    uint32_t type, layout, dim_count, pitch_count;
    uint64_t dims[LAROD_TENSOR_MAX_LEN], pitches[LAROD_TENSOR_MAX_LEN];
};

struct told_model {
    uint64_t id, size;
    uint32_t access, input_count, output_count;
    char device[DEVICE_NAME], name[MODEL_NAME];
    struct told_tensor tensors[2 * MOST_TENSORS]; /* the inputs, then the outputs */
};

struct told_models {
    uint64_t count, ids[512];
};

struct ask_entry {
    char key[40], text[40];
    uint32_t kind;
    int64_t values[4];
};

struct ask_load {
    char device[DEVICE_NAME], name[MODEL_NAME];
    uint32_t access, entry_count;
    struct ask_entry entries[MOST_ENTRIES];
};

struct ask_model {
    uint64_t id;
};

struct ask_buffers {
    uint64_t model;
    uint32_t outputs, properties;
};

struct told_buffers {
    uint32_t count, properties, tracked[MOST_TENSORS];
};

struct ask_tensor {
    uint32_t tracked;    /* 0: its file comes with the message */
    uint32_t properties; /* the rest is of such ones only */
    uint64_t size;
    int64_t offset;
};

struct told_tracked {
    uint32_t tracked;
};

struct ask_forget {
    uint32_t count, tracked[MOST_TRACKED];
};

struct ask_run {
    uint64_t model, number; /* NUMBER: what its end is told with */
    uint32_t input_count, output_count, priority, is_cropped;
    int64_t crop[4];
    struct ask_tensor tensors[2 * MOST_TENSORS]; /* the inputs, then the outputs */
};

struct told_end {
    uint64_t number;
    int32_t code;
    char text[512];
};

#endif
