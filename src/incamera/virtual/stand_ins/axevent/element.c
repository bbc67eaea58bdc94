/* Values with a structure. */
#include "objects.h"

AXEventElementItem *ax_event_element_item_new(const gchar *name, const gchar *name_space)
{
    if (!name)
        return NULL;
    AXEventElementItem *item = g_malloc0(sizeof *item);
    item->name = g_strdup(name);
    item->name_space = g_strdup(name_space);
    return item;
}

void ax_event_element_item_free(AXEventElementItem *node)
{
    while (node) {
        AXEventElementItem *next = node->sibling;
        ax_event_element_item_free(node->child);
        if (node->attributes)
            g_hash_table_unref(node->attributes);
        g_free(node->name);
        g_free(node->name_space);
        g_free(node->body);
        g_free(node);
        node = next;
    }
}

static gboolean give_text(const gchar *text, gchar **place, GError **error)
{
    if (!place)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no place for the text");
    *place = g_strdup(text);
    return TRUE;
}

gboolean ax_event_element_item_get_name(AXEventElementItem *node, gchar **name, GError **error)
{
    return node ? give_text(node->name, name, error) : fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element");
}

gboolean ax_event_element_item_get_name_space(AXEventElementItem *node, gchar **name_space, GError **error)
{
    return node ? give_text(node->name_space, name_space, error)
                : fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element");
}

static void copy_attribute(gpointer key, gpointer value, gpointer table)
{
    g_hash_table_insert(table, g_strdup(key), g_strdup(value));
}

static GHashTable *copy_attributes(GHashTable *attributes)
{
    GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (attributes)
        g_hash_table_foreach(attributes, copy_attribute, copy);
    return copy;
}

gboolean ax_event_element_item_set_attributes(AXEventElementItem *node, GHashTable *attributes, GError **error)
{
    if (!node || !attributes)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element, or no attributes");
    GHashTable *copy = copy_attributes(attributes);
    if (node->attributes)
        g_hash_table_unref(node->attributes);
    node->attributes = copy;
    return TRUE;
}

gboolean ax_event_element_item_get_attributes(AXEventElementItem *node, GHashTable **attributes, GError **error)
{
    if (!node || !attributes)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element, or no place for its attributes");
    *attributes = copy_attributes(node->attributes);
    return TRUE;
}

gboolean ax_event_element_item_set_body(AXEventElementItem *node, const gchar *body, GError **error)
{
    if (!node)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element");
    gchar *copy = g_strdup(body);
    g_free(node->body);
    node->body = copy;
    return TRUE;
}

gboolean ax_event_element_item_get_body(AXEventElementItem *node, gchar **body, GError **error)
{
    return node ? give_text(node->body, body, error) : fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element");
}

gboolean ax_event_element_item_add_child(AXEventElementItem *node, AXEventElementItem *child, GError **error)
{
    if (!node || !child || node == child)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element, or no child");
    AXEventElementItem **last = &node->child;
    while (*last)
        last = &(*last)->sibling;
    *last = child;
    return TRUE;
}

gboolean ax_event_element_item_get_first_child(AXEventElementItem *parent, AXEventElementItem **child, GError **error)
{
    if (!parent || !child)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element, or no place for its child");
    *child = parent->child;
    return TRUE;
}

gboolean ax_event_element_item_get_next_child(AXEventElementItem *child, AXEventElementItem **sibling, GError **error)
{
    if (!child || !sibling)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no element, or no place for its sibling");
    *sibling = child->sibling;
    return TRUE;
}

static AXEventElementItem *copy_element(const AXEventElementItem *item)
{
    if (!item)
        return NULL;
    AXEventElementItem *copy = ax_event_element_item_new(item->name, item->name_space);
    copy->body = g_strdup(item->body);
    if (item->attributes)
        copy->attributes = copy_attributes(item->attributes);
    AXEventElementItem **last = &copy->child;
    for (const AXEventElementItem *child = item->child; child; child = child->sibling) {
        *last = copy_element(child);
        last = &(*last)->sibling;
    }
    return copy;
}

static void write_attribute(gpointer key, gpointer value, gpointer text)
{
    add_encoded(text, key);
    text_add_string(text, ",");
    add_encoded(text, value);
    text_add_string(text, ",");
}

/* NAME,NAME SPACE,BODY,NUMBER OF ATTRIBUTES,KEY,VALUE,…,NUMBER OF CHILDREN,CHILD,… */
static void write_element(struct text *text, const AXEventElementItem *item)
{
    char number[32];
    unsigned children = 0;
    const char *const fields[] = {item->name, item->name_space, item->body};
    for (size_t n = 0; n < sizeof fields / sizeof *fields; n++) {
        add_encoded(text, fields[n]);
        text_add_string(text, ",");
    }
    snprintf(number, sizeof number, "%u,", item->attributes ? g_hash_table_size(item->attributes) : 0);
    text_add_string(text, number);
    if (item->attributes)
        g_hash_table_foreach(item->attributes, write_attribute, text);
    for (const AXEventElementItem *child = item->child; child; child = child->sibling)
        children++;
    snprintf(number, sizeof number, "%u,", children);
    text_add_string(text, number);
    for (const AXEventElementItem *child = item->child; child; child = child->sibling)
        write_element(text, child);
}

static gchar *take_field(char **from)
{
    char *comma = *from ? strchr(*from, ',') : NULL;
    if (!comma)
        return NULL;
    *comma = 0;
    gchar *field = decoded(*from);
    *from = comma + 1;
    return field;
}

static unsigned take_number(char **from)
{
    gchar *field = take_field(from);
    unsigned long number = field ? strtoul(field, NULL, 10) : 0;
    g_free(field);
    return number < 1000 ? (unsigned)number : 0;
}

static AXEventElementItem *read_element(char **from)
{
    AXEventElementItem *item = g_malloc0(sizeof *item);
    item->name = take_field(from);
    item->name_space = take_field(from);
    item->body = take_field(from);
    unsigned count = take_number(from);
    if (count)
        item->attributes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    while (count--) {
        gchar *key = take_field(from), *value = take_field(from);
        if (key)
            g_hash_table_insert(item->attributes, key, value);
        else
            g_free(value);
    }
    AXEventElementItem **last = &item->child;
    for (count = take_number(from); count && *from && **from; count--) {
        *last = read_element(from);
        last = &(*last)->sibling;
    }
    return item;
}
