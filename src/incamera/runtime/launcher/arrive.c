/* What comes from the host: it is unpacked, checked, and sealed. */
#define _GNU_SOURCE
#include "arrive.h"
#include "files.h"
#include "output.h"
#include "protocol.h"
#include "reuse.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A list takes some 120 bytes for each file. */
#define LARGEST_LISTING (64 << 20)

char *read_input(size_t size) {
    char *data = require_memory(malloc(size + 1));
    for (size_t used = 0; used < size;) {
        ssize_t got = read(0, data + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail(EXIT_INTERRUPTED, "the connection ended", NULL, 0);
        used += (size_t)got;
    }
    data[size] = 0;
    return data;
}

size_t read_size_line(void) {
    char line[24];
    for (size_t used = 0; used < sizeof line; used++) {
        char *byte = read_input(1);
        line[used] = *byte;
        free(byte);
        if (line[used] == '\n') {
            line[used] = 0;
            return (size_t)require_number(line, LARGEST_LISTING, "not the size of a list of files:");
        }
    }
    fail(EXIT_USAGE, "no size came", NULL, 0);
}

bool has_program(const char *name) {
    char *folders = join(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin", "", "");
    bool found = false;
    for (char *rest = folders, *folder; !found && (folder = strsep(&rest, ":"));) {
        char *path = join_path(folder, name);
        found = access(path, X_OK) == 0;
        free(path);
    }
    free(folders);
    return found;
}

/* Feed what comes on standard input to `tar`, to be unpacked in FOLDER. */
void unpack(const char *folder, bool gzip) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail(EXIT_FAILED, "cannot start", "tar", errno);
    pid_t tar = fork();
    if (tar < 0)
        fail(EXIT_FAILED, "cannot start", "tar", errno);
    if (tar == 0) {
        dup2(ends[0], 0);
        dup2(2, 1); /* our standard output is for the host alone */
        if (chdir(folder) < 0)
            fail(EXIT_FAILED, "cannot enter", folder, errno);
        signal(SIGPIPE, SIG_DFL);
        if (gzip)
            execlp("sh", "sh", "-c", "gunzip | tar -x -o -f -", NULL);
        else
            execlp("tar", "tar", "-x", "-o", "-f", "-", NULL);
        fail(EXIT_NOT_FOUND, "cannot start", "tar", errno);
    }
    close(ends[0]);
    static char buffer[1 << 16];
    bool fed = true, silent = false;
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        int ready = poll(&input, 1, SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        silent = ready == 0;
        ssize_t got = ready > 0 ? read(0, buffer, sizeof buffer) : 0;
        if (got <= 0)
            break;
        fed = fed && write_all(ends[1], buffer, (size_t)got); /* tar may be content before the last zeros */
    }
    close(ends[1]);
    if (silent)
        kill(tar, SIGTERM);
    while (waitpid(tar, NULL, 0) < 0 && errno == EINTR)
        ;
    /* The exit code of tar is not used: busybox's tar succeeds for an archive that was cut off. The files are checked instead. */
}

void seal_files(const char *root, int folder, struct listing *wanted) {
    const struct timespec times[2] = {{.tv_sec = STAMP}, {.tv_sec = STAMP}};
    size_t bad = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct entry *entry = &wanted->entries[i];
        if (entry->kind == ENTRY_LINK || entry->sealed)
            continue;
        if (entry->missing && !is_sound(folder, entry, false)) {
            if (!bad++)
                write_all(2, "damaged: ", 9), write_all(2, entry->path, strlen(entry->path)), write_all(2, "\n", 1);
        } else {
            fchmodat(folder, entry->path, entry->kind == ENTRY_EXECUTABLE ? 0555 : 0444, 0);
            utimensat(folder, entry->path, times, AT_SYMLINK_NOFOLLOW);
        }
    }
    if (!bad)
        return;
    struct statvfs space;
    if (statvfs(root, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < SPACE_MARGIN)
        fail(EXIT_NO_SPACE, "no space left in", root, 0);
    fail(EXIT_DAMAGED, "files are missing or damaged in", root, 0);
}

static bool make_link(const char *root, int folder, const struct entry *entry) {
    if (links_to(folder, entry))
        return true;
    char *path = join_path(root, entry->path);
    unlink(path);
    bool made = make_folder(folder, entry->path);
    if (made && symlink(entry->target, path) < 0) {
        /* FAT, and shares without links: a copy serves as well. */
        char *target = target_of(root, entry);
        struct stat status;
        made = stat(target, &status) == 0 && S_ISREG(status.st_mode) && copy_file(target, path, status.st_mode & 0777);
        free(target);
    }
    free(path);
    return made;
}

void make_links(const char *root, int folder, const struct listing *wanted) {
    /* Where links become copies, a link to a link needs the other copy first. */
    for (int pass = 0; pass < 8; pass++) {
        const struct entry *failed = NULL;
        int error = 0;
        for (size_t i = 0; i < wanted->count; i++) {
            const struct entry *entry = &wanted->entries[i];
            if (entry->kind == ENTRY_LINK && !make_link(root, folder, entry) && !(error = errno, pass && leads_nowhere(root, entry)))
                failed = entry;
        }
        if (!failed)
            return;
        if (error == ENOSPC || pass == 7)
            fail_at_place("cannot make the link", failed->path, error);
    }
}

