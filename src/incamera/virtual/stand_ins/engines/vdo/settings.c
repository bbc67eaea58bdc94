/* The settings of a stream: values with names, as a program has put them into a map. */
#include "objects.h"

#include <math.h>
#include <strings.h>

/* The setting at OFFSET, with its name and value behind it; NULL at the end, or if it is damaged. */
static const struct vdo_setting *setting_at(const uint8_t *data, size_t size, size_t offset, size_t *next)
{
    if (size - offset < sizeof(struct vdo_setting))
        return NULL;
    const struct vdo_setting *setting = (const struct vdo_setting *)(data + offset);
    size_t whole = sizeof *setting + setting->name_size + setting->size;
    *next = offset + (whole + 3) / 4 * 4; /* each begins at a multiple of four */
    return *next <= size ? setting : NULL;
}

/* Take the settings that came with a message. False if they are damaged. */
bool take_settings(struct settings *settings, const void *data, size_t size)
{
    if (size > VDO_MOST_SETTINGS)
        return false;
    for (size_t offset = 0; offset < size;)
        if (!setting_at(data, size, offset, &offset))
            return false;
    settings->data = malloc(size + 1);
    settings->size = size;
    if (settings->data && size)
        memcpy(settings->data, data, size);
    return settings->data != NULL;
}

void drop_settings(struct settings *settings)
{
    free(settings->data);
    *settings = (struct settings){0};
}

static const struct vdo_setting *find_setting(const struct settings *settings, const char *name)
{
    const struct vdo_setting *setting;
    for (size_t offset = 0; offset < settings->size;) {
        setting = setting_at(settings->data, settings->size, offset, &offset);
        if (setting->name_size == strlen(name) && memcmp(setting + 1, name, setting->name_size) == 0)
            return setting;
    }
    return NULL;
}

static const uint8_t *value_of(const struct vdo_setting *setting)
{
    return (const uint8_t *)(setting + 1) + setting->name_size;
}

bool is_set(const struct settings *settings, const char *name)
{
    return find_setting(settings, name) != NULL;
}

/* The number NAME; one of another type is converted. */
double real_of(const struct settings *settings, const char *name, double def)
{
    const struct vdo_setting *setting = find_setting(settings, name);
    int64_t integer;
    double real;
    if (!setting || setting->kind >= TEXT || setting->size != sizeof integer)
        return def;
    memcpy(&integer, value_of(setting), sizeof integer);
    memcpy(&real, value_of(setting), sizeof real);
    return setting->kind == REAL ? real : (double)integer;
}

guint number_of(const struct settings *settings, const char *name, guint def)
{
    const struct vdo_setting *setting = find_setting(settings, name);
    int64_t integer;
    if (!setting || setting->kind >= TEXT || setting->size != sizeof integer)
        return def;
    if (setting->kind == REAL) {
        double real = real_of(settings, name, def);
        return real >= 0 && real <= UINT32_MAX ? (guint)real : def;
    }
    memcpy(&integer, value_of(setting), sizeof integer);
    return (guint)integer;
}

/* Whether the text NAME is WANTED, in capital or small letters; DEF without a text. */
bool text_is(const struct settings *settings, const char *name, const char *wanted, bool def)
{
    const struct vdo_setting *setting = find_setting(settings, name);
    if (!setting || setting->kind != TEXT)
        return def;
    return setting->size == strlen(wanted) && strncasecmp((const char *)value_of(setting), wanted, setting->size) == 0;
}

/* The pair `resolution`. */
void size_of_settings(const struct settings *settings, guint *width, guint *height)
{
    const struct vdo_setting *setting = find_setting(settings, "resolution");
    guint pair[2];
    if (!setting || setting->kind != ARRAY || setting->size != sizeof pair)
        return;
    memcpy(pair, value_of(setting), sizeof pair);
    *width = pair[0];
    *height = pair[1];
}
