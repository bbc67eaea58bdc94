/* The stand-in of the library for parameters: the objects of a program, and a line to the engine that has the parameters of
   all apps. What was set without do_sync is kept here, so that it outlasts the service.
   Callbacks come in the thread that serves GLib's default main context. */
#include "parameter_line.h"
#include "returning.h"

#include <axsdk/axparameter.h>
#include <strings.h>

struct pending {
    struct pending *next;
    gchar *name, *value; /* the full name */
};

struct watch {
    struct watch *next;
    guint number;
    gchar *name, *full, *last; /* as the program wrote it; root.APP.NAME; the value that is known, or NULL */
    AXParameterCallback callback;
    gpointer data;
};

struct _AXParameter {
    struct returning returning;
    gchar *app;
    struct pending *pending; /* what was set without do_sync */
    struct watch *watches;
    guint last_number;
    struct words_out out, opening; /* what the program asks; what a new line is told before */
};

static __thread bool in_callback;

GQuark ax_parameter_error_quark(void)
{
    return g_quark_from_static_string("ax-parameter-error-quark");
}

static gboolean fail(GError **error, gint code, const char *what, const char *name)
{
    char message[1024];
    snprintf(message, sizeof message, "%s: %s", name ? name : "(null)", what);
    g_set_error_literal(error, ax_parameter_error_quark(), code, message);
    return FALSE;
}

static void refuse_in_callback(const char *function)
{
    if (!in_callback)
        return;
    fprintf(stderr, "axparameter: %s was called in a callback. In a camera, it would wait for ever\n", function);
    abort();
}

static void replace(gchar **place, const char *value)
{
    gchar *copy = g_strdup(value);
    g_free(*place);
    *place = copy;
}

static void free_pending(AXParameter *parameter)
{
    while (parameter->pending) {
        struct pending *pending = parameter->pending;
        parameter->pending = pending->next;
        g_free(pending->name);
        g_free(pending->value);
        g_free(pending);
    }
}

/* The line */

engine_function engine_axparameter;

static const struct engine own_engines[] = {{"axparameter", engine_axparameter}, {0}};

static struct words_out *begin_words(struct words_out *out)
{
    out->good = true;
    out->size = 0;
    return out;
}

static struct words_out *begin_out(AXParameter *parameter)
{
    return begin_words(&parameter->out);
}

/* Ask for what was written, and return the answer, or NULL with an error. */
static struct line_message *ask(AXParameter *parameter, uint32_t kind, const char *name, GError **error)
{
    if (!parameter->out.good) {
        fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "it is too long", name);
        return NULL;
    }
    struct line_message *answer =
        returning_ask(&parameter->returning, kind, parameter->out.data, parameter->out.size);
    if (!answer) {
        free_pending(parameter); /* the program is told, and sets it again */
        fail(error, AX_PARAMETER_DBUS_SETUP_ERROR, "the service for parameters is not running", name);
        return NULL;
    }
    if (answer->code == 0)
        return answer;
    struct words words = words_of(answer);
    char why[256];
    snprintf(why, sizeof why, "%.*s", (int)(words.left < 255 ? words.left : 255), (const char *)words.at);
    fail(error, answer->code - 1, why, name);
    line_free(answer);
    return NULL;
}

static gboolean order(AXParameter *parameter, uint32_t kind, const char *name, GError **error)
{
    struct line_message *answer = ask(parameter, kind, name, error);
    if (answer)
        line_free(answer);
    return answer != NULL;
}

/* Ask while the line is being opened. NULL: it cannot be used. */
static struct line_message *ask_new(AXParameter *parameter, uint32_t kind)
{
    const struct words_out *out = &parameter->opening;
    struct line_message *answer = out->good ? line_ask(parameter->returning.line, kind, out->data, out->size) : NULL;
    if (!answer || answer->code == 0)
        return answer;
    line_free(answer);
    return NULL;
}

