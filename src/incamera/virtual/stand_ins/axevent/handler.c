/* Declarations and subscriptions. */
#include "objects.h"

#include <dirent.h>

#define USUAL_FOLDER "/run/incamera-events"
#define MAXIMUM_LOG (256 * 1024)
#define MAXIMUM_OLD_LOGS 8

struct waiting {
    struct waiting *next;
    AXEvent *event;
};

struct subscription {
    struct subscription *next;
    guint number;
    AXEventKeyValueSet *filter;
    AXSubscriptionCallback callback;
    gpointer data;
    struct waiting *waiting; /* the states when it began */
    int log;
    off_t offset;
};

struct declaration {
    struct declaration *next;
    guint number;
    char name[64];
    int file; /* which holds the lock */
    bool stateless, complete;
    AXEventKeyValueSet *set;
    AXDeclarationCompleteCallback callback;
    gpointer data;
};

struct _AXEventHandler {
    pthread_mutex_t mutex;
    unsigned owners; /* the program and the sources */
    bool freed;
    char folder[PATH_SIZE];
    int inotify;
    guint source;
    struct subscription *subscriptions;
    struct declaration *declarations;
};

/* What a source in the main context is about. */
struct later {
    AXEventHandler *handler;
    guint number;
    AXUnsubscribeCompleteCallback callback;
    gpointer data;
};

static pthread_mutex_t numbers = PTHREAD_MUTEX_INITIALIZER;

static guint next_number(void)
{
    static guint last;
    pthread_mutex_lock(&numbers);
    guint number = ++last;
    pthread_mutex_unlock(&numbers);
    return number;
}

static void leave(AXEventHandler *handler)
{
    pthread_mutex_lock(&handler->mutex);
    bool last = --handler->owners == 0;
    pthread_mutex_unlock(&handler->mutex);
    if (!last)
        return;
    if (handler->inotify >= 0)
        close(handler->inotify);
    pthread_mutex_destroy(&handler->mutex);
    g_free(handler);
}

static void free_later(gpointer data)
{
    struct later *later = data;
    leave(later->handler);
    g_free(later);
}

/* Call FUNCTION in the main context. The handler's mutex is held. */
static void call_later(AXEventHandler *handler, GSourceFunc function, struct later values)
{
    struct later *later = g_malloc0(sizeof *later);
    *later = values;
    later->handler = handler;
    handler->owners++;
    g_timeout_add_full(G_PRIORITY_DEFAULT, 0, function, later, free_later);
}

static void path_of(const AXEventHandler *handler, const char *name, char *path)
{
    snprintf(path, 2 * PATH_SIZE, "%s/%s", handler->folder, name);
}

/* Lines */

static void render_line(struct text *text, const char *name, bool stateless, const AXEventKeyValueSet *set,
                        gint64 microseconds)
{
    char start[128];
    snprintf(start, sizeof start, "%lld\t%s\t%s", (long long)microseconds, name, stateless ? "pulse" : "state");
    text_add_string(text, start);
    for (const struct pair *pair = set->first; pair; pair = pair->next)
        write_pair(text, pair);
    text_add_string(text, "\n");
}

/* The event of a line, or NULL. LINE is written to. */
static AXEvent *parse_line(char *line, bool only_states)
{
    char *rest = NULL, *time = strtok_r(line, "\t\n", &rest), *name = time ? strtok_r(NULL, "\t\n", &rest) : NULL;
    char *kind = name ? strtok_r(NULL, "\t\n", &rest) : NULL;
    if (!kind || (only_states && strcmp(kind, "state") != 0))
        return NULL;
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    for (char *part; (part = strtok_r(NULL, "\t\n", &rest));) {
        struct pair *pair = read_pair(part);
        if (pair)
            put_pair(set, pair);
    }
    AXEvent *event = make_event(set, strtoll(time, NULL, 10));
    ax_event_key_value_set_free(set);
    return event;
}

