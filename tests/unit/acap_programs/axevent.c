/* Uses events as the documentation of axevent describes it: declare a state and a pulse, subscribe to both, send. */
#include <assert.h>
#include <axsdk/axevent.h>
#include <stdio.h>
#include <string.h>

typedef struct _GMainLoop GMainLoop;
GMainLoop *g_main_loop_new(void *context, gboolean running);
void g_main_loop_run(GMainLoop *loop);
void g_main_loop_quit(GMainLoop *loop);
void g_main_loop_unref(GMainLoop *loop);
void g_clear_error(GError **error);
void g_hash_table_unref(GHashTable *table);
gpointer g_hash_table_lookup(GHashTable *table, gconstpointer key);

static GMainLoop *loop;
static AXEventHandler *handler;
static guint state, pulse, states, pulses, nothing;
static char seen[256];

static AXEventKeyValueSet *topic(const char *id)
{
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    assert(ax_event_key_value_set_add_key_values(
        set, NULL, "topic0", "tnsaxis", "CameraApplicationPlatform", AX_VALUE_TYPE_STRING, "topic1", "tnsaxis", "Door",
        AX_VALUE_TYPE_STRING, "topic2", "tnsaxis", id, AX_VALUE_TYPE_STRING, NULL));
    return set;
}

static gboolean send_open(gboolean open, GError **error)
{
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    assert(ax_event_key_value_set_add_key_value(set, "open", NULL, &open, AX_VALUE_TYPE_BOOL, NULL));
    AXEvent *event = ax_event_new2(set, NULL);
    ax_event_key_value_set_free(set);
    gboolean done = ax_event_handler_send_event(handler, state, event, error);
    ax_event_free(event);
    return done;
}

static gboolean send_strength(gdouble strength, AXEventValueType type, GError **error)
{
    gint whole = (gint)strength;
    AXEventElementItem *item = ax_event_element_item_new("who", "tns1"), *child = ax_event_element_item_new("age", NULL);
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    assert(ax_event_element_item_set_body(child, "seven; 7", NULL));
    assert(ax_event_element_item_add_child(item, child, NULL));
    const void *value = type == AX_VALUE_TYPE_INT ? (const void *)&whole : &strength;
    assert(ax_event_key_value_set_add_key_value(set, "strength", NULL, value, type, NULL));
    assert(ax_event_key_value_set_add_key_value(set, "who", NULL, item, AX_VALUE_TYPE_ELEMENT, NULL));
    ax_event_element_item_free(item);
    GTimeVal time = {1700000000, 250000};
    AXEvent *event = ax_event_new(set, &time);
    ax_event_key_value_set_free(set);
    gboolean done = ax_event_handler_send_event(handler, pulse, event, error);
    ax_event_free(event);
    return done;
}

static void state_changed(guint subscription, AXEvent *event, gpointer data)
{
    const AXEventKeyValueSet *set = ax_event_get_key_value_set(event);
    AXEventValueType type;
    GError *error = NULL;
    gboolean open;
    gint number;
    assert(subscription == states && data == seen && ax_event_get_time_stamp2(event));
    assert(ax_event_key_value_set_get_value_type(set, "open", NULL, &type, NULL) && type == AX_VALUE_TYPE_BOOL);
    assert(ax_event_key_value_set_get_boolean(set, "open", NULL, &open, NULL));
    assert(!ax_event_key_value_set_get_integer(set, "open", NULL, &number, &error));
    assert(error->domain == AX_EVENT_ERROR && error->code == AX_EVENT_ERROR_INCOMPATIBLE_VALUE);
    g_clear_error(&error);
    assert(!ax_event_key_value_set_get_integer(set, "closed", NULL, &number, &error));
    assert(error->code == AX_EVENT_ERROR_KEY_NOT_FOUND);
    g_clear_error(&error);
    strcat(seen, open ? "open " : "closed ");
    ax_event_free(event);
    /* Only now is the next one sent: what was sent while the subscription began comes once. */
    if (strcmp(seen, "closed open ") == 0) {
        assert(!send_strength(1, AX_VALUE_TYPE_INT, &error) && error->code == AX_EVENT_ERROR_INCOMPATIBLE_VALUE);
        g_clear_error(&error);
        assert(send_strength(0.1, AX_VALUE_TYPE_DOUBLE, &error));
    }
}

static void ended(guint subscription, gpointer data, GError *error)
{
    assert(subscription == pulses && data == seen && !error);
    g_main_loop_quit(loop);
}

