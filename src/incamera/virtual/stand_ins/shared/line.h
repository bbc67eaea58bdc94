/* A line between a library in an app's process and an engine of the camera's service: messages over a unix socket that
   keeps their bounds (SOCK_SEQPACKET), with file descriptors beside them.

   A library asks, and the engine answers with the same kind; code 0 says that all went well. An engine may also send
   what nobody asked for, over a socket of its own that an answer brings.

   Apps are not trusted: a message that is too long, or brings too many descriptors, ends its line. Whoever reads the
   content of a message has to look whether it is long enough (line_content). */
#ifndef STAND_INS_LINE_H
#define STAND_INS_LINE_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Increase it when messages change: both ends come from one build, but a library may meet an older service. */
#define LINE_VERSION 1
#define LINE_HELLO 1 /* the first message of each line; its code is the version, and its content the engine's name */
enum { LINE_BYTES = 32768, LINE_FDS = 128 };

struct line {
    int fd;
    bool alone;           /* both ends are in one process: there is no service */
    struct ucred peer;    /* at the engine's end: the process at the other one */
    pthread_mutex_t call; /* at the library's end: held while it waits for an answer */
    pid_t owner;          /* the process that opened it: one that was forked has no part in it */
};

struct line_message {
    uint32_t kind;
    int32_t code;
    size_t size;
    unsigned fd_count;
    int fds[LINE_FDS]; /* -1: taken */
    uint8_t data[LINE_BYTES] __attribute__((aligned(8)));
};

enum line_result { LINE_GOT, LINE_NOTHING, LINE_INTERRUPTED, LINE_ENDED };

struct line_head {
    uint32_t kind;
    int32_t code;
};

/* Close the descriptors that came with the message and were not taken. */
static inline void line_clear(struct line_message *message)
{
    for (unsigned n = 0; n < message->fd_count; n++)
        if (message->fds[n] >= 0)
            close(message->fds[n]);
    message->fd_count = 0;
}

/* The descriptor NUMBER of the message, which is now the caller's; -1 if there is none. */
static inline int line_take_fd(struct line_message *message, unsigned number)
{
    if (number >= message->fd_count)
        return -1;
    int fd = message->fds[number];
    message->fds[number] = -1;
    return fd;
}

/* The content of a message, if it has SIZE bytes at least; else NULL. */
static inline const void *line_content(const struct line_message *message, size_t size)
{
    return message->size >= size ? message->data : NULL;
}

/* FLAGS: MSG_DONTWAIT, or 0. False when the other end is gone, or for MSG_DONTWAIT does not read. */
static inline bool line_send(int fd, int flags, uint32_t kind, int32_t code, const void *data, size_t size,
                             const int *fds, unsigned fd_count)
{
    struct line_head head = {kind, code};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)(uintptr_t)data, size}};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(LINE_FDS * sizeof(int))];
    } control;
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = size ? 2 : 1};
    if (size > LINE_BYTES || fd_count > LINE_FDS) {
        errno = EMSGSIZE;
        return false;
    }
    if (fd_count) {
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, fd_count * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, flags | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

/* Take the descriptors of MESSAGE out of what recvmsg has filled. */
static inline void line_collect_fds(struct msghdr *from, struct line_message *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(from); header; header = CMSG_NXTHDR(from, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t n = 0; n < count; n++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + n * sizeof fd, sizeof fd);
            if (message->fd_count < LINE_FDS)
                message->fds[message->fd_count++] = fd;
            else
                close(fd);
        }
    }
}

/* Receive one message; what was left of the one before is closed. MESSAGE begins with zeros. */
static inline enum line_result line_receive(int fd, int flags, struct line_message *message)
{
    struct line_head head;
    struct iovec parts[] = {{&head, sizeof head}, {message->data, LINE_BYTES}};
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(LINE_FDS * sizeof(int))];
    } control;
    struct msghdr from = {
        .msg_iov = parts, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = sizeof control};
    line_clear(message);
    ssize_t count = recvmsg(fd, &from, flags | MSG_CMSG_CLOEXEC);
    if (count < 0)
        return errno == EINTR ? LINE_INTERRUPTED : errno == EAGAIN ? LINE_NOTHING : LINE_ENDED;
    line_collect_fds(&from, message);
    if (count < (ssize_t)sizeof head || from.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        line_clear(message);
        errno = EPROTO;
        return LINE_ENDED;
    }
    message->kind = head.kind;
    message->code = head.code;
    message->size = (size_t)count - sizeof head;
    return LINE_GOT;
}

/* At the engine's end: wait for a request. False when the line has ended. */
static inline bool line_next(struct line *line, struct line_message *request)
{
    enum line_result result;
    do
        result = line_receive(line->fd, 0, request);
    while (result == LINE_INTERRUPTED || result == LINE_NOTHING);
    return result == LINE_GOT;
}

/* At the engine's end: answer REQUEST. */
static inline bool line_answer(struct line *line, const struct line_message *request, int32_t code, const void *data,
                               size_t size, const int *fds, unsigned fd_count)
{
    return line_send(line->fd, 0, request->kind, code, data, size, fds, fd_count);
}

#endif
