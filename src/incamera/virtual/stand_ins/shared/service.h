/* What the stand-ins of events and parameters share: files of all programs of a camera, and a watch that tells the
   default main context of changes. */
#ifndef STAND_INS_SERVICE_H
#define STAND_INS_SERVICE_H

#include "files.h"

#include <glib.h>

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