static bool is_wanted(const struct subscription *subscription, const AXEvent *event)
{
    for (const struct pair *wanted = subscription->filter->first; wanted; wanted = wanted->next) {
        if (!wanted->value.exists)
            continue;
        const struct pair *pair = find_pair(event->set, wanted->name.key, wanted->name.name_space);
        if (!pair || !same_value(pair, wanted))
            return false;
    }
    return true;
}

static void old_log(const AXEventHandler *handler, unsigned number, char *path)
{
    snprintf(path, 2 * PATH_SIZE, "%s/log.%u", handler->folder, number);
}

/* Begin a new log. The last line of the old one is its number, and tells its readers to go on with the next. */
static void begin_log(const AXEventHandler *handler, const char *path)
{
    char old[2 * PATH_SIZE], line[64];
    unsigned number = 0;
    DIR *directory = opendir(handler->folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        unsigned found;
        if (sscanf(entry->d_name, "log.%u", &found) == 1 && found > number)
            number = found;
    }
    if (directory)
        closedir(directory);
    number++;
    int size = snprintf(line, sizeof line, "next\t%u\n", number);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd >= 0)
        service_write(fd, line, (size_t)size);
    if (fd >= 0)
        close(fd);
    old_log(handler, number, old);
    rename(path, old);
    if (number > MAXIMUM_OLD_LOGS) {
        old_log(handler, number - MAXIMUM_OLD_LOGS, old);
        unlink(old);
    }
}

