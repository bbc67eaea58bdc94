/* The stand-in of the library for parameters. Each app has a file in the folder INCAMERA_PARAMETERS, or in a folder of the
   flash memory, with a line `NAME="VALUE" type="TYPE"` for each parameter; %, " and line ends are written as %25, %22, %0A.
   Whoever writes it writes a new file and renames it. The camera's own parameters are in a file of the firmware.
   Callbacks come in the thread that serves GLib's default main context. */
#include "service.h"

#include <axsdk/axparameter.h>
#include <pthread.h>
#include <strings.h>

#define USUAL_FOLDER "/usr/local/packages/.incamera-parameters"
#define SYSTEM_FILE "/etc/incamera-parameters"
#define PACKAGES "/usr/local/packages"

struct entry {
    struct entry *next;
    gchar *name, *value, *type;
};

struct watch {
    struct watch *next;
    gchar *name, *last; /* as the program wrote it; the value that was told last, or NULL */
    AXParameterCallback callback;
    gpointer data;
};

struct _AXParameter {
    pthread_mutex_t mutex;
    bool freed;
    gchar *app;
    struct entry *pending; /* what was set without do_sync */
    struct watch *watches;
    int inotify;
    guint source;
};

/* Where a parameter is. */
struct place {
    char group[PATH_SIZE], name[PATH_SIZE];
    bool own, system;
};

static __thread bool in_callback;

GQuark ax_parameter_error_quark(void)
{
    return g_quark_from_static_string("ax-parameter-error-quark");
}

