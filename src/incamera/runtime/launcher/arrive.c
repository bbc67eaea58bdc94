/* What comes from the host: it is unpacked, checked, and sealed. */
#define _GNU_SOURCE
#include "arrive.h"
#include "files.h"
#include "output.h"
#include "plain.h"
#include "processes.h"
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
    char *folders = copy_text(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    bool found = false;
    for (char *rest = folders, *folder; !found && (folder = strsep(&rest, ":"));) {
        char *path = join_path(folder, name);
        found = access(path, X_OK) == 0;
        free(path);
    }
    free(folders);
    return found;
}

/* "incamera\n", packed as `xz --check=crc32` does it. */
static const unsigned char XZ_SAMPLE[] = {
    0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x01, 0x69, 0x22, 0xde, 0x36, 0x02, 0x00, 0x21, 0x01, 0x00, 0x00,
    0x00, 0x00, 0x37, 0x27, 0x97, 0xd6, 0x01, 0x00, 0x08, 0x69, 0x6e, 0x63, 0x61, 0x6d, 0x65, 0x72, 0x61, 0x0a,
    0x00, 0x00, 0x00, 0x00, 0x54, 0xa0, 0x42, 0x0c, 0x00, 0x01, 0x1d, 0x09, 0x93, 0x61, 0x36, 0xa6, 0x90, 0x42,
    0x99, 0x0d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x01, 0x59, 0x5a,
};

bool unpacks_xz(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    write_all(ends[1], (const char *)XZ_SAMPLE, sizeof XZ_SAMPLE);
    close(ends[1]);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[0], 0);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
        execlp("unxz", "unxz", NULL);
        _exit(EXIT_NOT_FOUND);
    }
    close(ends[0]);
    return child > 0 && await_child(child) == 0;
}

/* What unpacks an archive that is packed, and the pipe that feeds it. */
struct unpacking {
    pid_t tar;
    int pipe;
    bool fed; /* false when it takes no more: tar may be content before the last zeros */
};

/* Start what unpacks in FOLDER an archive that begins with these bytes. */
static struct unpacking start_tar(const char *folder, const char *begin) {
    const char *command = *begin == '\x1f' ? "gunzip | tar -x -o -f -" : "unxz | tar -x -o -f -";
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
        execlp("sh", "sh", "-c", command, NULL);
        fail(EXIT_NOT_FOUND, "cannot start", "tar", errno);
    }
    close(ends[0]);
    return (struct unpacking){tar, ends[1], true};
}

static void await_tar(struct unpacking *archive) {
    close(archive->pipe);
    await_child(archive->tar);
    archive->tar = 0;
    /* The exit code of tar is not used: busybox's tar succeeds for an archive that was cut off. The files are checked instead. */
}

/* Read SIZE bytes of standard input, or what comes before its end. A host that says nothing for too long is SILENT. */
static size_t take(char *data, size_t size, bool *silent) {
    size_t used = 0;
    while (used < size) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        int ready = poll(&input, 1, SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        *silent = ready == 0;
        ssize_t got = ready > 0 ? read(0, data + used, size - used) : 0;
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    return used;
}

/* Archives come in pieces, each behind its length: four bytes, the highest first. A length of 0 ends an archive. The next one
   may be compressed in another way. The first byte tells: 0 is that of a number in an archive that is not. */
void unpack(const char *folder, struct listing *wanted) {
    static char buffer[1 << 16];
    struct unpacking archive = {0};
    struct plain plain = {.wanted = wanted};
    bool silent = false, begun = false, is_plain = false;
    unsigned char head[4];
    while (take((char *)head, sizeof head, &silent) == sizeof head) {
        uint32_t left = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
        if (!left) {
            begun = false;
            plain_end(&plain);
            if (archive.tar)
                await_tar(&archive);
        }
        while (left) {
            size_t size = left < sizeof buffer ? left : sizeof buffer, got = take(buffer, size, &silent);
            if (got && !begun) {
                begun = true;
                is_plain = !*buffer;
                if (!is_plain)
                    archive = start_tar(folder, buffer);
            }
            if (is_plain)
                plain_add(&plain, buffer, got);
            else
                archive.fed = archive.fed && write_all(archive.pipe, buffer, got);
            if (got < size)
                break;
            left -= (uint32_t)got;
        }
        if (left)
            break;
    }
    plain_end(&plain);
    if (archive.tar && silent)
        kill(archive.tar, SIGTERM);
    if (archive.tar)
        await_tar(&archive);
}

void seal_files(const char *root, int folder, struct listing *wanted) {
    size_t bad = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct entry *entry = &wanted->entries[i];
        if (entry->kind == ENTRY_LINK || entry->sealed)
            continue;
        if (entry->missing && !is_sound(folder, entry, false)) {
            if (!bad++)
                write_all(2, "damaged: ", 9), write_all(2, entry->path, strlen(entry->path)), write_all(2, "\n", 1);
        } else
            seal(folder, entry);
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