/* Write an event for all programs. The folder's lock is held. */
static bool log_line(const AXEventHandler *handler, const struct text *line)
{
    char path[2 * PATH_SIZE];
    struct stat status;
    path_of(handler, "log", path);
    if (stat(path, &status) == 0 && status.st_size > MAXIMUM_LOG)
        begin_log(handler, path);
    int fd = service_open(path, O_WRONLY | O_APPEND);
    bool done = fd >= 0 && service_write(fd, line->data, line->size);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Declarations */

static bool write_state(struct declaration *declaration, const struct text *line)
{
    return lseek(declaration->file, 0, SEEK_SET) == 0 && service_write(declaration->file, line->data, line->size) &&
           ftruncate(declaration->file, (off_t)line->size) == 0;
}

static void free_declaration(const AXEventHandler *handler, struct declaration *declaration)
{
    char name[128], path[2 * PATH_SIZE];
    int lock = service_lock(handler->folder);
    snprintf(name, sizeof name, "declared/%s", declaration->name);
    path_of(handler, name, path);
    unlink(path);
    close(declaration->file);
    if (lock >= 0)
        close(lock);
    ax_event_key_value_set_free(declaration->set);
    g_free(declaration);
}

static gboolean complete(gpointer data)
{
    struct later *later = data;
    AXEventHandler *handler = later->handler;
    AXDeclarationCompleteCallback callback = NULL;
    gpointer user_data = NULL;
    pthread_mutex_lock(&handler->mutex);
    for (struct declaration *declaration = handler->declarations; declaration; declaration = declaration->next)
        if (declaration->number == later->number) {
            declaration->complete = true;
            callback = declaration->callback;
            user_data = declaration->data;
        }
    pthread_mutex_unlock(&handler->mutex);
    if (callback)
        callback(later->number, user_data);
    return FALSE;
}

static bool has_topic(const AXEventKeyValueSet *set)
{
    for (const struct pair *pair = set->first; pair; pair = pair->next)
        if (strcmp(pair->name.key, "topic0") == 0 && pair->value.exists && pair->value.type == AX_VALUE_TYPE_STRING)
            return true;
    return false;
}

/* Make the file of a declaration, and hold its lock. */
static bool open_declaration(const AXEventHandler *handler, struct declaration *declaration)
{
    char name[128], path[2 * PATH_SIZE];
    struct text line = {0};
    path_of(handler, "declared", path);
    snprintf(declaration->name, sizeof declaration->name, "%d.%u", (int)getpid(), declaration->number);
    snprintf(name, sizeof name, "declared/%s", declaration->name);
    int lock = service_lock(handler->folder);
    bool done = lock >= 0 && service_make_folder(path);
    path_of(handler, name, path);
    declaration->file = done ? open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : -1;
    if (declaration->file >= 0) {
        flock(declaration->file, LOCK_EX | LOCK_NB);
        render_line(&line, declaration->name, declaration->stateless, declaration->set, now());
        /* Who waits for a state gets it when it is declared. */
        done = write_state(declaration, &line) && (declaration->stateless || log_line(handler, &line));
        g_free(line.data);
    }
    if (lock >= 0)
        close(lock);
    return done && declaration->file >= 0;
}

gboolean ax_event_handler_declare2(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, gboolean stateless,
                                   gchar *property_name, guint *declaration, AXDeclarationCompleteCallback callback,
                                   gpointer user_data, GError **error)
{
    if (!event_handler || !key_value_set || !declaration)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, no keys, or no place for the declaration");
    if (!has_topic(key_value_set))
        return fail(error, AX_EVENT_ERROR_DECLARATION, "an event needs the key topic0");
    if (property_name && (stateless || !find_pair(key_value_set, property_name, NULL)))
        return fail(error, AX_EVENT_ERROR_DECLARATION, "the property is no key of a state");
    struct declaration *own = g_malloc0(sizeof *own);
    own->number = next_number();
    own->stateless = stateless;
    own->set = copy_set(key_value_set);
    own->callback = callback;
    own->data = user_data;
    if (!open_declaration(event_handler, own)) {
        if (own->file >= 0)
            close(own->file);
        ax_event_key_value_set_free(own->set);
        g_free(own);
        return fail(error, AX_EVENT_ERROR_DECLARATION, strerror(errno));
    }
    pthread_mutex_lock(&event_handler->mutex);
    own->next = event_handler->declarations;
    event_handler->declarations = own;
    *declaration = own->number;
    call_later(event_handler, complete, (struct later){.number = own->number});
    pthread_mutex_unlock(&event_handler->mutex);
    return TRUE;
}

gboolean ax_event_handler_declare(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, gboolean stateless,
                                  guint *declaration, AXDeclarationCompleteCallback callback, gpointer user_data,
                                  GError **error)
{
    return ax_event_handler_declare2(event_handler, key_value_set, stateless, NULL, declaration, callback, user_data,
                                     error);
}

gboolean ax_event_handler_declare_from_template(AXEventHandler *event_handler, const char *event_template,
                                                AXEventKeyValueSet *key_value_set, guint *declaration,
                                                AXDeclarationCompleteCallback callback, gpointer user_data,
                                                GError **error)
{
    (void)event_handler, (void)event_template, (void)key_value_set, (void)declaration, (void)callback, (void)user_data;
    return fail(error, AX_EVENT_ERROR_DECLARATION, "there are no templates");
}

gboolean ax_event_handler_undeclare(AXEventHandler *event_handler, guint declaration, GError **error)
{
    struct declaration *found = NULL;
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->mutex);
    for (struct declaration **at = &event_handler->declarations; *at; at = &(*at)->next)
        if ((*at)->number == declaration) {
            found = *at;
            *at = found->next;
            break;
        }
    pthread_mutex_unlock(&event_handler->mutex);
    if (!found)
        return fail(error, AX_EVENT_ERROR_UNDECLARE, "there is no such declaration");
    free_declaration(event_handler, found);
    return TRUE;
}

