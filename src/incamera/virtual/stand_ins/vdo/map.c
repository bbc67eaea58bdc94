/* VdoMap: named values. A getter of another numeric type converts; one that finds no number returns its default. */
#include "objects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

DEFINE_TYPE(VdoMap, vdo_map)

static void free_value(struct entry *entry)
{
    free(entry->text);
    entry->text = NULL;
}

static void vdo_map_finalize(GObject *object)
{
    vdo_map_clear((VdoMap *)object);
}

VdoMap *vdo_map_new(void)
{
    return g_object_new(vdo_map_get_type(), NULL);
}

static struct entry *find(const VdoMap *self, const char *name)
{
    for (struct entry *entry = self ? self->first : NULL; entry; entry = entry->next)
        if (strcmp(entry->name, name) == 0)
            return entry;
    return NULL;
}

/* The entry NAME, a new one if there is none; without a value. */
static struct entry *put(VdoMap *self, const char *name, enum value_kind kind)
{
    struct entry *entry = find(self, name);
    if (entry) {
        free_value(entry);
    } else {
        struct entry **end = &self->first;
        while (*end)
            end = &(*end)->next;
        *end = entry = calloc(1, sizeof *entry);
        entry->name = strdup(name);
    }
    entry->kind = kind;
    return entry;
}

static void copy_entry(VdoMap *self, const struct entry *from, const char *name)
{
    struct entry *to = put(self, name, from->kind);
    to->integer = from->integer;
    to->real = from->real;
    to->text = from->text ? strdup(from->text) : NULL;
    memcpy(to->array, from->array, sizeof to->array);
    to->array_size = from->array_size;
}

VdoMap *vdo_map_clone(const VdoMap *other)
{
    VdoMap *map = vdo_map_new();
    vdo_map_merge(map, other);
    return map;
}

gboolean vdo_map_empty(const VdoMap *self)
{
    return self->first == NULL;
}

gsize vdo_map_size(const VdoMap *self)
{
    gsize count = 0;
    for (const struct entry *entry = self->first; entry; entry = entry->next)
        count++;
    return count;
}

void vdo_map_swap(VdoMap *lhs, VdoMap *rhs)
{
    struct entry *first = lhs->first;
    lhs->first = rhs->first;
    rhs->first = first;
}

gboolean vdo_map_contains(const VdoMap *self, const gchar *name)
{
    return find(self, name) != NULL;
}

gboolean vdo_map_contains_strv(const VdoMap *self, const gchar *const *names)
{
    for (; *names; names++)
        if (!find(self, *names))
            return FALSE;
    return TRUE;
}

static bool equal(const struct entry *a, const struct entry *b)
{
    if (!a || !b)
        return a == b;
    if (a->kind != b->kind || a->integer != b->integer || a->real != b->real || a->array_size != b->array_size)
        return false;
    if (a->kind == TEXT)
        return strcmp(a->text, b->text) == 0;
    return memcmp(a->array, b->array, a->array_size) == 0;
}

gboolean vdo_map_entry_equals(const VdoMap *self, const VdoMap *map, const gchar *name)
{
    return equal(find(self, name), find(map, name));
}

gboolean vdo_map_entry_updates(const VdoMap *self, const VdoMap *map, const gchar *name)
{
    return find(map, name) && !vdo_map_entry_equals(self, map, name);
}

gboolean vdo_map_equals(const VdoMap *self, const VdoMap *map)
{
    for (const struct entry *entry = self->first; entry; entry = entry->next)
        if (!equal(entry, find(map, entry->name)))
            return FALSE;
    return vdo_map_size(self) == vdo_map_size(map);
}

gboolean vdo_map_equals_strv(const VdoMap *self, const VdoMap *map, const gchar *const *names)
{
    for (; *names; names++)
        if (!vdo_map_entry_equals(self, map, *names))
            return FALSE;
    return TRUE;
}

void vdo_map_remove(VdoMap *self, const gchar *name)
{
    for (struct entry **at = &self->first; *at; at = &(*at)->next) {
        struct entry *entry = *at;
        if (strcmp(entry->name, name) != 0)
            continue;
        *at = entry->next;
        free_value(entry);
        free(entry->name);
        free(entry);
        return;
    }
}

void vdo_map_remove_strv(VdoMap *self, const gchar *const *names)
{
    for (; *names; names++)
        vdo_map_remove(self, *names);
}

void vdo_map_clear(VdoMap *self)
{
    while (self->first)
        vdo_map_remove(self, self->first->name);
}

VdoMap *vdo_map_filter_prefix(const VdoMap *self, const gchar *prefix)
{
    VdoMap *map = vdo_map_new();
    for (const struct entry *entry = self->first; entry; entry = entry->next)
        if (strncmp(entry->name, prefix, strlen(prefix)) == 0)
            copy_entry(map, entry, entry->name);
    return map;
}

