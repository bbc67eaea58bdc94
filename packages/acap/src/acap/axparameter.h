/* The camera's library for parameters, opened at run time. It calls back in the thread that serves GLib's default main
   context, and must not be called in a callback: those here put what comes into queues. */
#ifndef ACAP_AXPARAMETER_H
#define ACAP_AXPARAMETER_H

#include "axparameter_functions.h"
#include "glib.h"

typedef struct _AXParameter AXParameter;
typedef void (*AXParameterCallback)(const gchar *name, const gchar *value, gpointer data);

#define PARAMETER_GLIB_FUNCTIONS(FUNCTION) \
    FUNCTION(void, g_error_free, (GError * error), "9.80") \
    FUNCTION(void, g_free, (gpointer memory), "9.80") \
    FUNCTION(void, g_list_free, (GList * list), "9.80")

static struct {
    AXPARAMETER_FUNCTIONS(LIBRARY_POINTER)
    PARAMETER_GLIB_FUNCTIONS(LIBRARY_POINTER)
} axparameter;

static const struct library_function axparameter_table[] = {
#define FUNCTION(result, name, arguments, since) \
    {#name, since, (size_t)((char *)&axparameter.name - (char *)&axparameter)},
    AXPARAMETER_FUNCTIONS(FUNCTION)
    PARAMETER_GLIB_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define AXPARAMETER_COUNT (sizeof axparameter_table / sizeof *axparameter_table)

/* Open the library. Returns NULL, or what is said against it. */
static const char *axparameter_open(const char *soname)
{
    return library_open(soname, &axparameter, axparameter_table, AXPARAMETER_COUNT);
}

/* The first function of the library that is missing, or NULL; *SINCE: the AXIS OS that has it. */
static const char *axparameter_lacks(const char **since)
{
    for (size_t number = 0; number < AXPARAMETER_COUNT; number++) {
        const char *names[] = {axparameter_table[number].name, NULL};
        if (library_lacks(names, &axparameter, axparameter_table, AXPARAMETER_COUNT)) {
            *since = axparameter_table[number].since;
            return names[0];
        }
    }
    return NULL;
}

/* The queues that wait for changes of one parameter. The library knows one callback for each name. It is never freed, as a
   callback may be on its way. */
typedef struct parameter_name {
    struct parameter_name *next;
    char *name;
    acap_queue *first;
} parameter_name;

static parameter_name *parameter_names;

static parameter_name *parameter_find(const char *name)
{
    for (parameter_name *known = parameter_names; known; known = known->next)
        if (strcmp(known->name, name) == 0)
            return known;
    parameter_name *added = calloc(1, sizeof *added);
    if (!added || !(added->name = strdup(name))) {
        free(added);
        return NULL;
    }
    added->next = parameter_names;
    parameter_names = added;
    return added;
}

static void parameter_changed(const gchar *name, const gchar *value, gpointer data)
{
    parameter_name *known = data;
    pthread_mutex_lock(&queues);
    for (acap_queue *queue = known->first; queue; queue = queue->next)
        queue_put(queue, NULL, name, value);
    pthread_mutex_unlock(&queues);
}

static gboolean parameter_watch(AXParameter *parameter, parameter_name *name, acap_queue *queue, GError **error)
{
    pthread_mutex_lock(&queues);
    int is_first = !name->first;
    queue->next = name->first;
    name->first = queue;
    pthread_mutex_unlock(&queues);
    return !is_first ||
           axparameter.ax_parameter_register_callback(parameter, name->name, parameter_changed, name, error);
}

static void parameter_unwatch(AXParameter *parameter, parameter_name *name, acap_queue *queue)
{
    pthread_mutex_lock(&queues);
    for (acap_queue **at = &name->first; *at; at = &(*at)->next)
        if (*at == queue) {
            *at = queue->next;
            break;
        }
    int was_last = !name->first;
    pthread_mutex_unlock(&queues);
    if (was_last && parameter)
        axparameter.ax_parameter_unregister_callback(parameter, name->name);
    queue_close(queue);
    while (queue->first)
        queue->first = queue_next(queue->first);
    free(queue);
}

#endif
