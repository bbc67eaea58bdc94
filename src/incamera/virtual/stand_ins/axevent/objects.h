/* The stand-in of the library for events: its objects, and a line to the engine, which has the events of all programs. */
#ifndef AXEVENT_OBJECTS_H
#define AXEVENT_OBJECTS_H

#include "event_line.h"
#include "returning.h"
#include "text.h"

#include <axsdk/axevent.h>
#include <stdarg.h>

struct _AXEventElementItem {
    gchar *name, *name_space, *body;
    GHashTable *attributes;
    AXEventElementItem *child, *sibling;
};

/* Public programs look into sets of the camera's library, since it cannot list their keys (pandosme/make_acap). So these
   three structures have the parts that those programs know, in the same places. */
struct name {
    gchar *name_space, *key;
};

struct value {
    gint integer;
    gboolean boolean;
    gdouble real;
    gchar *text;
    AXEventElementItem *element;
    gchar *element_text;
    GList *tags;
    gchar *nice_key, *nice_value;
    gboolean exists, is_data;
    AXEventValueType type;
};

struct _AXEventKeyValueSet {
    GHashTable *table; /* of the names and values of all pairs, which own them */
    struct pair *first;
};

struct pair {
    struct pair *next;
    struct name name;
    struct value value;
    bool is_source;
    gchar *tag;
};

struct _AXEvent {
    AXEventKeyValueSet *set;
    gint64 microseconds;
    GTimeVal value;
    GDateTime *time;
};

static gboolean fail(GError **error, AXEventErrorCode code, const char *message);

static AXEventElementItem *copy_element(const AXEventElementItem *item);
static void write_element(struct text *text, const AXEventElementItem *item);
static AXEventElementItem *read_element(char **from);

static struct pair *find_pair(const AXEventKeyValueSet *set, const char *key, const char *name_space);
static void free_pair(struct pair *pair);
static struct pair *copy_pair(const struct pair *pair);
static AXEventKeyValueSet *copy_set(const AXEventKeyValueSet *set);
static void put_pair(AXEventKeyValueSet *set, struct pair *pair);
static void write_pair(struct text *text, const struct pair *pair);
static struct pair *read_pair(char *part);

static void add_encoded(struct text *text, const char *value);
static gchar *decoded(const char *part);

static AXEvent *make_event(const AXEventKeyValueSet *set, gint64 microseconds);

#endif
