/* The camera's video library, opened at run time: a structure of pointers to its functions. */
#ifndef ACAP_VDO_H
#define ACAP_VDO_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "vdo_functions.h"

/* GLib's names for C types. */
typedef int gboolean;
typedef int gint;
typedef unsigned guint;
typedef uint32_t guint32;
typedef int64_t gint64;
typedef ssize_t gssize;
typedef uint64_t guint64;
typedef size_t gsize;
typedef double gdouble;
typedef char gchar;
typedef void *gpointer;

typedef struct {
    uint32_t domain;
    int code;
    char *message;
} GError;

typedef struct _VdoMap VdoMap;
typedef struct _VdoChannel VdoChannel;
typedef struct _VdoStream VdoStream;
typedef struct _VdoFrame VdoFrame;
typedef VdoFrame VdoBuffer;
typedef void (*VdoBufferFinalizer)(VdoBuffer *self);

typedef struct {
    uint32_t width;
    uint32_t height;
} VdoResolution;

typedef struct {
    size_t count;
    VdoResolution resolutions[];
} VdoResolutionSet;

typedef union {
    struct {
        uint32_t w, h;
    };
    uint32_t val[2];
} VdoPair32u;

/* A part of a frame. */
typedef struct {
    void *data;
    size_t size;
    uint32_t type;
    int64_t offset;
} VdoChunk;

#define VDO_CHUNK_ERROR 0x80000000u

typedef struct _GList {
    void *data;
    struct _GList *next, *prev;
} GList;

typedef int VdoFrameType;

#define GLIB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, g_object_unref, (gpointer object), "9.80") \
    FUNCTION(void, g_error_free, (GError *error), "9.80") \
    FUNCTION(void, g_free, (gpointer memory), "9.80") \
    FUNCTION(void, g_list_free, (GList *list), "9.80")

/* A function that the library does not have is NULL. */
static struct {
#define FUNCTION(result, name, arguments, since) result(*name) arguments;
    VDO_FUNCTIONS(FUNCTION)
    GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
} vdo;

static const struct {
    const char *name, *since;
    size_t offset;
} vdo_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&vdo.name - (char *)&vdo)},
    VDO_FUNCTIONS(FUNCTION)
    GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

/* Open the library. Returns NULL, or what the loader says against it. */
static const char *vdo_open(const char *soname)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "unknown error";
    }
    /* This finds GLib's functions as well, since the library needs GLib. */
    for (size_t number = 0; number < sizeof vdo_table / sizeof *vdo_table; number++) {
        void *function = dlsym(library, vdo_table[number].name);
        memcpy((char *)&vdo + vdo_table[number].offset, &function, sizeof function);
    }
    return NULL;
}

/* The first AXIS OS that has the function NAME. */
static const char *vdo_since(const char *name)
{
    for (size_t number = 0; number < sizeof vdo_table / sizeof *vdo_table; number++)
        if (strcmp(vdo_table[number].name, name) == 0)
            return vdo_table[number].since;
    return "";
}


#endif