/* The keys of an event as all programs get it: those of its declaration, with the values that are sent. NULL: an error. */
static AXEventKeyValueSet *merge(const struct declaration *declaration, const AXEventKeyValueSet *sent, GError **error)
{
    char message[256];
    bool marked = false;
    for (const struct pair *pair = declaration->set->first; pair; pair = pair->next)
        marked = marked || pair->value.is_data;
    AXEventKeyValueSet *set = copy_set(declaration->set);
    for (struct pair *pair = set->first; pair; pair = pair->next) {
        const struct pair *given = find_pair(sent, pair->name.key, pair->name.name_space);
        const char *against = NULL;
        if (given && given->value.type != pair->value.type)
            against = "has another type than in the declaration";
        else if (given ? !given->value.exists : !pair->value.exists || (marked && pair->value.is_data))
            against = "is missing";
        if (against) {
            snprintf(message, sizeof message, "the key %.64s %s", pair->name.key, against);
            fail(error, given && given->value.type != pair->value.type ? AX_EVENT_ERROR_INCOMPATIBLE_VALUE : AX_EVENT_ERROR_SEND,
                 message);
            ax_event_key_value_set_free(set);
            return NULL;
        }
        if (!given)
            continue;
        struct pair *copy = copy_pair(given);
        gchar *text = pair->value.text;
        AXEventElementItem *element = pair->value.element;
        pair->value.integer = copy->value.integer;
        pair->value.boolean = copy->value.boolean;
        pair->value.real = copy->value.real;
        pair->value.exists = true;
        pair->value.text = copy->value.text;
        pair->value.element = copy->value.element;
        copy->value.text = text;
        copy->value.element = element;
        free_pair(copy);
    }
    return set;
}

gboolean ax_event_handler_send_event(AXEventHandler *event_handler, guint declaration, AXEvent *event, GError **error)
{
    struct declaration *found = NULL;
    struct text line = {0};
    gboolean done = FALSE;
    if (!event_handler || !event)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, or no event");
    pthread_mutex_lock(&event_handler->mutex);
    for (struct declaration *one = event_handler->declarations; one; one = one->next)
        if (one->number == declaration)
            found = one;
    AXEventKeyValueSet *set = found && found->complete ? merge(found, event->set, error) : NULL;
    if (!found || !found->complete) {
        fail(error, AX_EVENT_ERROR_SEND, found ? "the declaration is not complete" : "there is no such declaration");
    } else if (set) {
        int lock = service_lock(event_handler->folder);
        render_line(&line, found->name, found->stateless, set, event->microseconds);
        done = lock >= 0 && log_line(event_handler, &line) && (found->stateless || write_state(found, &line));
        if (!done)
            fail(error, AX_EVENT_ERROR_SEND, strerror(errno));
        if (lock >= 0)
            close(lock);
        g_free(line.data);
        if (!found->stateless && done) {
            ax_event_key_value_set_free(found->set);
            found->set = copy_set(set);
        }
    }
    ax_event_key_value_set_free(set);
    pthread_mutex_unlock(&event_handler->mutex);
    return done;
}

/* Subscriptions */

static void free_subscription(struct subscription *subscription)
{
    while (subscription->waiting) {
        struct waiting *waiting = subscription->waiting;
        subscription->waiting = waiting->next;
        ax_event_free(waiting->event);
        g_free(waiting);
    }
    if (subscription->log >= 0)
        close(subscription->log);
    ax_event_key_value_set_free(subscription->filter);
    g_free(subscription);
}

/* The next whole line of the log, or NULL. Free it with g_free. */
static char *read_line(struct subscription *subscription)
{
    struct text line = {0};
    char part[1024], *end = NULL;
    ssize_t count;
    while (!end &&
           (count = pread(subscription->log, part, sizeof part, subscription->offset + (off_t)line.size)) > 0) {
        end = memchr(part, '\n', (size_t)count);
        text_add(&line, part, end ? (size_t)(end - part) + 1 : (size_t)count);
    }
    if (end) {
        subscription->offset += (off_t)line.size;
        return line.data;
    }
    g_free(line.data);
    return NULL;
}

/* Go on with the log after the old one of this NUMBER. */
static void open_next_log(const AXEventHandler *handler, struct subscription *subscription, unsigned number)
{
    char path[2 * PATH_SIZE];
    int lock = service_lock(handler->folder);
    close(subscription->log);
    old_log(handler, number + 1, path);
    subscription->log = open(path, O_RDONLY | O_CLOEXEC);
    if (subscription->log < 0) {
        path_of(handler, "log", path);
        subscription->log = service_open(path, O_RDONLY);
    }
    subscription->offset = 0;
    if (lock >= 0)
        close(lock);
}