static gboolean fail(GError **error, gint code, const char *what, const char *name)
{
    char message[PATH_SIZE];
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

/* Chosen when the program opens the library. */
static char chosen[PATH_SIZE];

static const char *folder(void)
{
    return chosen;
}

static bool is_group(const char *name)
{
    return name && *name && *name != '.' && !strchr(name, '/') && strlen(name) < 128;
}

static void path_of(const char *group, char *path)
{
    snprintf(path, 2 * PATH_SIZE, "%s/%s", folder(), group);
}

/* Lists */

static void free_entries(struct entry *first)
{
    while (first) {
        struct entry *next = first->next;
        g_free(first->name);
        g_free(first->value);
        g_free(first->type);
        g_free(first);
        first = next;
    }
}

static struct entry *find(struct entry *first, const char *name)
{
    for (; first; first = first->next)
        if (strcasecmp(first->name, name) == 0)
            return first;
    return NULL;
}

static void append(struct entry **list, const char *name, const char *value, const char *type)
{
    struct entry *entry = g_malloc0(sizeof *entry);
    entry->name = g_strdup(name);
    entry->value = g_strdup(value);
    entry->type = g_strdup(type);
    while (*list)
        list = &(*list)->next;
    *list = entry;
}

static void replace(gchar **place, const char *value)
{
    gchar *copy = g_strdup(value);
    g_free(*place);
    *place = copy;
}

/* Files */

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static void decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        int high = *text == '%' ? hex(text[1]) : -1, low = high < 0 ? -1 : hex(text[2]);
        if (low >= 0 && (high || low)) {
            *to++ = (char)(16 * high + low);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = 0;
}

/* The text between quotes at *FROM, or up to a space; *FROM is then what follows. */
static char *take_value(char **from)
{
    char *start = *from, *end;
    if (*start == '"') {
        end = strchr(++start, '"');
        if (!end)
            return NULL;
        *from = end + 1;
    } else {
        end = start + strcspn(start, " \t");
        *from = end + (*end != 0);
    }
    *end = 0;
    return start;
}

/* The parameters of the file PATH. *FOUND: whether there is one. */
static struct entry *load(const char *path, bool encoded, bool *found)
{
    struct entry *list = NULL;
    char *text = service_read(path), *rest = NULL;
    *found = text != NULL;
    for (char *line = text ? strtok_r(text, "\r\n", &rest) : NULL; line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *equals = strchr(line, '='), *type = NULL;
        if (!equals || equals == line)
            continue;
        *equals = 0;
        char *after = equals + 1, *value = take_value(&after);
        if (!value)
            continue;
        char *mark = strstr(after, "type=");
        if (mark) {
            after = mark + 5;
            type = take_value(&after);
        }
        if (encoded)
            decode(value);
        append(&list, line, value, type ? type : "string");
    }
    g_free(text);
    return list;
}

static void add_encoded(struct text *text, const char *value)
{
    for (; *value; value++)
        switch (*value) {
        case '%': text_add_string(text, "%25"); break;
        case '"': text_add_string(text, "%22"); break;
        case '\n': text_add_string(text, "%0A"); break;
        case '\r': text_add_string(text, "%0D"); break;
        default: text_add(text, value, 1);
        }
}

static bool save(const char *group, const struct entry *list)
{
    char path[2 * PATH_SIZE], new[2 * PATH_SIZE];
    struct text text = {0};
    text_add_string(&text, "");
    for (; list; list = list->next) {
        text_add_string(&text, list->name);
        text_add_string(&text, "=\"");
        add_encoded(&text, list->value);
        text_add_string(&text, "\" type=\"");
        add_encoded(&text, list->type);
        text_add_string(&text, "\"\n");
    }
    path_of(group, path);
    snprintf(new, sizeof new, "%s/.new", folder());
    int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done = fd >= 0 && service_write(fd, text.data, text.size) && fdatasync(fd) == 0;
    if (fd >= 0)
        close(fd);
    g_free(text.data);
    return done && rename(new, path) == 0;
}

static struct entry *load_group(const char *group, bool *found)
{
    char path[2 * PATH_SIZE];
    path_of(group, path);
    return load(path, true, found);
}

/* The camera's own parameters. */
static struct entry *load_system(void)
{
    char path[2 * PATH_SIZE];
    bool found;
    snprintf(path, sizeof path, "%s/.system", folder());
    struct entry *list = load(path, true, &found);
    return found ? list : load(SYSTEM_FILE, true, &found);
}

static bool has_group(const char *group)
{
    char path[2 * PATH_SIZE];
    path_of(group, path);
    return is_group(group) && access(path, F_OK) == 0;
}

/* A parameter of an installed package is there before the app runs for the first time. */
static void import_package(const char *app)
{
    char path[2 * PATH_SIZE];
    bool found;
    if (has_group(app))
        return;
    snprintf(path, sizeof path, PACKAGES "/%s/param.conf", app);
    struct entry *list = load(path, false, &found);
    if (found)
        save(app, list);
    free_entries(list);
}

/* Names */

static bool find_place(const AXParameter *parameter, const char *name, struct place *place)
{
    memset(place, 0, sizeof *place);
    if (!name || !*name || strlen(name) >= sizeof place->name || strpbrk(name, "=\"\n\r "))
        return false;
    bool full = strncasecmp(name, "root.", 5) == 0;
    const char *rest = full ? name + 5 : name, *dot = strchr(rest, '.');
    if (dot && dot - rest < (ptrdiff_t)sizeof place->group)
        memcpy(place->group, rest, (size_t)(dot - rest));
    if (dot && strcasecmp(place->group, parameter->app) == 0) {
        place->own = true;
        strcpy(place->group, parameter->app);
        strcpy(place->name, dot + 1);
        return dot[1] != 0;
    }
    if (full && dot && has_group(place->group)) {
        strcpy(place->name, dot + 1);
        return dot[1] != 0;
    }
    place->system = full || dot;
    if (!place->system) {
        place->own = true;
        strcpy(place->group, parameter->app);
    }
    strcpy(place->name, rest);
    return true;
}

/* The value of a parameter, or NULL. Free it with g_free. PENDING: what the program has set without do_sync counts. */
static gchar *value_of(AXParameter *parameter, const char *name, bool pending)
{
    struct place place;
    bool found;
    if (!find_place(parameter, name, &place))
        return NULL;
    struct entry *list = place.system ? load_system() : load_group(place.group, &found);
    struct entry *entry = place.own && pending ? find(parameter->pending, place.name) : NULL;
    if (!entry || !find(list, place.name))
        entry = find(list, place.name);
    gchar *value = entry ? g_strdup(entry->value) : NULL;
    free_entries(list);
    return value;
}

/* The library */

static bool begin(AXParameter *parameter, const char *function, GError **error)
{
    refuse_in_callback(function);
    if (!parameter)
        return fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no AXParameter", function);
    pthread_mutex_lock(&parameter->mutex);
    return true;
}

static gboolean end(AXParameter *parameter, gboolean result)
{
    pthread_mutex_unlock(&parameter->mutex);
    return result;
}

AXParameter *ax_parameter_new(const gchar *app_name, GError **error)
{
    refuse_in_callback("ax_parameter_new");
    if (!is_group(app_name) || strpbrk(app_name, "=\"\n\r .")) {
        fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "this is no name of an app", app_name);
        return NULL;
    }
    snprintf(chosen, sizeof chosen, "%s", service_folder("INCAMERA_PARAMETERS", USUAL_FOLDER));
    int lock = service_lock(folder());
    if (lock < 0) {
        fail(error, AX_PARAMETER_FILE_LOCK_ERROR, strerror(errno), folder());
        return NULL;
    }
    import_package(app_name);
    close(lock);
    AXParameter *parameter = g_malloc0(sizeof *parameter);
    pthread_mutex_init(&parameter->mutex, NULL);
    parameter->app = g_strdup(app_name);
    parameter->inotify = -1;
    return parameter;
}