VdoMap *vdo_map_filter_strv(const VdoMap *self, const gchar *const *names)
{
    VdoMap *map = vdo_map_new();
    for (; *names; names++)
        if (find(self, *names))
            copy_entry(map, find(self, *names), *names);
    return map;
}

/* Functions with names as their last arguments, NULL after the last. */
#define MOST_NAMES 64
#define COLLECT(names, last) \
    const gchar *names[MOST_NAMES + 1] = {0}; \
    va_list list; \
    va_start(list, last); \
    for (int count = 0; count < MOST_NAMES && (names[count] = va_arg(list, const gchar *)); count++) \
        ; \
    va_end(list)

gboolean vdo_map_contains_va(const VdoMap *self, ...)
{
    COLLECT(names, self);
    return vdo_map_contains_strv(self, names);
}

gboolean vdo_map_equals_va(const VdoMap *self, const VdoMap *map, ...)
{
    COLLECT(names, map);
    return vdo_map_equals_strv(self, map, names);
}

void vdo_map_remove_va(VdoMap *self, ...)
{
    COLLECT(names, self);
    vdo_map_remove_strv(self, names);
}

VdoMap *vdo_map_filter_va(const VdoMap *self, ...)
{
    COLLECT(names, self);
    return vdo_map_filter_strv(self, names);
}

void vdo_map_merge(VdoMap *self, const VdoMap *map)
{
    for (const struct entry *entry = map->first; entry; entry = entry->next)
        copy_entry(self, entry, entry->name);
}

void vdo_map_copy_value(VdoMap *self, const gchar *src, const gchar *dst)
{
    const struct entry *from = find(self, src);
    if (from && strcmp(src, dst) != 0)
        copy_entry(self, from, dst);
}

/* Add the bytes of a value to DATA, padded. False if there is no room. */
static bool encode_entry(const struct entry *entry, uint8_t *data, size_t room, size_t *size)
{
    gint64 integer = entry->integer;
    const void *value = entry->kind == REAL ? (const void *)&entry->real : &integer;
    size_t value_size = sizeof integer, name_size = strlen(entry->name);
    if (entry->kind == TEXT)
        value = entry->text, value_size = strlen(entry->text);
    else if (entry->kind == ARRAY)
        value = entry->array, value_size = entry->array_size;
    size_t whole = (sizeof(struct vdo_setting) + name_size + value_size + 3) / 4 * 4;
    if (name_size > UINT8_MAX || value_size > UINT16_MAX || whole > room - *size)
        return false;
    const struct vdo_setting setting = {(uint8_t)entry->kind, (uint8_t)name_size, (uint16_t)value_size};
    uint8_t *at = data + *size;
    memset(at, 0, whole);
    memcpy(at, &setting, sizeof setting);
    memcpy(at + sizeof setting, entry->name, name_size);
    memcpy(at + sizeof setting + name_size, value, value_size);
    *size += whole;
    return true;
}

/* Write the map as a message has it, and return the bytes: (size_t)-1 if there is no room. */
size_t encode_map(const VdoMap *self, uint8_t *data, size_t room)
{
    size_t size = 0;
    for (const struct entry *entry = self->first; entry; entry = entry->next)
        if (!encode_entry(entry, data, room, &size))
            return (size_t)-1;
    return size;
}

/* Add the values that a message has. */
void decode_map(VdoMap *self, const uint8_t *data, size_t size)
{
    struct vdo_setting setting;
    for (size_t offset = 0; size - offset >= sizeof setting;) {
        memcpy(&setting, data + offset, sizeof setting);
        const uint8_t *name = data + offset + sizeof setting, *value = name + setting.name_size;
        size_t whole = (sizeof setting + setting.name_size + setting.size + 3) / 4 * 4;
        if (whole > size - offset)
            return;
        offset += whole;
        char *text = strndup((const char *)name, setting.name_size);
        struct entry *entry = put(self, text, setting.kind <= ARRAY ? (enum value_kind)setting.kind : TEXT);
        if (entry->kind == TEXT)
            entry->text = strndup((const char *)value, setting.size);
        else if (entry->kind == ARRAY)
            memcpy(entry->array, value, entry->array_size = setting.size < 32 ? setting.size : 32);
        else
            memcpy(entry->kind == REAL ? (void *)&entry->real : &entry->integer, value,
                   setting.size < 8 ? setting.size : 8);
        free(text);
    }
}

