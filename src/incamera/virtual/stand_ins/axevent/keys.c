/* Keys and values. */
#include "objects.h"

GQuark ax_event_error_quark(void)
{
    return g_quark_from_static_string("ax-event-error-quark");
}

static gboolean fail(GError **error, AXEventErrorCode code, const char *message)
{
    g_set_error_literal(error, ax_event_error_quark(), (gint)code, message);
    return FALSE;
}

/* Text in lines: what has a meaning there is encoded. NULL is ~. */
static void add_encoded(struct text *text, const char *value)
{
    char code[8];
    if (!value)
        text_add_string(text, "~");
    for (; value && *value; value++) {
        unsigned char letter = (unsigned char)*value;
        if (letter > ' ' && letter != 127 && !strchr("%;,~", letter)) {
            text_add(text, value, 1);
        } else {
            snprintf(code, sizeof code, "%%%02X", letter);
            text_add_string(text, code);
        }
    }
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static gchar *decoded(const char *part)
{
    if (!part || strcmp(part, "~") == 0)
        return NULL;
    gchar *text = g_strdup(part), *to = text;
    for (const char *from = text; *from; from++) {
        int high = *from == '%' ? hex(from[1]) : -1, low = high < 0 ? -1 : hex(from[2]);
        if (low >= 0 && (high || low)) {
            *to++ = (char)(16 * high + low);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
    return text;
}

static void free_pair(struct pair *pair)
{
    ax_event_element_item_free(pair->value.element);
    g_free(pair->name.key);
    g_free(pair->name.name_space);
    g_free(pair->value.text);
    g_free(pair->value.element_text);
    g_free(pair->tag);
    g_free(pair->value.nice_key);
    g_free(pair->value.nice_value);
    g_free(pair);
}

static struct pair *copy_pair(const struct pair *pair)
{
    struct pair *copy = g_malloc0(sizeof *copy);
    *copy = *pair;
    copy->next = NULL;
    copy->name.key = g_strdup(pair->name.key);
    copy->name.name_space = g_strdup(pair->name.name_space);
    copy->value.text = g_strdup(pair->value.text);
    copy->tag = g_strdup(pair->tag);
    copy->value.nice_key = g_strdup(pair->value.nice_key);
    copy->value.nice_value = g_strdup(pair->value.nice_value);
    copy->value.element = copy_element(pair->value.element);
    copy->value.element_text = g_strdup(pair->value.element_text);
    return copy;
}

static bool same_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static guint hash_name(gconstpointer name)
{
    return g_str_hash(((const struct name *)name)->key);
}

static gboolean same_name(gconstpointer one, gconstpointer other)
{
    const struct name *left = one, *right = other;
    return strcmp(left->key, right->key) == 0 && same_text(left->name_space, right->name_space);
}

static struct pair *find_pair(const AXEventKeyValueSet *set, const char *key, const char *name_space)
{
    for (struct pair *pair = set->first; pair; pair = pair->next)
        if (strcmp(pair->name.key, key) == 0 && same_text(pair->name.name_space, name_space))
            return pair;
    return NULL;
}

/* Add PAIR, in the place of one with the same key. */
static void put_pair(AXEventKeyValueSet *set, struct pair *pair)
{
    struct pair **at = &set->first;
    while (*at && (strcmp((*at)->name.key, pair->name.key) != 0 || !same_text((*at)->name.name_space, pair->name.name_space)))
        at = &(*at)->next;
    if (*at) {
        struct pair *old = *at;
        pair->next = old->next;
        g_hash_table_remove(set->table, &old->name);
        free_pair(old);
    }
    *at = pair;
    g_hash_table_insert(set->table, &pair->name, &pair->value);
}

static AXEventKeyValueSet *copy_set(const AXEventKeyValueSet *set)
{
    AXEventKeyValueSet *copy = ax_event_key_value_set_new();
    struct pair **last = &copy->first;
    for (const struct pair *pair = set->first; pair; pair = pair->next) {
        *last = copy_pair(pair);
        g_hash_table_insert(copy->table, &(*last)->name, &(*last)->value);
        last = &(*last)->next;
    }
    return copy;
}

static const char type_letters[] = "ibdse";

static void write_pair(struct text *text, const struct pair *pair)
{
    char number[64];
    text_add_string(text, "\t");
    add_encoded(text, pair->name.key);
    text_add_string(text, ";");
    add_encoded(text, pair->name.name_space);
    text_add_string(text, ";");
    text_add(text, &type_letters[pair->value.type], 1);
    text_add_string(text, ";");
    text_add_string(text, pair->is_source ? "s" : "");
    text_add_string(text, pair->value.is_data ? "d" : "");
    if (pair->tag) {
        text_add_string(text, "u");
        add_encoded(text, pair->tag);
    }
    text_add_string(text, ";");
    if (!pair->value.exists) {
        text_add_string(text, "~");
    } else if (pair->value.type == AX_VALUE_TYPE_STRING) {
        add_encoded(text, pair->value.text);
    } else if (pair->value.type == AX_VALUE_TYPE_ELEMENT) {
        write_element(text, pair->value.element);
    } else {
        if (pair->value.type == AX_VALUE_TYPE_DOUBLE)
            snprintf(number, sizeof number, "%.17g", pair->value.real);
        else
            snprintf(number, sizeof number, "%d",
                     pair->value.type == AX_VALUE_TYPE_BOOL ? pair->value.boolean : pair->value.integer);
        text_add_string(text, number);
    }
    text_add_string(text, ";");
    add_encoded(text, pair->value.nice_key);
    text_add_string(text, ";");
    add_encoded(text, pair->value.nice_value);
}

/* Reads what write_pair has written. Returns NULL for something else. */
static struct pair *read_pair(char *part)
{
    char *fields[7];
    size_t count = 0;
    for (char *field = part; field && count < 7; count++) {
        char *end = strchr(field, ';');
        fields[count] = field;
        if (end)
            *end = 0;
        field = end ? end + 1 : NULL;
    }
    const char *letter = count == 7 && fields[2][0] ? strchr(type_letters, fields[2][0]) : NULL;
    if (!letter || !*fields[0] || *fields[0] == '~')
        return NULL;
    struct pair *pair = g_malloc0(sizeof *pair);
    pair->value.type = (AXEventValueType)(letter - type_letters);
    pair->name.key = decoded(fields[0]);
    pair->name.name_space = decoded(fields[1]);
    const char *marks = fields[3];
    if (*marks == 's')
        pair->is_source = *marks++ != 0;
    if (*marks == 'd')
        pair->value.is_data = *marks++ != 0;
    if (*marks == 'u')
        pair->tag = decoded(marks + 1);
    pair->value.exists = strcmp(fields[4], "~") != 0;
    if (pair->value.exists && pair->value.type == AX_VALUE_TYPE_STRING)
        pair->value.text = decoded(fields[4]);
    else if (pair->value.exists && pair->value.type == AX_VALUE_TYPE_ELEMENT)
        pair->value.element = read_element(&fields[4]);
    else if (pair->value.type == AX_VALUE_TYPE_DOUBLE)
        pair->value.real = strtod(fields[4], NULL);
    else if (pair->value.exists && pair->value.type == AX_VALUE_TYPE_BOOL)
        pair->value.boolean = strtol(fields[4], NULL, 10) != 0;
    else if (pair->value.exists)
        pair->value.integer = (gint)strtol(fields[4], NULL, 10);
    pair->value.nice_key = decoded(fields[5]);
    pair->value.nice_value = decoded(fields[6]);
    return pair;
}

AXEventKeyValueSet *ax_event_key_value_set_new(void)
{
    AXEventKeyValueSet *set = g_malloc0(sizeof *set);
    set->table = g_hash_table_new_full(hash_name, same_name, NULL, NULL);
    return set;
}

void ax_event_key_value_set_free(AXEventKeyValueSet *key_value_set)
{
    if (!key_value_set)
        return;
    g_hash_table_unref(key_value_set->table);
    while (key_value_set->first) {
        struct pair *pair = key_value_set->first;
        key_value_set->first = pair->next;
        free_pair(pair);
    }
    g_free(key_value_set);
}

gboolean ax_event_key_value_set_add_key_value(AXEventKeyValueSet *key_value_set, const gchar *key,
                                              const gchar *name_space, gconstpointer value, AXEventValueType value_type,
                                              GError **error)
{
    if (!key_value_set || !key || !*key || (unsigned)value_type > AX_VALUE_TYPE_ELEMENT)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no set, no key, or a type that does not exist");
    struct pair *pair = g_malloc0(sizeof *pair);
    pair->name.key = g_strdup(key);
    pair->name.name_space = g_strdup(name_space);
    pair->value.type = value_type;
    pair->value.exists = value != NULL;
    if (value && value_type == AX_VALUE_TYPE_STRING)
        pair->value.text = g_strdup(value);
    else if (value && value_type == AX_VALUE_TYPE_ELEMENT)
        pair->value.element = copy_element(value);
    else if (value && value_type == AX_VALUE_TYPE_DOUBLE)
        pair->value.real = *(const gdouble *)value;
    else if (value && value_type == AX_VALUE_TYPE_BOOL)
        pair->value.boolean = *(const gboolean *)value != 0;
    else if (value)
        pair->value.integer = *(const gint *)value;
    put_pair(key_value_set, pair);
    return TRUE;
}

gboolean ax_event_key_value_set_add_key_values(AXEventKeyValueSet *key_value_set, GError **error, ...)
{
    va_list arguments;
    gboolean done = TRUE;
    va_start(arguments, error);
    for (const gchar *key; done && (key = va_arg(arguments, const gchar *));) {
        const gchar *name_space = va_arg(arguments, const gchar *);
        gconstpointer value = va_arg(arguments, gconstpointer);
        AXEventValueType type = (AXEventValueType)va_arg(arguments, int);
        done = ax_event_key_value_set_add_key_value(key_value_set, key, name_space, value, type, error);
    }
    va_end(arguments);
    return done;
}

/* The pair of KEY, or NULL with an error. */
static struct pair *need(const AXEventKeyValueSet *set, const gchar *key, const gchar *name_space, GError **error)
{
    if (!set || !key) {
        fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no set, or no key");
        return NULL;
    }
    struct pair *pair = find_pair(set, key, name_space);
    if (!pair) {
        char message[256];
        snprintf(message, sizeof message, "there is no key %s%s%.64s", name_space ? name_space : "",
                 name_space ? ":" : "", key);
        fail(error, AX_EVENT_ERROR_KEY_NOT_FOUND, message);
    }
    return pair;
}

gboolean ax_event_key_value_set_mark_as_source(AXEventKeyValueSet *key_value_set, const gchar *key,
                                               const gchar *name_space, GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (pair)
        pair->is_source = true;
    return pair != NULL;
}

gboolean ax_event_key_value_set_mark_as_data(AXEventKeyValueSet *key_value_set, const gchar *key,
                                             const gchar *name_space, GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (pair)
        pair->value.is_data = true;
    return pair != NULL;
}

static void replace(gchar **place, const gchar *text)
{
    gchar *copy = g_strdup(text);
    g_free(*place);
    *place = copy;
}

gboolean ax_event_key_value_set_mark_as_user_defined(AXEventKeyValueSet *key_value_set, const gchar *key,
                                                     const gchar *name_space, const gchar *user_tag, GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (!pair)
        return FALSE;
    if (!user_tag)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no mark");
    replace(&pair->tag, user_tag);
    return TRUE;
}

gboolean ax_event_key_value_set_add_nice_names(AXEventKeyValueSet *key_value_set, const gchar *key,
                                               const gchar *name_space, const gchar *key_nice_name,
                                               const gchar *value_nice_name, GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (!pair)
        return FALSE;
    if (key_nice_name)
        replace(&pair->value.nice_key, key_nice_name);
    if (value_nice_name)
        replace(&pair->value.nice_value, value_nice_name);
    return TRUE;
}

gboolean ax_event_key_value_set_get_value_type(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                               const gchar *name_space, AXEventValueType *value_type, GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (!pair)
        return FALSE;
    if (!value_type)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no place for the type");
    *value_type = pair->value.type;
    return TRUE;
}

/* The pair of KEY, which has a value of TYPE; or NULL with an error. */
static struct pair *typed(const AXEventKeyValueSet *set, const gchar *key, const gchar *name_space, const void *place,
                          AXEventValueType type, GError **error)
{
    struct pair *pair = need(set, key, name_space, error);
    if (!pair)
        return NULL;
    if (place && pair->value.type == type && pair->value.exists)
        return pair;
    if (!place)
        fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no place for the value");
    else
        fail(error, AX_EVENT_ERROR_INCOMPATIBLE_VALUE, pair->value.exists ? "it has another type" : "it has no value");
    return NULL;
}

gboolean ax_event_key_value_set_get_integer(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                            const gchar *name_space, gint *value, GError **error)
{
    struct pair *pair = typed(key_value_set, key, name_space, value, AX_VALUE_TYPE_INT, error);
    if (pair)
        *value = pair->value.integer;
    return pair != NULL;
}

gboolean ax_event_key_value_set_get_boolean(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                            const gchar *name_space, gboolean *value, GError **error)
{
    struct pair *pair = typed(key_value_set, key, name_space, value, AX_VALUE_TYPE_BOOL, error);
    if (pair)
        *value = pair->value.boolean;
    return pair != NULL;
}

gboolean ax_event_key_value_set_get_double(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                           const gchar *name_space, gdouble *value, GError **error)
{
    struct pair *pair = typed(key_value_set, key, name_space, value, AX_VALUE_TYPE_DOUBLE, error);
    if (pair)
        *value = pair->value.real;
    return pair != NULL;
}

gboolean ax_event_key_value_set_get_string(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                           const gchar *name_space, gchar **value, GError **error)
{
    struct pair *pair = typed(key_value_set, key, name_space, value, AX_VALUE_TYPE_STRING, error);
    if (pair)
        *value = g_strdup(pair->value.text);
    return pair != NULL;
}

gboolean ax_event_key_value_set_get_element(const AXEventKeyValueSet *key_value_set, const gchar *key,
                                            const gchar *name_space, AXEventElementItem **item, GError **error)
{
    struct pair *pair = typed(key_value_set, key, name_space, item, AX_VALUE_TYPE_ELEMENT, error);
    if (pair)
        *item = copy_element(pair->value.element);
    return pair != NULL;
}

gboolean ax_event_key_value_set_remove_key(AXEventKeyValueSet *key_value_set, const gchar *key, const gchar *name_space,
                                           GError **error)
{
    struct pair *pair = need(key_value_set, key, name_space, error);
    if (!pair)
        return FALSE;
    struct pair **at = &key_value_set->first;
    while (*at != pair)
        at = &(*at)->next;
    *at = pair->next;
    g_hash_table_remove(key_value_set->table, &pair->name);
    free_pair(pair);
    return TRUE;
}
