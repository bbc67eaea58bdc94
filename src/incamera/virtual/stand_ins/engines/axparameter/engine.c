/* The engine of parameters: what it does for a line of axparameter. Its files may be changed by others, too: by the host,
   by the camera's web server, and on a computer by other programs with an engine of their own. */
#include "store.h"

#include <axsdk/axparameter.h>
#include <poll.h>

#include "engine.h"
#include "parameter_line.h"

struct watched {
    struct watched *next;
    uint32_t number;
    char *name, *last; /* as the program wrote it; the value that was told last, or NULL */
};

struct session {
    struct line *line;
    char app[128];
    struct param_entry *staged; /* by their full names */
    struct watched *watched;
    unsigned staged_count, watched_count;
    int changes, inotify;
    bool blocked; /* the program does not read what is told of changes */
    struct words_out out;
};

static bool refuse(struct session *session, const struct line_message *request, int code, const char *why)
{
    return line_answer(session->line, request, code + 1, why, strlen(why), NULL, 0);
}

static bool answer(struct session *session, const struct line_message *request)
{
    if (!session->out.good)
        return refuse(session, request, AX_PARAMETER_PARAM_GET_ERROR, "it is too long");
    return line_answer(session->line, request, 0, session->out.data, session->out.size, NULL, 0);
}

static void begin_out(struct session *session)
{
    session->out.good = true;
    session->out.size = 0;
}

/* The value of a parameter, or NULL; and where it is. */
static char *value_of(const struct session *session, const char *name, struct param_place *place)
{
    if (!param_find_place(session->app, name, place))
        return NULL;
    struct param_entry *list = place->system ? param_load_system() : param_load(place->group);
    struct param_entry *entry = param_find(list, place->name);
    char *value = entry ? strdup(entry->value) : NULL;
    param_free(list);
    return value;
}

static bool answer_open(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *app = words_text(&words);
    if (session->app[0] || !words.good || !param_is_group(app) || strpbrk(app, "=\"\n\r ."))
        return refuse(session, request, AX_PARAMETER_INVALID_ARG_ERROR, "this is no name of an app");
    if (!param_import(app))
        return refuse(session, request, AX_PARAMETER_FILE_LOCK_ERROR, strerror(errno));
    strcpy(session->app, app); /* param_is_group has looked at its size */
    return line_answer(session->line, request, 0, NULL, 0, NULL, 0);
}

/* Write LIST if GOOD, and answer. LOCK was taken before the list was loaded. */
static bool save_and_answer(struct session *session, const struct line_message *request, int lock,
                            struct param_entry *list, bool good)
{
    errno = ENOMEM;
    good = good && lock >= 0 && param_save(session->app, list);
    int error = errno;
    param_free(list);
    if (lock >= 0)
        close(lock);
    if (!good)
        return refuse(session, request, AX_PARAMETER_FILE_WRITE_ERROR, strerror(error));
    return line_answer(session->line, request, 0, NULL, 0, NULL, 0);
}

static bool refuse_and_unlock(struct session *session, const struct line_message *request, int lock,
                              struct param_entry *list, int code, const char *why)
{
    param_free(list);
    if (lock >= 0)
        close(lock);
    return refuse(session, request, code, why);
}

