/* Which events a subscription wants. */
#include "objects.h"

enum { KEY, NAME_SPACE, TYPE, MARKS, VALUE, NICE_NAME, NICE_VALUE, FIELDS };

struct field {
    const char *at;
    size_t size;
};

/* The fields of the key at TEXT, which ends at a tab or with the text. False: it is no key. */
static bool split(const char *text, struct field fields[FIELDS])
{
    size_t size = strcspn(text, "\t");
    for (int n = 0; n < FIELDS; n++) {
        const char *end = memchr(text, ';', size);
        fields[n] = (struct field){text, end ? (size_t)(end - text) : size};
        if (!end)
            return n == FIELDS - 1;
        size -= fields[n].size + 1;
        text = end + 1;
    }
    return false;
}

static bool is_missing(const struct field *field)
{
    return field->size == 1 && *field->at == '~';
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* The character at the beginning of FIELD, which it loses; -1 at its end. */
static int next_character(struct field *field)
{
    if (!field->size)
        return -1;
    int high = field->size > 2 && *field->at == '%' ? hex(field->at[1]) : -1, low = high < 0 ? -1 : hex(field->at[2]);
    size_t size = low >= 0 && (high || low) ? 3 : 1;
    int found = size == 3 ? 16 * high + low : (unsigned char)*field->at;
    field->at += size;
    field->size -= size;
    return found;
}

static bool is_same_text(struct field one, struct field other)
{
    if (is_missing(&one) != is_missing(&other))
        return false;
    for (;;) {
        int left = next_character(&one);
        if (left != next_character(&other))
            return false;
        if (left < 0)
            return true;
    }
}

static double real_of(const struct field *field)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(field->size < 63 ? field->size : 63), field->at);
    return strtod(text, NULL);
}

static bool is_same_value(const struct field *one, const struct field *other)
{
    if (one[TYPE].size != 1 || other[TYPE].size != 1 || *one[TYPE].at != *other[TYPE].at || is_missing(&one[VALUE]))
        return false;
    switch (*one[TYPE].at) {
    case 's': return is_same_text(one[VALUE], other[VALUE]);
    case 'd':
    case 'i': return real_of(&one[VALUE]) == real_of(&other[VALUE]);
    case 'b': return (real_of(&one[VALUE]) != 0) == (real_of(&other[VALUE]) != 0);
    default: return false;
    }
}

/* Whether LINE, an event, has what the keys of FILTER want. */
bool event_matches(const char *line, const char *filter)
{
    struct field wanted[FIELDS], found[FIELDS];
    while (*(filter += strspn(filter, "\t"))) {
        if (split(filter, wanted) && !is_missing(&wanted[VALUE])) {
            bool same = false;
            /* Of several, the last one counts. */
            for (const char *at = strchr(line, '\t'); at; at = strchr(at, '\t')) {
                at++;
                if (split(at, found) && is_same_text(found[KEY], wanted[KEY]) &&
                    is_same_text(found[NAME_SPACE], wanted[NAME_SPACE]))
                    same = is_same_value(found, wanted);
            }
            if (!same)
                return false;
        }
        filter += strcspn(filter, "\t");
    }
    return true;
}
