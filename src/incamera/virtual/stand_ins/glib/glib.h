/* What the stand-ins use of GLib's ABI, which has not changed since 2.0. They need no headers of GLib to be built. */
#ifndef STAND_INS_GLIB_H
#define STAND_INS_GLIB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef int gboolean;
typedef char gchar;
typedef unsigned char guchar;
typedef int gint;
typedef unsigned guint;
typedef int16_t gint16;
typedef uint16_t guint16;
typedef uint8_t guint8;
typedef int32_t gint32;
typedef uint32_t guint32;
typedef int64_t gint64;
typedef uint64_t guint64;
typedef float gfloat;
typedef double gdouble;
typedef size_t gsize;
typedef ssize_t gssize;
typedef void *gpointer;
typedef guint32 GQuark;
typedef struct _GVariant GVariant;
typedef gboolean (*GSourceFunc)(gpointer data);
typedef void (*GDestroyNotify)(gpointer data);

#define FALSE 0
#define TRUE 1
#define G_PRIORITY_DEFAULT 0

typedef struct _GError {
    GQuark domain;
    gint code;
    gchar *message;
} GError;

typedef struct _GList {
    gpointer data;
    struct _GList *next, *prev;
} GList;

gpointer g_malloc0(gsize size);
void g_free(gpointer memory);
gchar *g_strdup(const gchar *text);
GList *g_list_append(GList *list, gpointer data);
GQuark g_quark_from_static_string(const gchar *text);
void g_set_error_literal(GError **error, GQuark domain, gint code, const gchar *message);

/* Of the default main context. */
guint g_timeout_add_full(gint priority, guint milliseconds, GSourceFunc function, gpointer data, GDestroyNotify notify);
gboolean g_source_remove(guint source);

#endif
