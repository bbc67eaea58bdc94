/* Files that the user copies to and from an app's folders: listed, read, written and removed.

   Each verb gets a ROOT, which is absolute, and a PATH below it. ROOT is opened as place.h says. Below it no link is followed: the app
   may have made links that lead anywhere. With the ROOT "/", the user has asked for the whole device, and links are followed. */
#define _GNU_SOURCE
#include "data_folder.h"
#include "files.h"
#include "json.h"
#include "listing.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "sha256.h"
#include "text.h"
#include "verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define CHUNK (1 << 16)
#define DEEPEST 64

static char buffer[CHUNK];
static int no_follow = O_NOFOLLOW; /* 0 where the whole device may be reached */

static _Noreturn void fail_on(const char *what, const char *path, int error) {
    if (error == ENOENT || error == ENOTDIR)
        fail(EXIT_NOT_FOUND, "there is no", path, 0);
    if (error == ELOOP)
        fail(EXIT_FAILED, "a link is on the way to", path, 0);
    fail_at_place(what, path, error);
}

/* Open the folder that PATH below ROOT is in, and set NAME to its last part: "." where PATH is empty. With MAKE, make what is missing. */
static int open_around(const char *root, const char *path, const char **name, bool make) {
    if (*root != '/' || (*path && !is_safe(path)))
        fail(EXIT_USAGE, "not a path below a folder:", path, 0);
    int folder;
    if (!root[1]) {
        no_follow = 0;
        folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    } else if (make)
        folder = require_own_folder(root, DATA_DEPTH);
    else if ((folder = open_own_folder(root, DATA_DEPTH, false)) == TAKEN_FOLDER)
        fail_taken();
    if (folder < 0)
        fail_on("cannot open", root, errno);
    *name = ".";
    for (char *rest = copy_text(path), *part; rest && (part = strsep(&rest, "/"));) {
        if (!*part)
            continue;
        if (strcmp(*name, ".")) {
            int flags = O_PATH | O_DIRECTORY | O_CLOEXEC | no_follow, inner = openat(folder, *name, flags);
            if (inner < 0 && errno == ENOENT && make && (mkdirat(folder, *name, 0755) == 0 || errno == EEXIST))
                inner = openat(folder, *name, flags);
            if (inner < 0) {
                struct stat status;
                bool link = errno == ENOTDIR && fstatat(folder, *name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode);
                fail_on("cannot open", path, link ? ELOOP : errno);
            }
            close(folder);
            folder = inner;
        }
        *name = part;
    }
    return folder;
}

static void answer_entry(const char *path, const struct stat *status) {
    begin_answer(ANSWER_FOUND);
    answer_text(KEY_PATH, path);
    answer_text(KEY_TYPE, S_ISREG(status->st_mode) ? "f" : S_ISDIR(status->st_mode) ? "d" : S_ISLNK(status->st_mode) ? "l" : "o");
    answer_number(KEY_SIZE, S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0);
    answer_number(KEY_STORED, (uint64_t)status->st_blocks * 512);
    answer_number(KEY_CHANGED, status->st_mtime > 0 ? (uint64_t)status->st_mtime : 0);
    answer_number(KEY_MODE, status->st_mode & 0777);
    if (!end_answer())
        _exit(EXIT_INTERRUPTED);
}

static void list_below(int folder, const char *path, int levels) {
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy >= 0 ? fdopendir(copy) : NULL;
    if (!entries)
        fail_on("cannot read", *path ? path : "the folder", errno);
    for (struct dirent *entry; (entry = readdir(entries));) {
        struct stat status;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        char *inner = *path ? join_path(path, entry->d_name) : copy_text(entry->d_name);
        answer_entry(inner, &status);
        if (S_ISDIR(status.st_mode) && levels > 1) {
            int below = openat(folder, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below >= 0) {
                list_below(below, inner, levels - 1);
                close(below);
            }
        }
        free(inner);
    }
    closedir(entries);
}

