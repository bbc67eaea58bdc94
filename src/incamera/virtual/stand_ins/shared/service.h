/* What the stand-ins of events and parameters share: a folder whose files all programs of a camera use, one lock for them,
   and a watch that tells the default main context of changes. */
#ifndef STAND_INS_SERVICE_H
#define STAND_INS_SERVICE_H

/* A 32-bit program cannot read a folder whose file numbers have 64 bits without it. It counts for headers after it. */
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 512

/* The folder that VARIABLE names, or else USUAL. */
static inline const char *service_folder(const char *variable, const char *usual)
{
    const char *folder = getenv(variable);
    return folder && *folder ? folder : usual;
}

/* Make FOLDER and those above it. All programs of the camera may write. */
static inline bool service_make_folder(const char *folder)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return false;
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    if (mkdir(path, 0777) == 0)
        return chmod(path, 0777) == 0;
    return errno == EEXIST;
}

/* Returns a file descriptor that holds the lock of FOLDER, or -1. Closing it gives the lock back. */
static inline int service_lock(const char *folder)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/.lock", folder);
    if (!service_make_folder(folder))
        return -1;
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock < 0)
        return -1;
    while (flock(lock, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(lock);
            return -1;
        }
    return lock;
}

/* Call FUNCTION in the main context when files of FOLDER change. Returns the file descriptor, or -1. */
static inline int service_watch(const char *folder, GUnixFDSourceFunc function, gpointer data, GDestroyNotify notify,
                                guint *source)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd >= 0 && inotify_add_watch(fd, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0) {
        close(fd);
        fd = -1;
    }
    if (fd >= 0)
        *source = g_unix_fd_add_full(G_PRIORITY_DEFAULT, fd, G_IO_IN, function, data, notify);
    return fd;
}

static inline void service_drain(int fd)
{
    char changes[4096];
    while (read(fd, changes, sizeof changes) > 0)
        ;
}

/* The whole of the file PATH, with a zero at its end, or NULL. Free it with g_free. */
static inline char *service_read(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        size_t used = 0;
        text = g_malloc0((gsize)status.st_size + 1);
        while (used < (size_t)status.st_size) {
            ssize_t count = read(fd, text + used, (size_t)status.st_size - used);
            if (count <= 0)
                break;
            used += (size_t)count;
        }
        text[used] = 0;
    }
    close(fd);
    return text;
}

static inline bool service_write(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, text, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        text += count;
        size -= (size_t)count;
    }
    return true;
}

/* Text that grows. */
struct text {
    char *data;
    size_t size, room;
};

static inline void text_add(struct text *text, const char *data, size_t size)
{
    if (text->size + size + 1 > text->room) {
        size_t room = 2 * (text->size + size + 1);
        char *larger = g_malloc0(room);
        if (text->data)
            memcpy(larger, text->data, text->size);
        g_free(text->data);
        text->data = larger;
        text->room = room;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

static inline void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

#endif