static bool answer_add(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *name = words_text(&words), *value = words_text(&words), *type = words_text(&words);
    struct param_place place;
    if (!words.good || !param_find_place(session->app, name, &place) || !place.own)
        return refuse(session, request, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of an own parameter");
    int lock = param_lock();
    struct param_entry *list = param_load(session->app);
    if (param_find(list, place.name))
        return refuse_and_unlock(session, request, lock, list, AX_PARAMETER_PARAM_ADDED_ERROR, "it is there already");
    bool good = param_append(&list, place.name, value, type);
    return save_and_answer(session, request, lock, list, good);
}

static bool answer_remove(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *name = words_text(&words);
    struct param_place place;
    if (!words.good || !param_find_place(session->app, name, &place) || !place.own)
        return refuse(session, request, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of an own parameter");
    int lock = param_lock();
    struct param_entry *list = param_load(session->app), *entry = param_find(list, place.name);
    if (!entry)
        return refuse_and_unlock(session, request, lock, list, AX_PARAMETER_PARAM_EXIST_ERROR,
                                 "there is no such parameter");
    struct param_entry **at = &list;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    entry->next = NULL;
    param_free(entry);
    return save_and_answer(session, request, lock, list, true);
}

static bool answer_check(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *name = words_text(&words);
    struct param_place place;
    char full[3 * PATH_SIZE];
    if (!words.good || !param_find_place(session->app, name, &place))
        return refuse(session, request, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of a parameter");
    if (!place.own)
        return refuse(session, request, AX_PARAMETER_PARAM_SET_ERROR, "it is no parameter of this app");
    struct param_entry *list = param_load(place.group), *entry = param_find(list, place.name);
    const char *against = !entry                             ? "there is no such parameter"
                          : strstr(entry->type, "readonly:") ? "it can only be read"
                                                             : NULL;
    param_free(list);
    if (against)
        return refuse(session, request, AX_PARAMETER_PARAM_SET_ERROR, against);
    param_full_name(&place, full);
    begin_out(session);
    words_put_text(&session->out, full);
    return answer(session, request);
}

static void forget_staged(struct session *session)
{
    param_free(session->staged);
    session->staged = NULL;
    session->staged_count = 0;
}

static bool answer_stage(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *name = words_text(&words), *value = words_text(&words);
    struct param_place place;
    if (!words.good || !param_find_place(session->app, name, &place) || !place.own)
        return refuse(session, request, AX_PARAMETER_PARAM_PATH_ERROR, "this is no name of an own parameter");
    struct param_entry *before = param_find(session->staged, place.name);
    if (before ? !param_replace(&before->value, value)
               : session->staged_count == PARAM_MOST || !param_append(&session->staged, place.name, value, "string"))
        return refuse(session, request, AX_PARAMETER_FILE_WRITE_ERROR, "too much is set at once");
    session->staged_count += before == NULL;
    return line_answer(session->line, request, 0, NULL, 0, NULL, 0);
}

static bool answer_sync(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t again = words_number(&words) != session->staged_count || !words.good;
    if (again) {
        forget_staged(session);
        return line_answer(session->line, request, 0, &again, sizeof again, NULL, 0);
    }
    int lock = param_lock();
    bool good = true;
    struct param_entry *list = param_load(session->app);
    for (struct param_entry *change = session->staged; change; change = change->next) {
        struct param_entry *entry = param_find(list, change->name);
        /* One that was removed meanwhile stays away. */
        if (entry && !strstr(entry->type, "readonly:"))
            good = param_replace(&entry->value, change->value) && good;
    }
    forget_staged(session);
    return save_and_answer(session, request, lock, list, good);
}

static bool answer_get(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    const char *name = words_text(&words);
    struct param_place place;
    char full[3 * PATH_SIZE], *value = words.good ? value_of(session, name, &place) : NULL;
    if (!value)
        return refuse(session, request, AX_PARAMETER_PARAM_GET_ERROR, "there is no such parameter");
    param_full_name(&place, full);
    begin_out(session);
    words_put_text(&session->out, full);
    words_put_text(&session->out, value);
    free(value);
    return answer(session, request);
}

static bool answer_list(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t first = words_number(&words), more = 0, number = 0;
    struct param_entry *list = param_load(session->app);
    begin_out(session);
    words_put_number(&session->out, 0);
    for (struct param_entry *entry = list; entry && !more; entry = entry->next, number++) {
        if (number < first)
            continue;
        more = strlen(entry->name) + 1 > LINE_BYTES - session->out.size;
        /* A line of a file that is longer than a message is no name. */
        if (!more)
            words_put_text(&session->out, entry->name);
        else if (number == first)
            more = 0;
    }
    param_free(list);
    memcpy(session->out.data, &more, sizeof more);
    return answer(session, request);
}

/* Changes */

static bool answer_changes(struct session *session, const struct line_message *request)
{
    int ends[2], lock = param_lock(); /* which makes the folder */
    if (lock >= 0)
        close(lock);
    if (session->inotify < 0) {
        int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (fd >= 0 && inotify_add_watch(fd, param_folder(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0) {
            close(fd);
            fd = -1;
        }
        session->inotify = fd;
    }
    if (session->inotify < 0 || session->changes >= 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return refuse(session, request, AX_PARAMETER_DBUS_SETUP_ERROR, "changes cannot be told");
    session->changes = ends[0];
    bool good = line_answer(session->line, request, 0, NULL, 0, &ends[1], 1);
    close(ends[1]);
    return good;
}

static void free_watched(struct watched *watched)
{
    free(watched->name);
    free(watched->last);
    free(watched);
}

static bool answer_watch(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words);
    const char *name = words_text(&words);
    uint32_t known = words_number(&words);
    const char *last = words_text(&words);
    struct param_place place;
    char full[3 * PATH_SIZE];
    struct watched *watched = NULL;
    if (!words.good || !param_find_place(session->app, name, &place))
        return refuse(session, request, AX_PARAMETER_INVALID_ARG_ERROR, "no name or no callback");
    if (session->watched_count < PARAM_MOST)
        watched = calloc(1, sizeof *watched);
    if (watched)
        watched->name = strdup(name);
    if (!watched || !watched->name) {
        free(watched);
        return refuse(session, request, AX_PARAMETER_DBUS_SETUP_ERROR, "too much is watched");
    }
    char *now = value_of(session, name, &place);
    watched->number = number;
    watched->last = known ? strdup(last) : now ? strdup(now) : NULL;
    watched->next = session->watched;
    session->watched = watched;
    session->watched_count++;
    session->blocked = session->blocked || known; /* look at once whether it has changed */
    param_full_name(&place, full);
    begin_out(session);
    words_put_text(&session->out, full);
    words_put_number(&session->out, now != NULL);
    words_put_text(&session->out, now ? now : "");
    free(now);
    return answer(session, request);
}

static bool answer_unwatch(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words);
    for (struct watched **at = &session->watched; words.good && *at;) {
        struct watched *watched = *at;
        if (watched->number != number) {
            at = &watched->next;
            continue;
        }
        *at = watched->next;
        session->watched_count--;
        free_watched(watched);
    }
    return line_answer(session->line, request, 0, NULL, 0, NULL, 0);
}

/* Tell of what has changed. The rest comes when the program reads again: the last value of each counts. */
static void tell_changes(struct session *session)
{
    session->blocked = false;
    for (struct watched *watched = session->watched; watched && session->changes >= 0; watched = watched->next) {
        struct param_place place;
        char full[3 * PATH_SIZE], *now = value_of(session, watched->name, &place);
        if (now && watched->last && strcmp(now, watched->last) != 0) {
            param_full_name(&place, full);
            begin_out(session);
            words_put_number(&session->out, watched->number);
            words_put_text(&session->out, full);
            words_put_text(&session->out, now);
            if (session->out.good && !line_send(session->changes, MSG_DONTWAIT, PARAM_CHANGED, 0, session->out.data,
                                                session->out.size, NULL, 0)) {
                free(now);
                session->blocked = errno == EAGAIN || errno == EWOULDBLOCK;
                if (session->blocked)
                    return;
                close(session->changes);
                session->changes = -1;
                return;
            }
        }
        free(watched->last);
        watched->last = now;
    }
}

/* Wait for a request, and tell of changes meanwhile. False when the line has ended. */
static bool await_request(struct session *session)
{
    for (;;) {
        struct pollfd polled[] = {
            {.fd = session->line->fd, .events = POLLIN},
            {.fd = session->inotify, .events = POLLIN},
            {.fd = session->blocked ? session->changes : -1, .events = POLLOUT},
        };
        if (poll(polled, 3, -1) < 0 && errno != EINTR)
            return false;
        if (polled[1].revents)
            service_drain(session->inotify);
        if (polled[1].revents || polled[2].revents)
            tell_changes(session);
        if (polled[0].revents)
            return true;
    }
}

static bool answer_parameters(struct session *session, const struct line_message *request)
{
    if (request->kind == PARAM_OPEN)
        return answer_open(session, request);
    if (!session->app[0])
        return false;
    switch (request->kind) {
    case PARAM_ADD: return answer_add(session, request);
    case PARAM_REMOVE: return answer_remove(session, request);
    case PARAM_CHECK: return answer_check(session, request);
    case PARAM_STAGE: return answer_stage(session, request);
    case PARAM_SYNC: return answer_sync(session, request);
    case PARAM_GET: return answer_get(session, request);
    case PARAM_LIST: return answer_list(session, request);
    case PARAM_CHANGES: return answer_changes(session, request);
    case PARAM_WATCH: return answer_watch(session, request);
    case PARAM_UNWATCH: return answer_unwatch(session, request);
    default: return false;
    }
}

engine_function engine_axparameter;

void engine_axparameter(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    struct session *session = calloc(1, sizeof *session);
    if (request && session) {
        session->line = line;
        session->changes = session->inotify = -1;
        while (await_request(session) && line_next(line, request) && answer_parameters(session, request))
            ;
        forget_staged(session);
        while (session->watched) {
            struct watched *watched = session->watched;
            session->watched = watched->next;
            free_watched(watched);
        }
        if (session->changes >= 0)
            close(session->changes);
        if (session->inotify >= 0)
            close(session->inotify);
    }
    free(session);
    if (request)
        line_clear(request);
    free(request);
}
