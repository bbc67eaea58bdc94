/* Adds a parameter, prints all of them, and waits for changes of one. */
#include <stdio.h>
#include <stdlib.h>

#include <axsdk/axparameter.h>

static void changed(const gchar *name, const gchar *value, gpointer data)
{
    (void)data;
    printf("%s is now %s\n", name, value);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree gchar *serial = NULL;
    AXParameter *parameters = ax_parameter_new("lamp", &error);
    if (!parameters)
        goto failed;
    if (!ax_parameter_add(parameters, "Speed", "5", "int:min=0;max=9", &error)) {
        if (!g_error_matches(error, AX_PARAMETER_ERROR, AX_PARAMETER_PARAM_ADDED_ERROR))
            goto failed;
        g_clear_error(&error);
    }
    if (!ax_parameter_get(parameters, "root.Properties.System.SerialNumber", &serial, &error) ||
        !ax_parameter_set(parameters, "Speed", "6", TRUE, &error) ||
        !ax_parameter_register_callback(parameters, "root.Lamp.Speed", changed, NULL, &error))
        goto failed;
    puts(serial);
    GList *names = ax_parameter_list(parameters, &error);
    for (GList *item = names; item; item = item->next)
        puts(item->data);
    g_list_free_full(names, g_free);
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
    ax_parameter_unregister_callback(parameters, "root.Lamp.Speed");
    ax_parameter_remove(parameters, "Speed", NULL);
    ax_parameter_free(parameters);
    return EXIT_SUCCESS;
failed:
    fprintf(stderr, "%s\n", error->message);
    return EXIT_FAILURE;
}
