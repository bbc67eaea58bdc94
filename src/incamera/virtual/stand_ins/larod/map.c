/* larodMap: named values. */
#include "objects.h"

larodMap *larodCreateMap(larodError **error)
{
    larodMap *map = calloc(1, sizeof *map);
    if (!map)
        fail(error, ENOMEM, "no memory for a map");
    return map;
}

void larodDestroyMap(larodMap **map)
{
    if (!map || !*map)
        return;
    for (struct map_entry *entry = (*map)->first, *next; entry; entry = next) {
        next = entry->next;
        free(entry->key);
        free(entry->text);
        free(entry);
    }
    free(*map);
    *map = NULL;
}

const struct map_entry *find_entry(const larodMap *map, const char *key)
{
    for (const struct map_entry *entry = map && key ? map->first : NULL; entry; entry = entry->next)
        if (strcmp(entry->key, key) == 0)
            return entry;
    return NULL;
}

static struct map_entry *make_entry(larodMap *map, const char *key, enum entry_kind kind, larodError **error)
{
    if (!map || !key) {
        fail(error, EINVAL, "a value needs a map and a name");
        return NULL;
    }
    struct map_entry *entry = (struct map_entry *)find_entry(map, key);
    if (!entry) {
        entry = calloc(1, sizeof *entry);
        char *copy = strdup(key);
        if (!entry || !copy) {
            free(entry);
            free(copy);
            fail(error, ENOMEM, "no memory for a value");
            return NULL;
        }
        entry->key = copy;
        entry->next = map->first;
        map->first = entry;
    }
    free(entry->text);
    entry->text = NULL;
    entry->kind = kind;
    return entry;
}

bool larodMapSetStr(larodMap *map, const char *key, const char *value, larodError **error)
{
    if (!value)
        return fail(error, EINVAL, "the value of %s is missing", key ? key : "NULL");
    struct map_entry *entry = make_entry(map, key, IS_TEXT, error);
    if (!entry)
        return false;
    entry->text = strdup(value);
    return entry->text || fail(error, ENOMEM, "no memory for a value");
}

bool larodMapSetInt(larodMap *map, const char *key, int64_t value, larodError **error)
{
    struct map_entry *entry = make_entry(map, key, IS_INT, error);
    if (entry)
        entry->values[0] = value;
    return entry;
}

bool larodMapSetIntArr2(larodMap *map, const char *key, int64_t value0, int64_t value1, larodError **error)
{
    struct map_entry *entry = make_entry(map, key, IS_PAIR, error);
    if (!entry)
        return false;
    entry->values[0] = value0;
    entry->values[1] = value1;
    return true;
}

bool larodMapSetIntArr4(larodMap *map, const char *key, int64_t value0, int64_t value1, int64_t value2, int64_t value3,
                        larodError **error)
{
    struct map_entry *entry = make_entry(map, key, IS_QUAD, error);
    if (!entry)
        return false;
    memcpy(entry->values, (int64_t[4]){value0, value1, value2, value3}, sizeof entry->values);
    return true;
}

static const struct map_entry *entry_of(larodMap *map, const char *key, enum entry_kind kind, larodError **error)
{
    const struct map_entry *entry = find_entry(map, key);
    if (entry && entry->kind == kind)
        return entry;
    fail(error, EINVAL, "the map has no %s of this type", key ? key : "NULL");
    return NULL;
}

const char *larodMapGetStr(larodMap *map, const char *key, larodError **error)
{
    const struct map_entry *entry = entry_of(map, key, IS_TEXT, error);
    return entry ? entry->text : NULL;
}

bool larodMapGetInt(larodMap *map, const char *key, int64_t *value, larodError **error)
{
    const struct map_entry *entry = entry_of(map, key, IS_INT, error);
    if (entry)
        *value = entry->values[0];
    return entry;
}

const int64_t *larodMapGetIntArr2(larodMap *map, const char *key, larodError **error)
{
    const struct map_entry *entry = entry_of(map, key, IS_PAIR, error);
    return entry ? entry->values : NULL;
}

const int64_t *larodMapGetIntArr4(larodMap *map, const char *key, larodError **error)
{
    const struct map_entry *entry = entry_of(map, key, IS_QUAD, error);
    return entry ? entry->values : NULL;
}