/* The next event in the log that SUBSCRIPTION wants, or NULL. */
static AXEvent *read_log(const AXEventHandler *handler, struct subscription *subscription)
{
    for (char *line; (line = read_line(subscription));) {
        AXEvent *event = NULL;
        if (strncmp(line, "next\t", 5) == 0)
            open_next_log(handler, subscription, (unsigned)strtoul(line + 5, NULL, 10));
        else
            event = parse_line(line, false);
        g_free(line);
        if (event && is_wanted(subscription, event))
            return event;
        ax_event_free(event);
    }
    return NULL;
}

static struct subscription *find_subscription(AXEventHandler *handler, guint number)
{
    struct subscription *subscription = handler->subscriptions;
    while (subscription && subscription->number != number)
        subscription = subscription->next;
    return subscription;
}

/* Give each subscription what is there for it. Callbacks may unsubscribe, and free the handler. */
static void deliver(AXEventHandler *handler)
{
    pthread_mutex_lock(&handler->mutex);
    handler->owners++;
    size_t count = 0;
    for (struct subscription *one = handler->subscriptions; one; one = one->next)
        count++;
    guint *numbers_now = g_malloc0((count + 1) * sizeof *numbers_now);
    count = 0;
    for (struct subscription *one = handler->subscriptions; one; one = one->next)
        numbers_now[count++] = one->number;
    for (size_t n = count; n-- > 0;) { /* the oldest first */
        struct subscription *subscription;
        while (!handler->freed && (subscription = find_subscription(handler, numbers_now[n]))) {
            struct waiting *waiting = subscription->waiting;
            AXEvent *event;
            if (waiting) {
                subscription->waiting = waiting->next;
                event = waiting->event;
                g_free(waiting);
            } else {
                event = read_log(handler, subscription);
            }
            if (!event)
                break;
            AXSubscriptionCallback callback = subscription->callback;
            gpointer data = subscription->data;
            pthread_mutex_unlock(&handler->mutex);
            callback(numbers_now[n], event, data); /* which frees the event */
            pthread_mutex_lock(&handler->mutex);
        }
    }
    g_free(numbers_now);
    pthread_mutex_unlock(&handler->mutex);
    leave(handler);
}

static gboolean log_changed(gint fd, GIOCondition condition, gpointer data)
{
    (void)condition;
    service_drain(fd);
    deliver(data);
    return TRUE;
}

static gboolean begin_subscription(gpointer data)
{
    struct later *later = data;
    deliver(later->handler);
    return FALSE;
}

static void leave_handler(gpointer data)
{
    leave(data);
}

/* Whether the program that made the file of a declaration still runs. */
static bool is_alive(const char *name, const char *path)
{
    if (strncmp(name, "camera", 6) == 0)
        return true;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
    close(fd);
    return alive;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Collect the states that SUBSCRIPTION wants. The folder's lock is held. */
static void collect_states(const AXEventHandler *handler, struct subscription *subscription)
{
    char folder[2 * PATH_SIZE], path[3 * PATH_SIZE];
    char *names[256];
    size_t count = 0;
    struct waiting **last = &subscription->waiting;
    path_of(handler, "declared", folder);
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && count < sizeof names / sizeof *names && (entry = readdir(directory));)
        if (entry->d_name[0] != '.')
            names[count++] = g_strdup(entry->d_name);
    if (directory)
        closedir(directory);
    qsort(names, count, sizeof *names, compare_names);
    for (size_t n = 0; n < count; n++) {
        snprintf(path, sizeof path, "%s/%.200s", folder, names[n]);
        if (!is_alive(names[n], path))
            unlink(path);
        char *line = service_read(path);
        AXEvent *event = line ? parse_line(line, true) : NULL;
        if (event && is_wanted(subscription, event)) {
            *last = g_malloc0(sizeof **last);
            (*last)->event = event;
            last = &(*last)->next;
        } else {
            ax_event_free(event);
        }
        g_free(line);
        g_free(names[n]);
    }
}

