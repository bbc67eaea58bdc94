/* Uses parameters as the documentation of axparameter describes it: add, set, list, and wait for changes. */
#include <assert.h>
#include <axsdk/axparameter.h>
#include <stdio.h>
#include <string.h>

typedef struct _GMainLoop GMainLoop;
GMainLoop *g_main_loop_new(void *context, gboolean running);
void g_main_loop_run(GMainLoop *loop);
void g_main_loop_quit(GMainLoop *loop);
void g_main_loop_unref(GMainLoop *loop);
void g_list_free(GList *list);
void g_clear_error(GError **error);

static GMainLoop *loop;
static AXParameter *parameters;
static char told[256];

static void changed(const gchar *name, const gchar *value, gpointer data)
{
    assert(data == told);
    strcat(told, name);
    strcat(told, "=");
    strcat(told, value);
    strcat(told, " ");
    if (strcmp(value, "9 \"%\"\n") == 0)
        g_main_loop_quit(loop);
}

static gboolean set_last(gpointer data)
{
    (void)data;
    assert(ax_parameter_set(parameters, "Speed", "9 \"%\"\n", TRUE, NULL));
    return FALSE;
}

static void expect(const char *name, const char *value)
{
    gchar *found = NULL;
    assert(ax_parameter_get(parameters, name, &found, NULL));
    assert(strcmp(found, value) == 0);
    g_free(found);
}

static void expect_error(gboolean done, GError **error, int code)
{
    assert(!done && *error && (*error)->domain == AX_PARAMETER_ERROR && (*error)->code == code && *(*error)->message);
    g_clear_error(error);
}

int main(void)
{
    GError *error = NULL;
    gchar *value = NULL;
    parameters = ax_parameter_new("lamp", &error);
    assert(parameters && !error);
    assert(ax_parameter_add(parameters, "Speed", "5", "int:min=0;max=9", &error));
    assert(ax_parameter_add(parameters, "Name", NULL, NULL, &error));
    assert(ax_parameter_add(parameters, "Serial", "7", "readonly:string", &error));
    expect_error(ax_parameter_add(parameters, "Speed", "6", "int", &error), &error, AX_PARAMETER_PARAM_ADDED_ERROR);
    expect_error(ax_parameter_get(parameters, "Sped", &value, &error), &error, AX_PARAMETER_PARAM_GET_ERROR);
    expect_error(ax_parameter_set(parameters, "Sped", "1", TRUE, &error), &error, AX_PARAMETER_PARAM_SET_ERROR);
    expect_error(ax_parameter_set(parameters, "Serial", "1", TRUE, &error), &error, AX_PARAMETER_PARAM_SET_ERROR);
    expect_error(ax_parameter_remove(parameters, "Sped", &error), &error, AX_PARAMETER_PARAM_EXIST_ERROR);
    expect("Name", "");
    expect("root.lamp.Speed", "5");
    expect("root.Properties.System.SerialNumber", "ACCC8E000000");
    expect("Properties.System.SerialNumber", "ACCC8E000000");
    GList *names = ax_parameter_list(parameters, &error);
    assert(names && strcmp(names->data, "Speed") == 0 && strcmp(names->next->data, "Name") == 0);
    for (GList *item = names; item; item = item->next)
        g_free(item->data);
    g_list_free(names);
    assert(ax_parameter_remove(parameters, "Serial", &error));
    assert(ax_parameter_register_callback(parameters, "Speed", changed, told, &error));
    assert(ax_parameter_register_callback(parameters, "root.lamp.Name", changed, told, &error));
    assert(ax_parameter_register_callback(parameters, "Later", changed, told, &error));
    /* Nobody is told of the first before the second is set. */
    assert(ax_parameter_set(parameters, "Speed", "6", FALSE, &error));
    expect("Speed", "6");
    AXParameter *other = ax_parameter_new("lamp", &error);
    assert(ax_parameter_get(other, "Speed", &value, &error) && strcmp(value, "5") == 0);
    g_free(value);
    ax_parameter_free(other);
    assert(ax_parameter_set(parameters, "Name", "a lamp", TRUE, &error));
    loop = g_main_loop_new(NULL, FALSE);
    g_timeout_add_full(G_PRIORITY_DEFAULT, 300, set_last, NULL, NULL);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    assert(strstr(told, "root.lamp.Speed=6 ") && strstr(told, "root.lamp.Name=a lamp "));
    assert(strstr(told, "root.lamp.Speed=9 \"%\"\n "));
    expect("Speed", "9 \"%\"\n");
    ax_parameter_unregister_callback(parameters, "Name");
    ax_parameter_free(parameters);
    puts("done");
    return 0;
}