static void destroy(gpointer data)
{
    AXParameter *parameter = data;
    while (parameter->watches) {
        struct watch *watch = parameter->watches;
        parameter->watches = watch->next;
        g_free(watch->name);
        g_free(watch->last);
        g_free(watch);
    }
    if (parameter->inotify >= 0)
        close(parameter->inotify);
    free_entries(parameter->pending);
    g_free(parameter->app);
    pthread_mutex_destroy(&parameter->mutex);
    g_free(parameter);
}

void ax_parameter_free(AXParameter *parameter)
{
    refuse_in_callback("ax_parameter_free");
    if (!parameter)
        return;
    pthread_mutex_lock(&parameter->mutex);
    parameter->freed = true;
    guint source = parameter->source;
    pthread_mutex_unlock(&parameter->mutex);
    if (source)
        g_source_remove(source); /* which destroys it, after its callbacks */
    else
        destroy(parameter);
}

gboolean ax_parameter_add(AXParameter *parameter, const gchar *name, const gchar *initial_value, const gchar *type,
                          GError **error)
{
    struct place place;
    bool found;
    if (!begin(parameter, "ax_parameter_add", error))
        return FALSE;
    if (!find_place(parameter, name, &place) || !place.own)
        return end(parameter, fail(error, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of an own parameter", name));
    int lock = service_lock(folder());
    struct entry *list = load_group(place.group, &found);
    gboolean done = TRUE;
    if (find(list, place.name)) {
        done = fail(error, AX_PARAMETER_PARAM_ADDED_ERROR, "it is there already", name);
    } else {
        append(&list, place.name, initial_value ? initial_value : "", type ? type : "string");
        if (lock < 0 || !save(place.group, list))
            done = fail(error, AX_PARAMETER_FILE_WRITE_ERROR, strerror(errno), name);
    }
    free_entries(list);
    if (lock >= 0)
        close(lock);
    return end(parameter, done);
}

gboolean ax_parameter_remove(AXParameter *parameter, const gchar *name, GError **error)
{
    struct place place;
    bool found;
    if (!begin(parameter, "ax_parameter_remove", error))
        return FALSE;
    if (!find_place(parameter, name, &place) || !place.own)
        return end(parameter, fail(error, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of an own parameter", name));
    int lock = service_lock(folder());
    struct entry *list = load_group(place.group, &found), *entry = find(list, place.name);
    gboolean done = TRUE;
    if (!entry) {
        done = fail(error, AX_PARAMETER_PARAM_EXIST_ERROR, "there is no such parameter", name);
    } else {
        for (struct entry **at = &list; *at; at = &(*at)->next)
            if (*at == entry) {
                *at = entry->next;
                entry->next = NULL;
                free_entries(entry);
                break;
            }
        if (lock < 0 || !save(place.group, list))
            done = fail(error, AX_PARAMETER_FILE_WRITE_ERROR, strerror(errno), name);
    }
    free_entries(list);
    if (lock >= 0)
        close(lock);
    return end(parameter, done);
}

gboolean ax_parameter_set(AXParameter *parameter, const gchar *name, const gchar *value, gboolean do_sync,
                          GError **error)
{
    struct place place;
    bool found;
    if (!begin(parameter, "ax_parameter_set", error))
        return FALSE;
    if (!value)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no value", name));
    if (!find_place(parameter, name, &place))
        return end(parameter, fail(error, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of a parameter", name));
    if (!place.own)
        return end(parameter, fail(error, AX_PARAMETER_PARAM_SET_ERROR, "it is no parameter of this app", name));
    int lock = service_lock(folder());
    struct entry *list = load_group(place.group, &found), *entry = find(list, place.name);
    gboolean done = TRUE;
    if (!entry) {
        done = fail(error, AX_PARAMETER_PARAM_SET_ERROR, "there is no such parameter", name);
    } else if (strstr(entry->type, "readonly:")) {
        done = fail(error, AX_PARAMETER_PARAM_SET_ERROR, "it can only be read", name);
    } else {
        struct entry *before = find(parameter->pending, place.name);
        if (before)
            replace(&before->value, value);
        else
            append(&parameter->pending, place.name, value, "string");
        if (do_sync) {
            for (struct entry *change = parameter->pending; change; change = change->next)
                if ((entry = find(list, change->name)))
                    replace(&entry->value, change->value);
            free_entries(parameter->pending);
            parameter->pending = NULL;
            if (lock < 0 || !save(place.group, list))
                done = fail(error, AX_PARAMETER_FILE_WRITE_ERROR, strerror(errno), name);
        }
    }
    free_entries(list);
    if (lock >= 0)
        close(lock);
    return end(parameter, done);
}

gboolean ax_parameter_get(AXParameter *parameter, const gchar *name, gchar **value, GError **error)
{
    if (!begin(parameter, "ax_parameter_get", error))
        return FALSE;
    if (!value)
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "there is no place for its value", name));
    *value = value_of(parameter, name, true);
    if (!*value)
        return end(parameter, fail(error, AX_PARAMETER_PARAM_GET_ERROR, "there is no such parameter", name));
    return end(parameter, TRUE);
}

GList *ax_parameter_list(AXParameter *parameter, GError **error)
{
    bool found;
    if (!begin(parameter, "ax_parameter_list", error))
        return NULL;
    GList *names = NULL;
    struct entry *list = load_group(parameter->app, &found);
    for (struct entry *entry = list; entry; entry = entry->next)
        names = g_list_append(names, g_strdup(entry->name));
    if (!list)
        fail(error, AX_PARAMETER_PARAM_LIST_ERROR, "it has no parameters", parameter->app);
    free_entries(list);
    end(parameter, TRUE);
    return names;
}

/* The whole name of a parameter, as callbacks get it. */
static void full_name(AXParameter *parameter, const char *name, char *full)
{
    struct place place;
    full[0] = 0;
    if (!find_place(parameter, name, &place))
        return;
    if (place.system)
        snprintf(full, 3 * PATH_SIZE, "root.%s", place.name);
    else
        snprintf(full, 3 * PATH_SIZE, "root.%s.%s", place.group, place.name);
}

/* In the context's thread. */
static gboolean look(gint fd, GIOCondition condition, gpointer data)
{
    AXParameter *parameter = data;
    char name[3 * PATH_SIZE];
    (void)condition;
    service_drain(fd);
    pthread_mutex_lock(&parameter->mutex);
    /* Other threads wait for the mutex, so that no callback ends while it runs. */
    for (struct watch *watch = parameter->watches; watch && !parameter->freed; watch = watch->next) {
        gchar *now = value_of(parameter, watch->name, false);
        bool changed = now && watch->last && strcmp(now, watch->last) != 0;
        g_free(watch->last);
        watch->last = g_strdup(now);
        if (changed) {
            full_name(parameter, watch->name, name);
            in_callback = true;
            watch->callback(name, now, watch->data);
            in_callback = false;
        }
        g_free(now);
    }
    pthread_mutex_unlock(&parameter->mutex);
    return TRUE;
}

gboolean ax_parameter_register_callback(AXParameter *parameter, const gchar *name, AXParameterCallback callback,
                                        gpointer userdata, GError **error)
{
    struct place place;
    if (!begin(parameter, "ax_parameter_register_callback", error))
        return FALSE;
    if (!callback || !find_place(parameter, name, &place))
        return end(parameter, fail(error, AX_PARAMETER_INVALID_ARG_ERROR, "no name or no callback", name));
    if (parameter->inotify < 0) {
        int lock = service_lock(folder()); /* which makes the folder */
        parameter->inotify = service_watch(folder(), look, parameter, destroy, &parameter->source);
        if (lock >= 0)
            close(lock);
    }
    if (parameter->inotify < 0)
        return end(parameter, fail(error, AX_PARAMETER_DBUS_SETUP_ERROR, strerror(errno), name));
    struct watch *watch = g_malloc0(sizeof *watch);
    watch->name = g_strdup(name);
    watch->last = value_of(parameter, name, false);
    watch->callback = callback;
    watch->data = userdata;
    watch->next = parameter->watches;
    parameter->watches = watch;
    return end(parameter, TRUE);
}

void ax_parameter_unregister_callback(AXParameter *parameter, const gchar *name)
{
    char wanted[3 * PATH_SIZE], found[3 * PATH_SIZE];
    if (!name || !begin(parameter, "ax_parameter_unregister_callback", NULL))
        return;
    full_name(parameter, name, wanted);
    struct watch **at = &parameter->watches;
    while (*at) {
        struct watch *watch = *at;
        full_name(parameter, watch->name, found);
        if (strcasecmp(found, wanted) != 0) {
            at = &watch->next;
            continue;
        }
        *at = watch->next;
        g_free(watch->name);
        g_free(watch->last);
        g_free(watch);
    }
    end(parameter, TRUE);
}