gboolean ax_event_handler_subscribe(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set,
                                    guint *subscription, AXSubscriptionCallback callback, gpointer user_data,
                                    GError **error)
{
    char path[2 * PATH_SIZE];
    if (!event_handler || !key_value_set || !subscription || !callback)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, keys, callback or place for the subscription");
    struct subscription *own = g_malloc0(sizeof *own);
    own->number = next_number();
    own->filter = copy_set(key_value_set);
    own->callback = callback;
    own->data = user_data;
    pthread_mutex_lock(&event_handler->mutex);
    int lock = service_lock(event_handler->folder);
    if (lock >= 0 && event_handler->inotify < 0) {
        event_handler->owners++;
        event_handler->inotify =
            service_watch(event_handler->folder, log_changed, event_handler, leave_handler, &event_handler->source);
        if (event_handler->inotify < 0)
            event_handler->owners--;
    }
    if (lock < 0 || event_handler->inotify < 0) {
        fail(error, AX_EVENT_ERROR_SUBSCRIPTION, strerror(errno));
        own->log = -1;
        free_subscription(own);
        if (lock >= 0)
            close(lock);
        pthread_mutex_unlock(&event_handler->mutex);
        return FALSE;
    }
    path_of(event_handler, "log", path);
    own->log = service_open(path, O_RDONLY);
    own->offset = own->log >= 0 ? lseek(own->log, 0, SEEK_END) : 0;
    collect_states(event_handler, own);
    close(lock);
    own->next = event_handler->subscriptions;
    event_handler->subscriptions = own;
    *subscription = own->number;
    call_later(event_handler, begin_subscription, (struct later){.number = own->number});
    pthread_mutex_unlock(&event_handler->mutex);
    return TRUE;
}

static bool remove_subscription(AXEventHandler *handler, guint number)
{
    for (struct subscription **at = &handler->subscriptions; *at; at = &(*at)->next)
        if ((*at)->number == number) {
            struct subscription *found = *at;
            *at = found->next;
            free_subscription(found);
            return true;
        }
    return false;
}

gboolean ax_event_handler_unsubscribe(AXEventHandler *event_handler, guint subscription, GError **error)
{
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->mutex);
    bool found = remove_subscription(event_handler, subscription);
    pthread_mutex_unlock(&event_handler->mutex);
    return found || fail(error, AX_EVENT_ERROR_UNSUBSCRIBE, "there is no such subscription");
}

static gboolean tell_end(gpointer data)
{
    struct later *later = data;
    later->callback(later->number, later->data, NULL);
    return FALSE;
}

gboolean ax_event_handler_unsubscribe_and_notify(AXEventHandler *event_handler, guint subscription,
                                                 AXUnsubscribeCompleteCallback callback, gpointer user_data,
                                                 GError **error)
{
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->mutex);
    bool found = remove_subscription(event_handler, subscription);
    if (found && callback)
        call_later(event_handler, tell_end,
                   (struct later){.number = subscription, .callback = callback, .data = user_data});
    pthread_mutex_unlock(&event_handler->mutex);
    return found || fail(error, AX_EVENT_ERROR_UNSUBSCRIBE, "there is no such subscription");
}

AXEventHandler *ax_event_handler_new(void)
{
    AXEventHandler *handler = g_malloc0(sizeof *handler);
    pthread_mutex_init(&handler->mutex, NULL);
    snprintf(handler->folder, sizeof handler->folder, "%s", service_folder("INCAMERA_EVENTS", USUAL_FOLDER));
    handler->owners = 1;
    handler->inotify = -1;
    return handler;
}

void ax_event_handler_free(AXEventHandler *event_handler)
{
    if (!event_handler)
        return;
    pthread_mutex_lock(&event_handler->mutex);
    event_handler->freed = true;
    guint source = event_handler->source;
    event_handler->source = 0;
    struct declaration *declarations = event_handler->declarations;
    event_handler->declarations = NULL;
    while (event_handler->subscriptions)
        remove_subscription(event_handler, event_handler->subscriptions->number);
    pthread_mutex_unlock(&event_handler->mutex);
    while (declarations) {
        struct declaration *next = declarations->next;
        free_declaration(event_handler, declarations);
        declarations = next;
    }
    if (source)
        g_source_remove(source);
    leave(event_handler);
}