/* guard look ROOT PATH [deep]: PATH itself, whose name is empty, and what is in it; with "deep", all that is below it. */
int guard_look(int argc, char **argv) {
    if (argc < 2 || argc > 3)
        fail(EXIT_USAGE, "usage: incamera-guard look", "ROOT PATH [deep]", 0);
    const char *name;
    struct stat status;
    int around = open_around(argv[0], argv[1], &name, false);
    if (fstatat(around, name, &status, no_follow ? AT_SYMLINK_NOFOLLOW : 0) < 0)
        fail_on("cannot read", *argv[1] ? argv[1] : argv[0], errno);
    answer_entry("", &status);
    if (!S_ISDIR(status.st_mode))
        return 0;
    int folder = openat(around, name, O_PATH | O_DIRECTORY | O_CLOEXEC | no_follow);
    if (folder < 0)
        fail_on("cannot open", argv[1], errno);
    list_below(folder, "", argc == 3 ? DEEPEST : 1);
    return 0;
}

/* guard read ROOT PATH OFFSET: how large the file is, then its bytes from OFFSET on, and at last the digest of all of it. */
int guard_read(int argc, char **argv) {
    if (argc != 3)
        fail(EXIT_USAGE, "usage: incamera-guard read", "ROOT PATH OFFSET", 0);
    uint64_t offset = (uint64_t)require_number(argv[2], INT64_MAX, "not a number of bytes:");
    const char *name;
    struct stat status;
    int around = open_around(argv[0], argv[1], &name, false);
    /* A pipe that nobody writes to would hold us for ever. */
    int file = openat(around, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | no_follow);
    if (file < 0 || fstat(file, &status) < 0)
        fail_on("cannot read", argv[1], errno);
    if (!S_ISREG(status.st_mode))
        fail(EXIT_FAILED, "not a file:", argv[1], 0);
    uint64_t size = (uint64_t)status.st_size, done = 0;
    if (offset > size)
        offset = 0;
    begin_answer(ANSWER_SENDING);
    answer_number(KEY_SIZE, size);
    answer_number(KEY_OFFSET, offset);
    answer_number(KEY_MODE, status.st_mode & 0777);
    if (!end_answer())
        return EXIT_INTERRUPTED;
    struct sha256 hash;
    char digest[65];
    sha256_start(&hash);
    while (done < size) {
        size_t wanted = size - done < CHUNK ? (size_t)(size - done) : CHUNK;
        if (done < offset && offset - done < wanted)
            wanted = (size_t)(offset - done);
        ssize_t got = read(file, buffer, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail(EXIT_FAILED, got < 0 ? "cannot read" : "became shorter while it was read:", argv[1], got < 0 ? errno : 0);
        sha256_add(&hash, buffer, (size_t)got);
        if (done >= offset && !write_all(1, buffer, (size_t)got))
            return EXIT_INTERRUPTED;
        done += (uint64_t)got;
    }
    sha256_end(&hash, digest);
    begin_answer(ANSWER_SENT);
    answer_text(KEY_DIGEST, digest);
    end_answer();
    return 0;
}

/* guard write ROOT PATH SIZE DIGEST [executable]: says how much of the file an interrupted transfer has left, reads the rest, and gives the
   file its name when size and digest are right. A partial file has a name of its own, which holds the start of the digest. */
int guard_write(int argc, char **argv) {
    if (argc < 4 || argc > 5 || strlen(argv[3]) != 64 || strchr(argv[3], '/'))
        fail(EXIT_USAGE, "usage: incamera-guard write", "ROOT PATH SIZE DIGEST [executable]", 0);
    uint64_t size = (uint64_t)require_number(argv[2], INT64_MAX, "not a number of bytes:");
    const char *name;
    struct stat status;
    int around = open_around(argv[0], argv[1], &name, true);
    if (!strcmp(name, ".") || (fstatat(around, name, &status, 0) == 0 && S_ISDIR(status.st_mode)))
        fail(EXIT_FAILED, "is a folder:", argv[1], 0);
    char *start = copy_text(argv[3]);
    start[24] = 0;
    char *partial = join(PARTIAL_PREFIX, start, "");
    int file = openat(around, partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (file < 0 || fstat(file, &status) < 0)
        fail_at_place("cannot write", argv[1], errno);
    if (!S_ISREG(status.st_mode) || status.st_nlink != 1)
        fail(EXIT_FAILED, "not a file:", partial, 0);
    if (flock(file, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
        fail(EXIT_BUSY, "another transfer writes", argv[1], 0);
    if ((uint64_t)status.st_size > size && ftruncate(file, 0) < 0)
        fail_at_place("cannot write", argv[1], errno);
    struct sha256 hash;
    sha256_start(&hash);
    uint64_t done = 0;
    for (ssize_t got; (got = read(file, buffer, CHUNK)) > 0; done += (uint64_t)got)
        sha256_add(&hash, buffer, (size_t)got);
    struct statvfs system;
    uint64_t room = fstatvfs(file, &system) == 0 ? (uint64_t)system.f_bavail * system.f_frsize : UINT64_MAX;
    if (size - done > room) {
        if (!done)
            unlinkat(around, partial, 0);
        fail(EXIT_NO_SPACE, "no room for", argv[1], ENOSPC);
    }
    begin_answer(ANSWER_RESUMED);
    answer_number(KEY_OFFSET, done);
    end_answer();
    while (done < size) {
        ssize_t got = read(0, buffer, size - done < CHUNK ? (size_t)(size - done) : CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 && !done)
            unlinkat(around, partial, 0);
        if (got <= 0)
            return EXIT_INTERRUPTED; /* what has arrived stays: the next transfer goes on from there */
        if (!write_all(file, buffer, (size_t)got)) {
            int error = errno;
            unlinkat(around, partial, 0);
            fail_at_place("cannot write", argv[1], error);
        }
        sha256_add(&hash, buffer, (size_t)got);
        done += (uint64_t)got;
    }
    char digest[65];
    sha256_end(&hash, digest);
    if (strcmp(digest, argv[3])) {
        unlinkat(around, partial, 0);
        fail(EXIT_DAMAGED, "the digest of what arrived is not that of", argv[1], 0);
    }
    fchmod(file, argc == 5 ? 0755 : 0644);
    if (fsync(file) < 0 || close(file) < 0 || renameat(around, partial, around, name) < 0) {
        int error = errno;
        unlinkat(around, partial, 0);
        fail_at_place("cannot write", argv[1], error);
    }
    begin_answer(ANSWER_WRITTEN);
    answer_text(KEY_DIGEST, digest);
    end_answer();
    return 0;
}

/* guard erase ROOT PATH: PATH and all below it; the link itself where it is one. ROOT stays unless PATH is empty. */
int guard_erase(int argc, char **argv) {
    if (argc != 2)
        fail(EXIT_USAGE, "usage: incamera-guard erase", "ROOT PATH", 0);
    const char *name;
    struct stat status;
    char *root = argv[0], *path = argv[1];
    if (!*path && root[1]) { /* the root itself: an entry of the folder that it is in */
        path = (char *)name_of(root);
        root = parent_of(root);
        if (!*root)
            fail(EXIT_USAGE, "not a folder of ours:", argv[0], 0);
    }
    int around = open_around(root, path, &name, false);
    if (!strcmp(name, "."))
        fail(EXIT_USAGE, "that would be all of", argv[0], 0);
    if (fstatat(around, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        fail_on("cannot remove", argv[1], errno);
    remove_tree_at(around, name);
    if (fstatat(around, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        fail_at_place("cannot remove all of", *argv[1] ? argv[1] : argv[0], errno ? errno : EACCES);
    return 0;
}
