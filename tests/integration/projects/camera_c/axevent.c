/* Declares a stateful event of its own, sends it, and prints what virtual inputs tell. */
#include <stdio.h>
#include <stdlib.h>

#include <axsdk/axevent.h>

struct app {
    AXEventHandler *handler;
    guint declared;
};

static gboolean add(AXEventKeyValueSet *set, const char *key, const char *name_space, const char *text, GError **error)
{
    return ax_event_key_value_set_add_key_value(set, key, name_space, text, AX_VALUE_TYPE_STRING, error);
}

static void send_open(guint declaration, gpointer data)
{
    struct app *app = data;
    gboolean open = TRUE;
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    ax_event_key_value_set_add_key_value(set, "open", NULL, &open, AX_VALUE_TYPE_BOOL, NULL);
    AXEvent *event = ax_event_new2(set, NULL);
    ax_event_key_value_set_free(set);
    if (!ax_event_handler_send_event(app->handler, declaration, event, NULL))
        fputs("cannot send\n", stderr);
    ax_event_free(event);
}

static void show(guint subscription, AXEvent *event, gpointer data)
{
    (void)data;
    gboolean active = FALSE;
    gint port = 0;
    const AXEventKeyValueSet *set = ax_event_get_key_value_set(event);
    if (ax_event_key_value_set_get_integer(set, "port", NULL, &port, NULL) &&
        ax_event_key_value_set_get_boolean(set, "active", NULL, &active, NULL))
        printf("%u: %d is %d\n", subscription, port, active);
    ax_event_free(event);
}

int main(void)
{
    GError *error = NULL;
    gboolean closed = FALSE;
    guint subscribed = 0;
    struct app app = {.handler = ax_event_handler_new()};
    AXEventKeyValueSet *own = ax_event_key_value_set_new(), *wanted = ax_event_key_value_set_new();
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);

    add(own, "topic0", "tnsaxis", "CameraApplicationPlatform", &error);
    add(own, "topic1", "tnsaxis", "Door", &error);
    ax_event_key_value_set_add_key_value(own, "open", NULL, &closed, AX_VALUE_TYPE_BOOL, &error);
    ax_event_key_value_set_mark_as_data(own, "open", NULL, &error);
    ax_event_key_value_set_mark_as_user_defined(own, "topic1", "tnsaxis", "isApplicationData", &error);
    ax_event_key_value_set_add_nice_names(own, "open", NULL, "Open", NULL, &error);
    ax_event_key_value_set_add_key_values(wanted, &error, "topic0", "tns1", "Device", AX_VALUE_TYPE_STRING, "topic1",
                                          "tnsaxis", "IO", AX_VALUE_TYPE_STRING, NULL);
    gboolean done =
        ax_event_handler_declare(app.handler, own, FALSE, &app.declared, send_open, &app, &error) &&
        ax_event_handler_subscribe(app.handler, wanted, &subscribed, show, NULL, &error);
    if (done)
        g_main_loop_run(loop);
    else if (g_error_matches(error, AX_EVENT_ERROR, AX_EVENT_ERROR_DECLARATION))
        fputs("not declared\n", stderr);
    g_clear_error(&error);
    ax_event_key_value_set_free(own);
    ax_event_key_value_set_free(wanted);
    ax_event_handler_unsubscribe(app.handler, subscribed, NULL);
    ax_event_handler_undeclare(app.handler, app.declared, NULL);
    ax_event_handler_free(app.handler);
    g_main_loop_unref(loop);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