/* Ask for what changes, and listen. */
static bool listen_for_changes(AXParameter *parameter)
{
    begin_words(&parameter->opening);
    struct line_message *answer = ask_new(parameter, PARAM_CHANGES);
    int fd = answer ? line_take_fd(answer, 0) : -1;
    if (answer)
        line_free(answer);
    if (fd >= 0)
        returning_listen(&parameter->returning, fd);
    return fd >= 0;
}

static bool tell_watch(AXParameter *parameter, struct watch *watch)
{
    struct words_out *out = begin_words(&parameter->opening);
    words_put_number(out, watch->number);
    words_put_text(out, watch->name);
    words_put_number(out, watch->last != NULL);
    words_put_text(out, watch->last ? watch->last : "");
    struct line_message *answer = ask_new(parameter, PARAM_WATCH);
    if (answer)
        line_free(answer);
    return answer != NULL;
}

static bool begin_line(struct returning *returning)
{
    AXParameter *parameter = (AXParameter *)returning;
    words_put_text(begin_words(&parameter->opening), parameter->app);
    struct line_message *answer = ask_new(parameter, PARAM_OPEN);
    if (answer)
        line_free(answer);
    bool good = answer && (!returning->waits || listen_for_changes(parameter));
    for (struct watch *watch = parameter->watches; watch && good; watch = watch->next)
        good = tell_watch(parameter, watch);
    return good;
}

/* In the context's thread. Other threads wait for the lock, so that no callback ends while it runs. */
static void told(struct returning *returning, const struct line_message *message)
{
    AXParameter *parameter = (AXParameter *)returning;
    struct words words = words_of(message);
    guint number = words_number(&words);
    const char *name = words_text(&words), *value = words_text(&words);
    for (struct watch *watch = parameter->watches; words.good && watch; watch = watch->next) {
        if (watch->number != number)
            continue;
        replace(&watch->last, value);
        in_callback = true;
        watch->callback(name, value, watch->data);
        in_callback = false;
        return;
    }
}

static void free_watch(struct watch *watch)
{
    g_free(watch->name);
    g_free(watch->full);
    g_free(watch->last);
    g_free(watch);
}

static void destroy(struct returning *returning)
{
    AXParameter *parameter = (AXParameter *)returning;
    while (parameter->watches) {
        struct watch *watch = parameter->watches;
        parameter->watches = watch->next;
        free_watch(watch);
    }
    free_pending(parameter);
    g_free(parameter->app);
    g_free(parameter);
}

static const struct returning_kind kind = {own_engines, begin_line, told, destroy};

/* The library */

static bool begin(AXParameter *parameter, const char *function, GError **error)
{
    refuse_in_callback(function);
    if (!parameter)
        return fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no AXParameter", function);
    pthread_mutex_lock(&parameter->returning.lock);
    begin_out(parameter);
    return true;
}

static gboolean end(AXParameter *parameter, gboolean result)
{
    pthread_mutex_unlock(&parameter->returning.lock);
    return result;
}

AXParameter *ax_parameter_new(const gchar *app_name, GError **error)
{
    refuse_in_callback("ax_parameter_new");
    if (!app_name || !*app_name || strlen(app_name) >= 128 || strpbrk(app_name, "=\"\n\r ./")) {
        fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "this is no name of an app", app_name);
        return NULL;
    }
    AXParameter *parameter = g_malloc0(sizeof *parameter);
    returning_start(&parameter->returning, &kind);
    parameter->app = g_strdup(app_name);
    parameter->returning.line = line_open(own_engines);
    words_put_text(begin_out(parameter), app_name);
    struct line_message *answer =
        parameter->returning.line
            ? line_ask(parameter->returning.line, PARAM_OPEN, parameter->out.data, parameter->out.size)
            : NULL;
    if (answer && answer->code == 0) {
        line_free(answer);
        return parameter;
    }
    if (answer) {
        fail(error, answer->code - 1, "its parameters cannot be opened", app_name);
        line_free(answer);
    } else {
        fail(error, AX_PARAMETER_DBUS_SETUP_ERROR, "the service for parameters is not running", app_name);
    }
    returning_end(&parameter->returning);
    return NULL;
}

