/* A library's line that returns: when the service was killed and init has started it anew, the line is opened again, and
   all that the program has there is told anew. What the service tells unasked comes over a socket of its own, in the
   thread that serves GLib's default main context.

   The functions are called with the lock held, but for those that begin and end the object. */
#ifndef STAND_INS_RETURNING_H
#define STAND_INS_RETURNING_H

#include "client.h"

#include <glib.h>

enum { RETURN_SOON_MS = 100, RETURN_LATE_MS = 1000 };

struct returning;

/* What a library does; each with the lock held, but for `free`. */
struct returning_kind {
    const struct engine *engines; /* one, and an end */
    /* Tell a new line of all that the program has. False: it cannot be used. */
    bool (*begin)(struct returning *returning);
    void (*told)(struct returning *returning, const struct line_message *message);
    void (*free)(struct returning *returning);
};

/* A source of the main context for what the service tells. It owns the socket. */
struct returning_source {
    struct returning *returning;
    int fd;
    guint number;
};

/* The first member of a library's object. */
struct returning {
    const struct returning_kind *kind;
    pthread_mutex_t lock;
    pid_t owner;
    struct line *line;
    struct returning_source *source;
    unsigned owners; /* the program, and its sources in the main context */
    bool freed, waits; /* waits: the program waits for what the service tells, so that the line returns by itself */
    guint timer, pause;
};

static inline void returning_start(struct returning *returning, const struct returning_kind *kind)
{
    returning->kind = kind;
    pthread_mutex_init(&returning->lock, NULL);
    returning->owner = getpid();
    returning->owners = 1;
}

static inline void returning_leave(gpointer data)
{
    struct returning *returning = data;
    if (__atomic_sub_fetch(&returning->owners, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    line_close(returning->line);
    pthread_mutex_destroy(&returning->lock);
    returning->kind->free(returning);
}

static inline void returning_enter(struct returning *returning)
{
    __atomic_add_fetch(&returning->owners, 1, __ATOMIC_ACQ_REL);
}

static inline void returning_free_source(gpointer data)
{
    struct returning_source *source = data;
    close(source->fd);
    returning_leave(source->returning);
    g_free(source);
}

static inline void returning_drop(struct returning *returning)
{
    if (returning->source)
        g_source_remove(returning->source->number);
    returning->source = NULL;
    line_close(returning->line);
    returning->line = NULL;
}

static inline bool returning_open(struct returning *returning);

static inline gboolean returning_try(gpointer data)
{
    struct returning *returning = data;
    pthread_mutex_lock(&returning->lock);
    if (!returning->freed) {
        returning->timer = 0;
        if (!returning->line)
            returning_open(returning);
    }
    pthread_mutex_unlock(&returning->lock);
    return FALSE;
}

/* The service has ended. Try again after a while, if the program waits for something. */
static inline void returning_later(struct returning *returning)
{
    returning_drop(returning);
    if (!returning->waits || returning->timer || returning->freed)
        return;
    guint pause = returning->pause ? returning->pause : RETURN_SOON_MS;
    returning->pause = 2 * pause > RETURN_LATE_MS ? RETURN_LATE_MS : 2 * pause;
    returning_enter(returning);
    returning->timer = g_timeout_add_full(G_PRIORITY_DEFAULT, pause, returning_try, returning, returning_leave);
}

static inline bool returning_open(struct returning *returning)
{
    returning_drop(returning);
    returning->line = line_open(returning->kind->engines);
    if (returning->line && returning->kind->begin(returning)) {
        returning->pause = 0;
        return true;
    }
    returning_later(returning);
    return false;
}

static inline gboolean returning_read(gint fd, GIOCondition condition, gpointer data)
{
    struct returning_source *source = data;
    struct returning *returning = source->returning;
    struct line_message *message = g_malloc0(sizeof *message);
    enum line_result result = LINE_GOT;
    (void)condition;
    pthread_mutex_lock(&returning->lock);
    while (returning->source == source && !returning->freed && result == LINE_GOT) {
        result = line_receive(fd, MSG_DONTWAIT, message);
        if (result == LINE_GOT)
            returning->kind->told(returning, message);
    }
    gboolean goes_on = returning->source == source && !returning->freed;
    if (goes_on && result == LINE_ENDED) {
        returning->source = NULL; /* it is removed below */
        returning_later(returning);
        goes_on = FALSE;
    }
    pthread_mutex_unlock(&returning->lock);
    line_clear(message);
    g_free(message);
    return goes_on;
}

/* Let the main context read what the service tells over FD, which is now the source's. */
static inline void returning_listen(struct returning *returning, int fd)
{
    struct returning_source *source = g_malloc0(sizeof *source);
    returning_enter(returning);
    *source = (struct returning_source){.returning = returning, .fd = fd};
    returning->source = source;
    source->number =
        g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, G_IO_IN, returning_read, source, returning_free_source);
}

static inline bool returning_is_dead(const struct line *line)
{
    char byte;
    ssize_t count = recv(line->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
    return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR);
}

/* Ask, and return the answer, which is freed with line_free. NULL: the service does not run, or has ended meanwhile. */
static inline struct line_message *returning_ask(struct returning *returning, uint32_t kind, const void *data,
                                                 size_t size)
{
    if (returning->owner != getpid())
        return NULL;
    if ((!returning->line || returning_is_dead(returning->line)) && !returning_open(returning))
        return NULL;
    struct line_message *answer = line_ask(returning->line, kind, data, size);
    if (!answer)
        returning_later(returning);
    return answer;
}

/* The program's end of it. Nothing is told any more once this returns, but for what is being told just now. */
static inline void returning_end(struct returning *returning)
{
    pthread_mutex_lock(&returning->lock);
    returning->freed = true;
    guint source = returning->source ? returning->source->number : 0, timer = returning->timer;
    returning->source = NULL;
    returning->timer = 0;
    line_close(returning->line); /* the engine forgets what the program has there */
    returning->line = NULL;
    pthread_mutex_unlock(&returning->lock);
    if (source)
        g_source_remove(source);
    if (timer)
        g_source_remove(timer);
    returning_leave(returning);
}

#endif
