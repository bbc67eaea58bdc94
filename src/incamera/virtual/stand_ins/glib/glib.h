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
typedef long glong;
typedef float gfloat;
typedef double gdouble;
typedef size_t gsize;
typedef ssize_t gssize;
typedef void *gpointer;
typedef const void *gconstpointer;
typedef guint32 GQuark;
typedef struct _GVariant GVariant;
typedef struct _GHashTable GHashTable;
typedef struct _GDateTime GDateTime;
typedef guint (*GHashFunc)(gconstpointer key);
typedef gboolean (*GEqualFunc)(gconstpointer one, gconstpointer other);
typedef void (*GHFunc)(gpointer key, gpointer value, gpointer data);
typedef gint GIOCondition;
typedef gboolean (*GUnixFDSourceFunc)(gint fd, GIOCondition condition, gpointer data);
typedef gboolean (*GSourceFunc)(gpointer data);
typedef void (*GDestroyNotify)(gpointer data);

#define FALSE 0
#define TRUE 1
#define G_PRIORITY_DEFAULT 0
#define G_IO_IN 1
#define G_GNUC_BEGIN_IGNORE_DEPRECATIONS
#define G_GNUC_END_IGNORE_DEPRECATIONS

typedef struct _GError {
    GQuark domain;
    gint code;
    gchar *message;
} GError;

typedef struct _GList {
    gpointer data;
    struct _GList *next, *prev;
} GList;

typedef struct _GTimeVal {
    glong tv_sec;
    glong tv_usec;
} GTimeVal;

gpointer g_malloc0(gsize size);
void g_free(gpointer memory);
gchar *g_strdup(const gchar *text);
GList *g_list_append(GList *list, gpointer data);
void g_list_free(GList *list);
GQuark g_quark_from_static_string(const gchar *text);
void g_set_error_literal(GError **error, GQuark domain, gint code, const gchar *message);

guint g_str_hash(gconstpointer text);
gboolean g_str_equal(gconstpointer one, gconstpointer other);
GHashTable *g_hash_table_new_full(GHashFunc hash, GEqualFunc equal, GDestroyNotify free_key, GDestroyNotify free_value);
gboolean g_hash_table_insert(GHashTable *table, gpointer key, gpointer value);
gboolean g_hash_table_remove(GHashTable *table, gconstpointer key);
void g_hash_table_foreach(GHashTable *table, GHFunc function, gpointer data);
guint g_hash_table_size(GHashTable *table);
void g_hash_table_unref(GHashTable *table);

GDateTime *g_date_time_new_from_unix_utc(gint64 seconds);
GDateTime *g_date_time_add(GDateTime *time, gint64 microseconds);
gint64 g_date_time_to_unix(GDateTime *time);
gint g_date_time_get_microsecond(GDateTime *time);
void g_date_time_unref(GDateTime *time);

/* Of the default main context. */
guint g_unix_fd_add_full(gint priority, gint fd, GIOCondition condition, GUnixFDSourceFunc function, gpointer data,
                         GDestroyNotify notify);
guint g_timeout_add_full(gint priority, guint milliseconds, GSourceFunc function, gpointer data, GDestroyNotify notify);
gboolean g_source_remove(guint source);

#endif