void ax_parameter_free(AXParameter *parameter)
{
    refuse_in_callback("ax_parameter_free");
    if (parameter)
        returning_end(&parameter->returning);
}

gboolean ax_parameter_add(AXParameter *parameter, const gchar *name, const gchar *initial_value, const gchar *type,
                          GError **error)
{
    if (!begin(parameter, "ax_parameter_add", error))
        return FALSE;
    words_put_text(&parameter->out, name ? name : "");
    words_put_text(&parameter->out, initial_value ? initial_value : "");
    words_put_text(&parameter->out, type ? type : "string");
    return end(parameter, order(parameter, PARAM_ADD, name, error));
}

gboolean ax_parameter_remove(AXParameter *parameter, const gchar *name, GError **error)
{
    if (!begin(parameter, "ax_parameter_remove", error))
        return FALSE;
    words_put_text(&parameter->out, name ? name : "");
    return end(parameter, order(parameter, PARAM_REMOVE, name, error));
}

static struct pending *find_pending(AXParameter *parameter, const char *name)
{
    for (struct pending *pending = parameter->pending; pending; pending = pending->next)
        if (strcasecmp(pending->name, name) == 0)
            return pending;
    return NULL;
}

static void put_pending(AXParameter *parameter, const char *name, const char *value)
{
    struct pending *pending = find_pending(parameter, name), **last = &parameter->pending;
    if (!pending) {
        pending = g_malloc0(sizeof *pending);
        pending->name = g_strdup(name);
        while (*last)
            last = &(*last)->next;
        *last = pending;
    }
    replace(&pending->value, value);
}

/* Write all that is pending, at once. *AGAIN: a service that was started meanwhile knows a part of it only. */
static gboolean write_pending(AXParameter *parameter, const char *name, bool *again, GError **error)
{
    guint count = 0;
    *again = false;
    for (struct pending *pending = parameter->pending, *next; pending; pending = next) {
        next = pending->next;
        begin_out(parameter);
        words_put_text(&parameter->out, pending->name);
        words_put_text(&parameter->out, pending->value);
        if (!order(parameter, PARAM_STAGE, name, error)) {
            free_pending(parameter);
            return FALSE;
        }
        count++;
    }
    words_put_number(begin_out(parameter), count);
    struct line_message *answer = ask(parameter, PARAM_SYNC, name, error);
    if (!answer) {
        free_pending(parameter);
        return FALSE;
    }
    struct words words = words_of(answer);
    *again = words_number(&words) != 0;
    line_free(answer);
    if (!*again)
        free_pending(parameter);
    return TRUE;
}

gboolean ax_parameter_set(AXParameter *parameter, const gchar *name, const gchar *value, gboolean do_sync,
                          GError **error)
{
    if (!begin(parameter, "ax_parameter_set", error))
        return FALSE;
    if (!value)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no value", name));
    if (strlen(value) > PARAM_LONGEST)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "its value is too long", name));
    words_put_text(&parameter->out, name ? name : "");
    struct line_message *answer = ask(parameter, PARAM_CHECK, name, error);
    if (!answer)
        return end(parameter, FALSE);
    struct words words = words_of(answer);
    put_pending(parameter, words_text(&words), value);
    line_free(answer);
    bool again = do_sync;
    gboolean done = TRUE;
    while (done && again)
        done = write_pending(parameter, name, &again, error);
    return end(parameter, done);
}

gboolean ax_parameter_get(AXParameter *parameter, const gchar *name, gchar **value, GError **error)
{
    if (!begin(parameter, "ax_parameter_get", error))
        return FALSE;
    if (!value)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no place for its value", name));
    *value = NULL;
    words_put_text(&parameter->out, name ? name : "");
    struct line_message *answer = ask(parameter, PARAM_GET, name, error);
    if (!answer)
        return end(parameter, FALSE);
    struct words words = words_of(answer);
    const char *full = words_text(&words), *found = words_text(&words);
    struct pending *pending = find_pending(parameter, full);
    *value = g_strdup(pending ? pending->value : found);
    line_free(answer);
    return end(parameter, TRUE);
}