void vdo_map_dump(const VdoMap *self)
{
    printf("{");
    for (const struct entry *entry = self->first; entry; entry = entry->next) {
        printf("%s'%s': ", entry == self->first ? "" : ", ", entry->name);
        switch (entry->kind) {
        case BOOLEAN: printf("<%s>", entry->integer ? "true" : "false"); break;
        case INTEGER: printf("<%lld>", (long long)entry->integer); break;
        case UNSIGNED: printf("<uint32 %llu>", (unsigned long long)entry->integer); break;
        case REAL: printf("<%g>", entry->real); break;
        case TEXT: printf("<'%s'>", entry->text); break;
        case ARRAY: printf("<%zu bytes>", entry->array_size); break;
        }
    }
    printf("}\n");
    fflush(stdout);
}

static void set_integer(VdoMap *self, const char *name, enum value_kind kind, gint64 value)
{
    put(self, name, kind)->integer = value;
}

static bool get_integer(const VdoMap *self, const char *name, gint64 *value)
{
    const struct entry *entry = find(self, name);
    if (!entry || entry->kind >= TEXT)
        return false;
    *value = entry->kind == REAL ? (gint64)entry->real : entry->integer;
    return true;
}

#define INTEGER_VALUES(name, Type, kind) \
    void vdo_map_set_##name(VdoMap *self, const gchar *key, Type value) \
    { \
        set_integer(self, key, kind, (gint64)value); \
    } \
    Type vdo_map_get_##name(const VdoMap *self, const gchar *key, Type def) \
    { \
        gint64 value; \
        return get_integer(self, key, &value) ? (Type)value : def; \
    }

INTEGER_VALUES(byte, guchar, UNSIGNED)
INTEGER_VALUES(int16, gint16, INTEGER)
INTEGER_VALUES(uint16, guint16, UNSIGNED)
INTEGER_VALUES(boolean, gboolean, BOOLEAN)
INTEGER_VALUES(int32, gint32, INTEGER)
INTEGER_VALUES(uint32, guint32, UNSIGNED)
INTEGER_VALUES(int64, gint64, INTEGER)
INTEGER_VALUES(uint64, guint64, UNSIGNED)

void vdo_map_set_double(VdoMap *self, const gchar *name, gdouble value)
{
    struct entry *entry = put(self, name, REAL);
    entry->real = value;
    entry->integer = 0;
}

gdouble vdo_map_get_double(const VdoMap *self, const gchar *name, gdouble def)
{
    const struct entry *entry = find(self, name);
    if (!entry || entry->kind >= TEXT)
        return def;
    return entry->kind == REAL ? entry->real : (gdouble)entry->integer;
}

void vdo_map_set_string(VdoMap *self, const gchar *name, const gchar *value)
{
    char *copy = strdup(value ? value : "");
    put(self, name, TEXT)->text = copy;
}

const gchar *vdo_map_get_string(const VdoMap *self, const gchar *name, gsize *size, const gchar *def)
{
    const struct entry *entry = find(self, name);
    const gchar *text = entry && entry->kind == TEXT ? entry->text : def;
    if (size)
        *size = text ? strlen(text) : 0;
    return text;
}

gchar *vdo_map_dup_string(const VdoMap *self, const gchar *name, const gchar *def)
{
    return g_strdup(vdo_map_get_string(self, name, NULL, def));
}

static void set_array(VdoMap *self, const char *name, const void *data, gsize size)
{
    struct entry *entry = put(self, name, ARRAY);
    memcpy(entry->array, data, size);
    entry->array_size = size;
}

static void *get_array(const VdoMap *self, const char *name, void *def, gsize size)
{
    struct entry *entry = find(self, name);
    return entry && entry->kind == ARRAY && entry->array_size == size ? entry->array : def;
}

#define ARRAY_VALUES(name, Type) \
    void vdo_map_set_##name(VdoMap *self, const gchar *key, Type value) \
    { \
        set_array(self, key, &value, sizeof value); \
    } \
    Type vdo_map_get_##name(const VdoMap *self, const gchar *key, Type def) \
    { \
        return *(Type *)get_array(self, key, &def, sizeof def); \
    }

ARRAY_VALUES(pair32i, VdoPair32i)
ARRAY_VALUES(pair32u, VdoPair32u)
ARRAY_VALUES(quad32i, VdoQuad32i)
ARRAY_VALUES(quad32u, VdoQuad32u)

#define POINTER_VALUES(name, Type, count) \
    void vdo_map_set_##name(VdoMap *self, const gchar *key, const Type *value) \
    { \
        set_array(self, key, value, count * sizeof *value); \
    } \
    Type *vdo_map_get_##name(const VdoMap *self, const gchar *key, Type *def) \
    { \
        return get_array(self, key, def, count * sizeof *def); \
    }

POINTER_VALUES(uint32x2, guint32, 2)
POINTER_VALUES(uint32x4, guint32, 4)
POINTER_VALUES(doublex4, gdouble, 4)
