/* The engine of events: what it does for a line of axevent. */
#include "objects.h"

#include <poll.h>

static bool done(struct session *session, const struct line_message *request)
{
    return line_answer(session->line, request, 0, NULL, 0, NULL, 0);
}

static bool refuse(struct session *session, const struct line_message *request, const char *why)
{
    return line_answer(session->line, request, 1, why, strlen(why), NULL, 0);
}

/* Declarations */

static void end_declaration(struct declaration *declaration)
{
    struct event_files files;
    if (event_open_files(&files)) {
        unlinkat(files.declared, declaration->name, 0);
        event_close_files(&files);
    }
    close(declaration->file);
    free(declaration);
}

static struct declaration *find_declaration(struct session *session, uint32_t number)
{
    struct declaration *found = session->declarations;
    while (found && found->number != number)
        found = found->next;
    return found;
}

/* Write the line of an event into the session's text. Its size; 0: it is none, or too long. */
static size_t render(struct session *session, const struct declaration *declaration, uint64_t time, const char *keys)
{
    if (strlen(keys) > EVENT_LONGEST || strpbrk(keys, "\n\r") || (*keys && *keys != '\t') || time > INT64_MAX)
        return 0;
    int size = snprintf(session->text, sizeof session->text, "%llu\t%s\t%s%s\n", (unsigned long long)time,
                        declaration->name, declaration->stateless ? "pulse" : "state", keys);
    return size > 0 && (size_t)size < sizeof session->text ? (size_t)size : 0;
}

static uint64_t take_time(struct words *words)
{
    uint64_t high = words_number(words);
    return high << 32 | words_number(words);
}

static uint32_t next_name(void)
{
    static uint32_t last;
    return __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

static bool answer_declare(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words), stateless = words_number(&words);
    uint64_t time = take_time(&words);
    const char *keys = words_text(&words);
    struct event_files files;
    if (!words.good || find_declaration(session, number) || session->declaration_count == EVENT_MOST)
        return refuse(session, request, "too many events, or a number that is taken");
    struct declaration *own = calloc(1, sizeof *own);
    if (!own)
        return refuse(session, request, strerror(errno));
    *own = (struct declaration){.number = number, .stateless = stateless != 0, .file = -1};
    snprintf(own->name, sizeof own->name, "%d.%u", (int)session->line->peer.pid, next_name());
    size_t size = render(session, own, time, keys);
    bool good = size && event_open_files(&files);
    if (!good) {
        free(own);
        return refuse(session, request, size ? strerror(errno) : "these are no keys, or they are too long");
    }
    unlinkat(files.declared, own->name, 0); /* left by a program with the same number */
    own->file = openat(files.declared, own->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    good = own->file >= 0 && flock(own->file, LOCK_EX | LOCK_NB) == 0 &&
           event_write_state(own->file, session->text, size) &&
           /* Who waits for a state gets it when it is declared. */
           (own->stateless || event_log(&files, session->text, size));
    int error = errno;
    event_close_files(&files);
    if (!good) {
        if (own->file >= 0)
            end_declaration(own);
        else
            free(own);
        return refuse(session, request, strerror(error));
    }
    own->next = session->declarations;
    session->declarations = own;
    session->declaration_count++;
    return done(session, request);
}

static bool answer_undeclare(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words);
    for (struct declaration **at = &session->declarations; words.good && *at; at = &(*at)->next)
        if ((*at)->number == number) {
            struct declaration *found = *at;
            *at = found->next;
            session->declaration_count--;
            end_declaration(found);
            return done(session, request);
        }
    return refuse(session, request, "there is no such declaration");
}

static bool answer_send(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    struct declaration *declaration = find_declaration(session, words_number(&words));
    uint64_t time = take_time(&words);
    const char *keys = words_text(&words);
    struct event_files files;
    if (!words.good || !declaration)
        return refuse(session, request, "there is no such declaration");
    size_t size = render(session, declaration, time, keys);
    if (!size)
        return refuse(session, request, "these are no keys, or they are too long");
    if (!event_open_files(&files))
        return refuse(session, request, strerror(errno));
    bool good = event_log(&files, session->text, size) &&
                (declaration->stateless || event_write_state(declaration->file, session->text, size));
    int error = errno;
    event_close_files(&files);
    return good ? done(session, request) : refuse(session, request, strerror(error));
}

/* Subscriptions */

static void free_subscription(struct subscription *subscription)
{
    while (subscription->waiting) {
        struct waiting *waiting = subscription->waiting;
        subscription->waiting = waiting->next;
        free(waiting);
    }
    if (subscription->log >= 0)
        close(subscription->log);
    free(subscription->filter);
    free(subscription);
}

