/* Engines: what a library of the camera does in its service. Each line is served by a thread, from hello to end. So a client
   that hangs stops its own line only, as long as no engine sends while it holds a lock. */
#ifndef STAND_INS_ENGINE_H
#define STAND_INS_ENGINE_H

#include <signal.h>
#include <stdlib.h>

#include "line.h"

typedef void engine_function(struct line *line);

struct engine {
    const char *name; /* what a client says in its hello */
    engine_function *serve;
};

enum { ENGINE_STACK = 256 * 1024, HELLO_SECONDS = 10 };

/* A line and the engines among which its hello chooses; the last one has no name. */
struct served {
    struct line line;
    const struct engine *engines;
    void (*ended)(struct line *line);
};

static inline const struct engine *engine_for(const struct engine *engines, const struct line_message *hello)
{
    if (hello->kind != LINE_HELLO || hello->code != LINE_VERSION)
        return NULL;
    for (; engines->name; engines++)
        if (strlen(engines->name) == hello->size && memcmp(engines->name, hello->data, hello->size) == 0)
            return engines;
    return NULL;
}

static inline const struct engine *engine_greet(struct served *served)
{
    struct line_message *hello = calloc(1, sizeof *hello);
    const struct timeval patience = {.tv_sec = HELLO_SECONDS}, forever = {0};
    const struct engine *engine = NULL;
    int fd = served->line.fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (hello && line_receive(fd, 0, hello) == LINE_GOT)
        engine = engine_for(served->engines, hello);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof forever);
    if (hello)
        line_clear(hello);
    free(hello);
    const int32_t version = LINE_VERSION;
    return engine && line_send(fd, 0, LINE_HELLO, 0, &version, sizeof version, NULL, 0) ? engine : NULL;
}

static inline void *engine_thread(void *data)
{
    struct served *served = data;
    const struct engine *engine = engine_greet(served);
    if (engine)
        engine->serve(&served->line);
    close(served->line.fd);
    if (served->ended)
        served->ended(&served->line);
    free(served);
    return NULL;
}

/* Serve the socket FD, which is now the thread's, by one of ENGINES. ENDED, which may be NULL, is called at the end. */
static inline bool engine_start(int fd, bool alone, const struct engine *engines, void (*ended)(struct line *line))
{
    struct served *served = calloc(1, sizeof *served);
    pthread_attr_t attributes;
    pthread_t thread;
    if (!served)
        return false;
    served->line = (struct line){.fd = fd, .alone = alone, .owner = getpid()};
    served->engines = engines;
    served->ended = ended;
    socklen_t size = sizeof served->line.peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &served->line.peer, &size) != 0)
        served->line.peer = (struct ucred){.uid = (uid_t)-1, .gid = (gid_t)-1};
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, ENGINE_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool good = pthread_create(&thread, &attributes, engine_thread, served) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (!good)
        free(served);
    return good;
}

#endif
