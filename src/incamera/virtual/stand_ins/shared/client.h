/* The library's end of a line to the camera's service.

   Where there is no service, on a computer, the library serves itself: a thread of the same process has the engine at the
   other end of the line. In a camera there is always the folder of the socket, so that a service which has ended is told
   apart from one that is not there. */
#ifndef STAND_INS_CLIENT_H
#define STAND_INS_CLIENT_H

#include <stdio.h>
#include <sys/un.h>

#include "engine.h"

#define SERVICE_FOLDER "/run/incamera-camera"
#define SERVICE_SOCKET SERVICE_FOLDER "/socket"

/* A socket that is connected to the camera's service; -1 when it is not running. *ALONE: there is none here. */
static inline int client_connect(bool *alone)
{
    const char *chosen = getenv("INCAMERA_CAMERA_SERVICE");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!chosen || !*chosen)
        chosen = NULL;
    *alone = !chosen && access(SERVICE_FOLDER, F_OK) != 0;
    if (*alone)
        return -1;
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s", chosen ? chosen : SERVICE_SOCKET) >=
        (int)sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int done;
    if (fd < 0)
        return -1;
    do
        done = connect(fd, (const struct sockaddr *)&address, sizeof address);
    while (done != 0 && errno == EINTR);
    if (done == 0)
        return fd;
    close(fd);
    return -1;
}

/* ENGINES: one, and an end. */
static inline int client_serve_itself(const struct engine *engines)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    if (engine_start(ends[1], true, engines, NULL))
        return ends[0];
    close(ends[0]);
    close(ends[1]);
    return -1;
}

/* Whether the line is this process's own. One that was forked may close it, and nothing else. */
static inline bool line_is_own(const struct line *line)
{
    return line->owner == getpid();
}

/* Ask, and wait for the answer. False when the service has ended. Threads may call it. */
static inline bool line_call(struct line *line, uint32_t kind, const void *data, size_t size, const int *fds,
                             unsigned fd_count, struct line_message *answer)
{
    if (!line_is_own(line)) {
        errno = EPERM;
        return false;
    }
    pthread_mutex_lock(&line->call);
    bool good = line_send(line->fd, 0, kind, 0, data, size, fds, fd_count) && line_next(line, answer) &&
                answer->kind == kind;
    pthread_mutex_unlock(&line->call);
    return good;
}

/* Ask, and return the answer, which is freed with line_free; NULL when the service has ended. */
static inline struct line_message *line_ask(struct line *line, uint32_t kind, const void *data, size_t size)
{
    struct line_message *answer = malloc(sizeof *answer);
    if (!answer)
        return NULL;
    answer->fd_count = 0;
    if (line_call(line, kind, data, size, NULL, 0, answer))
        return answer;
    line_clear(answer);
    free(answer);
    return NULL;
}

static inline void line_free(struct line_message *message)
{
    line_clear(message);
    free(message);
}

static inline void line_close(struct line *line)
{
    if (!line)
        return;
    close(line->fd);
    pthread_mutex_destroy(&line->call);
    free(line);
}

/* Open a line to the first of ENGINES, in the service or in this process. NULL when the service is not running. */
static inline struct line *line_open(const struct engine *engines)
{
    struct line *line = calloc(1, sizeof *line);
    struct line_message *answer = calloc(1, sizeof *answer);
    if (line && answer) {
        line->fd = client_connect(&line->alone);
        if (line->alone)
            line->fd = client_serve_itself(engines);
        line->owner = getpid();
        pthread_mutex_init(&line->call, NULL);
    }
    bool good = line && answer && line->fd >= 0 &&
                line_send(line->fd, 0, LINE_HELLO, LINE_VERSION, engines->name, strlen(engines->name), NULL, 0) &&
                line_next(line, answer) && answer->kind == LINE_HELLO && answer->code == 0;
    if (answer)
        line_clear(answer);
    free(answer);
    if (good)
        return line;
    if (line && line->fd >= 0)
        close(line->fd);
    free(line);
    return NULL;
}

#endif