static bool answer_listen(struct session *session, const struct line_message *request)
{
    struct event_files files;
    int ends[2];
    if (session->events >= 0 || !event_open_files(&files))
        return refuse(session, request, session->events >= 0 ? "it listens already" : strerror(errno));
    event_collect(&files, NULL, session->text); /* removes what others have left */
    event_close_files(&files);
    if (session->inotify < 0)
        session->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (session->inotify < 0 ||
        inotify_add_watch(session->inotify, event_folder(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return refuse(session, request, strerror(errno));
    session->events = ends[0];
    bool good = line_answer(session->line, request, 0, NULL, 0, &ends[1], 1);
    close(ends[1]);
    return good;
}

static bool answer_subscribe(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words);
    const char *filter = words_text(&words);
    struct event_files files;
    if (!words.good || session->events < 0 || session->subscription_count == EVENT_MOST)
        return refuse(session, request, "too many subscriptions, or nobody listens");
    struct subscription *own = calloc(1, sizeof *own);
    if (own) {
        own->number = number;
        own->log = -1;
        own->filter = strdup(filter);
    }
    if (!own || !own->filter || !event_open_files(&files)) {
        int error = errno;
        if (own)
            free_subscription(own);
        return refuse(session, request, strerror(error));
    }
    own->log = event_open_log(&files, O_RDONLY);
    own->offset = own->log >= 0 ? lseek(own->log, 0, SEEK_END) : 0;
    event_collect(&files, own, session->text);
    event_close_files(&files);
    own->next = session->subscriptions;
    session->subscriptions = own;
    session->subscription_count++;
    session->waits = true;
    return done(session, request);
}

static bool answer_unsubscribe(struct session *session, const struct line_message *request)
{
    struct words words = words_of(request);
    uint32_t number = words_number(&words);
    for (struct subscription **at = &session->subscriptions; words.good && *at; at = &(*at)->next)
        if ((*at)->number == number) {
            struct subscription *found = *at;
            *at = found->next;
            session->subscription_count--;
            free_subscription(found);
            return done(session, request);
        }
    return refuse(session, request, "there is no such subscription");
}

/* Tell of an event. False: the program does not read, or no longer. */
static bool tell(struct session *session, uint32_t number, const char *line)
{
    session->out.good = true;
    session->out.size = 0;
    words_put_number(&session->out, number);
    words_put_text(&session->out, line);
    /* One that does not fit is left out: no program of the camera has sent it. */
    if (!session->out.good || line_send(session->events, MSG_DONTWAIT, EVENT_CAME, 0, session->out.data,
                                        session->out.size, NULL, 0))
        return true;
    session->blocked = errno == EAGAIN || errno == EWOULDBLOCK;
    if (!session->blocked) {
        close(session->events);
        session->events = -1;
    }
    return false;
}

static bool tell_subscription(struct session *session, struct subscription *subscription)
{
    for (struct waiting *waiting; (waiting = subscription->waiting);) {
        if (!tell(session, subscription->number, waiting->line))
            return false;
        subscription->waiting = waiting->next;
        free(waiting);
    }
    for (ssize_t size; (size = event_read(subscription, session->text)) >= 0;)
        if (!tell(session, subscription->number, session->text)) {
            subscription->offset -= size + 1; /* it comes again */
            return false;
        }
    return true;
}

/* The oldest subscription first. */
static void tell_all(struct session *session)
{
    session->waits = session->blocked = false;
    for (unsigned n = session->subscription_count; n-- > 0 && session->events >= 0;) {
        struct subscription *subscription = session->subscriptions;
        for (unsigned skipped = 0; skipped < n; skipped++)
            subscription = subscription->next;
        if (!tell_subscription(session, subscription))
            return;
    }
}

/* Wait for a request, and tell of events meanwhile. False when the line has ended. */
static bool await_request(struct session *session)
{
    for (;;) {
        if (session->waits)
            tell_all(session);
        struct pollfd polled[] = {
            {.fd = session->line->fd, .events = POLLIN},
            {.fd = session->inotify, .events = POLLIN},
            {.fd = session->blocked ? session->events : -1, .events = POLLOUT},
        };
        if (poll(polled, 3, -1) < 0 && errno != EINTR)
            return false;
        if (polled[1].revents)
            service_drain(session->inotify);
        if (polled[1].revents || polled[2].revents)
            session->waits = true;
        if (polled[0].revents)
            return true;
    }
}

static bool answer_events(struct session *session, const struct line_message *request)
{
    switch (request->kind) {
    case EVENT_LISTEN: return answer_listen(session, request);
    case EVENT_DECLARE: return answer_declare(session, request);
    case EVENT_UNDECLARE: return answer_undeclare(session, request);
    case EVENT_SEND: return answer_send(session, request);
    case EVENT_SUBSCRIBE: return answer_subscribe(session, request);
    case EVENT_UNSUBSCRIBE: return answer_unsubscribe(session, request);
    default: return false;
    }
}

engine_function engine_axevent;

void engine_axevent(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    struct session *session = calloc(1, sizeof *session);
    if (request && session) {
        session->line = line;
        session->events = session->inotify = -1;
        while (await_request(session) && line_next(line, request) && answer_events(session, request))
            ;
        while (session->subscriptions) {
            struct subscription *subscription = session->subscriptions;
            session->subscriptions = subscription->next;
            free_subscription(subscription);
        }
        while (session->declarations) {
            struct declaration *declaration = session->declarations;
            session->declarations = declaration->next;
            end_declaration(declaration);
        }
        if (session->events >= 0)
            close(session->events);
        if (session->inotify >= 0)
            close(session->inotify);
    }
    free(session);
    if (request)
        line_clear(request);
    free(request);
}
