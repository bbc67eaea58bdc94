/* Archives are unpacked into RAM: those of runtimes, and those of small apps. */
#define _GNU_SOURCE
#include "unpacked.h"
#include "files.h"
#include "output.h"
#include "processes.h"
#include "protocol.h"
#include "sha256.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIECE (4u << 20)
#define MEGABYTE (1u << 20)

static char *megabytes(uint64_t size) {
    char *number = number_text((int64_t)(size / MEGABYTE)), *text = join(number, " MB", "");
    free(number);
    return text;
}

/* The camera needs RAM for itself: a quarter, 64 MB at least, as when a place for a bundle is chosen. */
static void require_memory_for(uint64_t size) {
    uint64_t total = read_memory("MemTotal:"), reserve = total / RAM_RESERVE_PART;
    uint64_t available = read_memory("MemAvailable:");
    if (reserve < RAM_RESERVE)
        reserve = RAM_RESERVE;
    struct statvfs space;
    uint64_t room = statvfs("/tmp", &space) == 0 && space.f_blocks ? (uint64_t)space.f_bavail * space.f_frsize : available;
    if (available >= reserve && size <= available - reserve && size <= room)
        return;
    char *needed = join("unpacked into RAM, the bundle takes ", megabytes(size), "; ");
    char *free_memory = join(megabytes(available), " are free, ", megabytes(reserve));
    char *text = join(needed, free_memory, " of them are kept for the camera; /tmp has ");
    fail(EXIT_NO_MEMORY, text, megabytes(room), 0);
}

/* Start the shell's COMMAND in FOLDER; returns where to write. */
static int start_unpacking(const char *command, const char *folder, pid_t *child) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || (*child = fork()) < 0)
        fail(EXIT_FAILED, "cannot start", "tar", errno);
    if (*child == 0) {
        dup2(ends[0], 0);
        dup2(2, 1);
        signal(SIGPIPE, SIG_DFL);
        if (chdir(folder) < 0)
            fail(EXIT_FAILED, "cannot enter", folder, errno);
        execlp("sh", "sh", "-c", command, NULL);
        fail(EXIT_NOT_FOUND, "cannot start", "sh", errno);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    return ends[1];
}

void unpack_app(const char *data, size_t size, const char *folder) {
    pid_t child;
    int pipe = start_unpacking("tar -x -o -f -", folder, &child);
    write_all(pipe, data, size);
    close(pipe);
    if (await_child(child))
        fail(EXIT_NO_MEMORY, "cannot unpack the app into RAM (is /tmp full?):", folder, 0);
}

void unpack_image(const struct image *image, const char *path, const char *folder) {
    int file = open_image_file(image, path);
    require_memory_for(image->unpacked);
    char *partial = join(folder, ".partial", "");
    remove_tree(partial);
    if (mkdir(partial, 0755) < 0)
        fail_in_ram("cannot make", partial, errno);
    pid_t child;
    int pipe = start_unpacking("gunzip | tar -x -o -f -", partial, &child);
    char *piece = require_memory(malloc(PIECE));
    struct sha256 hash;
    char digest[65];
    sha256_start(&hash);
    ssize_t got;
    int error = 0;
    while ((got = read(file, piece, PIECE)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) {
            sha256_add(&hash, piece, (size_t)got);
            write_all(pipe, piece, (size_t)got);
        }
    if (got < 0)
        error = errno;
    sha256_end(&hash, digest);
    close(pipe);
    close(file);
    free(piece);
    int status = await_child(child);
    bool sound = !strncmp(digest, image->file, 64);
    if (error || !sound || status || rename(partial, folder) < 0) {
        remove_tree(partial);
        if (error)
            fail_reading(path, error);
        if (!sound)
            fail_damaged(path);
        fail(EXIT_NO_MEMORY, "cannot unpack into RAM (is /tmp full?):", path, 0);
    }
    free(partial);
}
