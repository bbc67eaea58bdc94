/* Files and folders. */
#include "files.h"
#include "output.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *read_file(const char *path, size_t *size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return NULL;
    size_t used = 0, room = 4096;
    char *data = require_memory(malloc(room));
    ssize_t got;
    while ((got = read(file, data + used, room - used - 1)) > 0) {
        used += (size_t)got;
        if (room - used < 2)
            data = require_memory(realloc(data, room *= 2));
    }
    close(file);
    if (got < 0) {
        free(data);
        return NULL;
    }
    data[used] = 0;
    if (size)
        *size = used;
    return data;
}

bool write_file(const char *path, const void *data, size_t size, mode_t mode) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (file < 0)
        return false;
    bool good = write_all(file, data, size);
    return close(file) == 0 && good;
}

bool make_parents(char *path, size_t from) {
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        int status = mkdir(path, 0755);
        *slash = '/';
        if (status < 0 && errno != EEXIST)
            return false;
    }
    return true;
}

bool copy_file(const char *from, const char *to, mode_t mode) {
    static char buffer[1 << 16];
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return false;
    int copy = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    ssize_t got = -1;
    if (copy >= 0) {
        while ((got = read(source, buffer, sizeof buffer)) > 0)
            if (!write_all(copy, buffer, (size_t)got)) {
                got = -1;
                break;
            }
        if (close(copy) < 0)
            got = -1;
    }
    close(source);
    return got == 0;
}

void remove_tree_at(int folder, const char *name) {
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return;
    int inside = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = inside >= 0 ? fdopendir(inside) : NULL;
    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            remove_tree_at(inside, entry->d_name);
    closedir(entries);
    unlinkat(folder, name, AT_REMOVEDIR);
}

void remove_tree(const char *path) { remove_tree_at(AT_FDCWD, path); }

bool is_hidden(const struct dirent *entry) { return *entry->d_name == '.'; }