GList *ax_parameter_list(AXParameter *parameter, GError **error)
{
    if (!begin(parameter, "ax_parameter_list", error))
        return NULL;
    GList *names = NULL;
    guint count = 0;
    for (bool more = true; more;) {
        words_put_number(begin_out(parameter), count);
        struct line_message *answer = ask(parameter, PARAM_LIST, parameter->app, error);
        if (!answer) {
            for (GList *item = names; item; item = item->next)
                g_free(item->data);
            g_list_free(names);
            end(parameter, FALSE);
            return NULL;
        }
        struct words words = words_of(answer);
        more = words_number(&words) != 0 && words.left;
        while (words.good && words.left) {
            names = g_list_append(names, g_strdup(words_text(&words)));
            count++;
        }
        line_free(answer);
    }
    if (!names)
        fail(error, AX_PARAMETER_PARAM_LIST_ERROR, "it has no parameters", parameter->app);
    end(parameter, TRUE);
    return names;
}

gboolean ax_parameter_register_callback(AXParameter *parameter, const gchar *name, AXParameterCallback callback,
                                        gpointer userdata, GError **error)
{
    if (!begin(parameter, "ax_parameter_register_callback", error))
        return FALSE;
    if (!callback || !name)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "no name or no callback", name));
    if (!parameter->returning.source) {
        /* One that lacks a line gets both. */
        bool waited = parameter->returning.waits;
        parameter->returning.waits = true;
        if (!(parameter->returning.line && !returning_is_dead(parameter->returning.line)
                  ? listen_for_changes(parameter)
                  : returning_open(&parameter->returning))) {
            parameter->returning.waits = waited;
            return end(parameter, fail(error, AX_PARAMETER_DBUS_SETUP_ERROR, "changes cannot be told", name));
        }
    }
    struct words_out *out = begin_out(parameter);
    words_put_number(out, ++parameter->last_number);
    words_put_text(out, name);
    words_put_number(out, 0);
    words_put_text(out, "");
    struct line_message *answer = ask(parameter, PARAM_WATCH, name, error);
    if (!answer)
        return end(parameter, FALSE);
    struct words words = words_of(answer);
    struct watch *watch = g_malloc0(sizeof *watch);
    watch->number = parameter->last_number;
    watch->name = g_strdup(name);
    watch->full = g_strdup(words_text(&words));
    if (words_number(&words))
        watch->last = g_strdup(words_text(&words));
    line_free(answer);
    watch->callback = callback;
    watch->data = userdata;
    watch->next = parameter->watches;
    parameter->watches = watch;
    return end(parameter, TRUE);
}

/* Whether NAME, as the program may write it, is WATCH's. The service need not run. */
static bool is_name_of(const AXParameter *parameter, const struct watch *watch, const char *name)
{
    char full[1024];
    if (strcasecmp(watch->full, name) == 0)
        return true;
    snprintf(full, sizeof full, "root.%s", name);
    if (strcasecmp(watch->full, full) == 0)
        return true;
    snprintf(full, sizeof full, "root.%s.%s", parameter->app, name);
    return strcasecmp(watch->full, full) == 0;
}

void ax_parameter_unregister_callback(AXParameter *parameter, const gchar *name)
{
    if (!name || !begin(parameter, "ax_parameter_unregister_callback", NULL))
        return;
    for (struct watch **at = &parameter->watches; *at;) {
        struct watch *watch = *at;
        if (!is_name_of(parameter, watch, name)) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        words_put_number(begin_out(parameter), watch->number);
        order(parameter, PARAM_UNWATCH, name, NULL); /* a service that has ended knows nothing of it */
        free_watch(watch);
    }
    end(parameter, TRUE);
}