static void knocked(guint subscription, AXEvent *event, gpointer data)
{
    const AXEventKeyValueSet *set = ax_event_get_key_value_set(event);
    AXEventElementItem *who, *child, *none;
    GHashTable *attributes;
    gchar *text, *id;
    gdouble strength;
    (void)data;
    assert(subscription == pulses);
    const GTimeVal *time = ax_event_get_time_stamp(event);
    assert(time->tv_sec == 1700000000 && time->tv_usec == 250000);
    assert(ax_event_key_value_set_get_double(set, "strength", NULL, &strength, NULL) && strength == 0.1);
    assert(ax_event_key_value_set_get_string(set, "topic2", "tnsaxis", &id, NULL) && strcmp(id, "Knock") == 0);
    assert(ax_event_key_value_set_get_element(set, "who", NULL, &who, NULL));
    assert(ax_event_element_item_get_name_space(who, &text, NULL) && strcmp(text, "tns1") == 0);
    g_free(text);
    assert(ax_event_element_item_get_first_child(who, &child, NULL) && child);
    assert(ax_event_element_item_get_next_child(child, &none, NULL) && !none);
    assert(ax_event_element_item_get_body(child, &text, NULL) && strcmp(text, "seven; 7") == 0);
    g_free(text);
    assert(ax_event_element_item_get_attributes(child, &attributes, NULL));
    assert(!g_hash_table_lookup(attributes, "none"));
    g_hash_table_unref(attributes);
    ax_event_element_item_free(who);
    g_free(id);
    ax_event_free(event);
    strcat(seen, "knock ");
    assert(ax_event_handler_unsubscribe_and_notify(handler, pulses, ended, seen, NULL));
}

static void never(guint subscription, AXEvent *event, gpointer data)
{
    (void)subscription, (void)event, (void)data;
    assert(!"there is no such event");
}

static void subscribe_all(void)
{
    AXEventKeyValueSet *set = topic("Open");
    /* NULL matches every value. */
    assert(ax_event_key_value_set_add_key_value(set, "open", NULL, NULL, AX_VALUE_TYPE_BOOL, NULL));
    assert(ax_event_handler_subscribe(handler, set, &states, state_changed, seen, NULL));
    ax_event_key_value_set_free(set);
    set = topic("Knock");
    assert(ax_event_handler_subscribe(handler, set, &pulses, knocked, NULL, NULL));
    ax_event_key_value_set_free(set);
    set = topic("Window");
    assert(ax_event_handler_subscribe(handler, set, &nothing, never, NULL, NULL));
    ax_event_key_value_set_free(set);
}

static void declared(guint declaration, gpointer data)
{
    static int count;
    GError *error = NULL;
    assert(declaration == state || declaration == pulse);
    assert(data == (declaration == state ? seen : NULL));
    if (++count < 2)
        return;
    subscribe_all();
    assert(send_open(TRUE, &error) && !error);
}

static void declare(void)
{
    GError *error = NULL;
    gboolean closed = FALSE;
    AXEventKeyValueSet *set = topic("Open");
    assert(ax_event_key_value_set_add_key_value(set, "open", NULL, &closed, AX_VALUE_TYPE_BOOL, &error));
    assert(ax_event_key_value_set_mark_as_data(set, "open", NULL, &error));
    assert(ax_event_key_value_set_mark_as_user_defined(set, "topic2", "tnsaxis", "isApplicationData", &error));
    assert(ax_event_key_value_set_add_nice_names(set, "open", NULL, "Door is open", NULL, &error));
    assert(!ax_event_key_value_set_mark_as_source(set, "open", "tns1", &error));
    assert(error->code == AX_EVENT_ERROR_KEY_NOT_FOUND);
    g_clear_error(&error);
    assert(ax_event_handler_declare2(handler, set, FALSE, (gchar *)"open", &state, declared, seen, &error));
    ax_event_key_value_set_free(set);
    set = topic("Knock");
    assert(ax_event_key_value_set_add_key_value(set, "strength", NULL, NULL, AX_VALUE_TYPE_DOUBLE, &error));
    assert(ax_event_key_value_set_add_key_value(set, "who", NULL, NULL, AX_VALUE_TYPE_ELEMENT, &error));
    assert(ax_event_key_value_set_add_key_value(set, "gone", NULL, NULL, AX_VALUE_TYPE_INT, &error));
    assert(ax_event_key_value_set_remove_key(set, "gone", NULL, &error));
    assert(ax_event_handler_declare(handler, set, TRUE, &pulse, declared, NULL, &error));
    assert(!ax_event_handler_declare_from_template(handler, "com.axis.door", set, &nothing, declared, NULL, &error));
    assert(error->code == AX_EVENT_ERROR_DECLARATION);
    g_clear_error(&error);
    ax_event_key_value_set_free(set);
    /* Not before the callback. */
    assert(!send_open(TRUE, &error) && error->code == AX_EVENT_ERROR_SEND);
    g_clear_error(&error);
}

int main(void)
{
    GError *error = NULL;
    handler = ax_event_handler_new();
    declare();
    loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    assert(strcmp(seen, "closed open knock ") == 0 || strcmp(seen, "open knock ") == 0);
    assert(ax_event_handler_unsubscribe(handler, states, NULL));
    assert(!ax_event_handler_unsubscribe(handler, pulses, &error) && error->code == AX_EVENT_ERROR_UNSUBSCRIBE);
    g_clear_error(&error);
    assert(ax_event_handler_undeclare(handler, pulse, NULL));
    assert(!ax_event_handler_undeclare(handler, pulse, &error) && error->code == AX_EVENT_ERROR_UNDECLARE);
    g_clear_error(&error);
    ax_event_handler_free(handler);
    puts("done");
    return 0;
}
