/* The camera's end of a line to a process of the computer that the virtual camera is on: a virtio port, or a socket.

   That process may end at any time: the line is then opened anew. What an earlier process has left on the line ends where
   the greeting begins. */
#ifndef STAND_INS_HOST_LINE_H
#define STAND_INS_HOST_LINE_H

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define VIRTIO_PORTS "/sys/class/virtio-ports"
enum { TOKEN_BYTES = 8, MOST_GREETING = 64, RESET_BYTES = 16, MOST_RESETS = 5 };

/* FD: -1 when it is closed. The times are those that a part of a message may take. */
struct host_line {
    int fd, write_milliseconds, read_milliseconds;
};

static inline void host_line_close(struct host_line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
}

static inline bool host_line_wait(const struct host_line *line, short event, int milliseconds)
{
    struct pollfd one = {.fd = line->fd, .events = event};
    int found;
    do
        found = poll(&one, 1, milliseconds);
    while (found < 0 && errno == EINTR);
    return found > 0;
}

static inline bool host_line_send(const struct host_line *line, const void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        if (!host_line_wait(line, POLLOUT, line->write_milliseconds))
            return false;
        ssize_t count = send(line->fd, (const char *)data + done, size - done, MSG_NOSIGNAL);
        if (count < 0 && errno == ENOTSOCK)
            count = write(line->fd, (const char *)data + done, size - done);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

static inline bool host_line_receive(const struct host_line *line, void *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        if (!host_line_wait(line, POLLIN, line->read_milliseconds))
            return false;
        ssize_t count = read(line->fd, (char *)data + done, size - done);
        if (count < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (count <= 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

/* Nobody speaks unasked on a line, but one whose process has ended, or was followed by another. */
static inline bool host_line_is_stale(const struct host_line *line)
{
    return line->fd >= 0 && host_line_wait(line, POLLIN, 0);
}

/* Send the greeting with a new token, and write what will come back. */
static inline bool host_line_send_greeting(const struct host_line *line, const char *greeting, size_t size, char *wanted)
{
    memcpy(wanted, greeting, size);
    return getrandom(wanted + size, TOKEN_BYTES, 0) == TOKEN_BYTES && host_line_send(line, wanted, size + TOKEN_BYTES);
}

/* GREETING: SIZE bytes, at most MOST_GREETING. The process may end while it is greeted, and another one, which tells so
   (RESET in host_line.py), is greeted anew. */
static inline bool host_line_greet(const struct host_line *line, const char *greeting, size_t size)
{
    char wanted[MOST_GREETING + TOKEN_BYTES], seen[sizeof wanted] = "";
    size_t whole = size + TOKEN_BYTES;
    unsigned resets = 0, reset_bytes = 0;
    if (!host_line_send_greeting(line, greeting, size, wanted))
        return false;
    while (memcmp(seen, wanted, whole) != 0) {
        memmove(seen, seen + 1, whole - 1);
        if (!host_line_receive(line, &seen[whole - 1], 1))
            return false;
        reset_bytes = (uint8_t)seen[whole - 1] == 0xff ? reset_bytes + 1 : 0;
        if (reset_bytes == RESET_BYTES) {
            reset_bytes = 0;
            if (++resets > MOST_RESETS || !host_line_send_greeting(line, greeting, size, wanted))
                return false;
        }
    }
    return true;
}

/* Write the path of the virtio port that is called WANTED. */
static inline bool host_line_find_port(const char *wanted, char *path, size_t size)
{
    DIR *ports = opendir(VIRTIO_PORTS);
    bool found = false;
    for (struct dirent *entry; ports && !found && (entry = readdir(ports));) {
        char name[64] = "";
        snprintf(path, size, VIRTIO_PORTS "/%s/name", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file) {
            if (fgets(name, sizeof name, file))
                name[strcspn(name, "\n")] = 0;
            fclose(file);
        }
        found = strcmp(name, wanted) == 0;
        snprintf(path, size, "/dev/%s", entry->d_name);
    }
    if (ports)
        closedir(ports);
    return found;
}

#endif
