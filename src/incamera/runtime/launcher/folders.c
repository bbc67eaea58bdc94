/* Folders of ours in /tmp, for what lasts as long as a session: each name begins with OWN_FOLDER. */
#define _GNU_SOURCE
#include "files.h"
#include "json.h"
#include "output.h"
#include "place.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_SECONDS 86400

/* A host may name no other folder: it is removed with all that is in it. */
static void require_ours(const char *path) {
    if (strncmp(path, OWN_FOLDER, sizeof OWN_FOLDER - 1) || !path[sizeof OWN_FOLDER - 1] || strstr(path, "/.") ||
        strstr(path, "//") || ends_with(path, "/"))
        fail(EXIT_USAGE, "not a folder of ours:", path, 0);
}

/* Make the folders that PATH is in, which must be ours all; returns the last one, opened. */
static int open_parent(const char *path) {
    char *parent = parent_of(path);
    int folder = require_own_folder(parent, WHOLE_PATH);
    free(parent);
    return folder;
}

/* Remove folders beside PATH, in FOLDER, that have its name up to the last dash, and that nobody has used for a day: a host
   that lost its connection could not. */
static void remove_forgotten(const char *path, int folder) {
    char *parent = parent_of(path);
    const char *name = name_of(path), *dash = strrchr(name, '-');
    DIR *entries = dash ? opendir(parent) : NULL;
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        if (strncmp(entry->d_name, name, (size_t)(dash - name) + 1))
            continue;
        char *other = join_path(parent, entry->d_name);
        struct stat status;
        if (is_own_folder(other) && stat(other, &status) == 0 && time(NULL) - status.st_mtime > DAY_SECONDS)
            remove_tree_at(folder, entry->d_name);
        free(other);
    }
    if (entries)
        closedir(entries);
    free(parent);
}

/* guard make-folder PATH: an empty one, which is not there yet. */
int guard_make_folder(int argc, char **argv) {
    if (argc != 1)
        fail(EXIT_USAGE, "usage: incamera-guard make-folder", "PATH", 0);
    require_ours(argv[0]);
    remove_forgotten(argv[0], open_parent(argv[0]));
    make_own_folder(argv[0]);
    return 0;
}

/* guard remove-folder PATH: and the folders that it was in, as far as nothing else is in them: another user may want the name. */
int guard_remove_folder(int argc, char **argv) {
    if (argc != 1)
        fail(EXIT_USAGE, "usage: incamera-guard remove-folder", "PATH", 0);
    require_ours(argv[0]);
    refuse_taken(argv[0], WHOLE_PATH);
    remove_tree(argv[0]);
    for (char *slash; (slash = strchr(argv[0] + sizeof OWN_FOLDER - 1, '/')) && (slash = strrchr(slash, '/'));) {
        *slash = 0;
        if (rmdir(argv[0]) < 0)
            break;
    }
    return 0;
}

static void copy_entry(const char *from, const char *to);

static void copy_folder(const char *from, const char *to, mode_t mode) {
    DIR *entries = mkdir(to, 0700) == 0 ? opendir(from) : NULL;
    if (!entries)
        fail_in_ram("cannot copy", from, errno);
    for (struct dirent *entry; (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) {
            char *source = join_path(from, entry->d_name), *target = join_path(to, entry->d_name);
            copy_entry(source, target);
            free(target);
            free(source);
        }
    closedir(entries);
    chmod(to, mode | 0700);
}

static void copy_entry(const char *from, const char *to) {
    static char target[PATH_MAX];
    struct stat status;
    if (lstat(from, &status) < 0)
        fail_in_ram("cannot copy", from, errno);
    if (S_ISDIR(status.st_mode)) {
        copy_folder(from, to, status.st_mode & 0777);
    } else if (S_ISLNK(status.st_mode)) {
        ssize_t size = readlink(from, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        if (size < 0 || symlink(target, to) < 0)
            fail_in_ram("cannot copy", from, errno);
    } else if (link(from, to) < 0) { /* another file system, or one without hard links */
        const struct timespec times[2] = {status.st_atim, status.st_mtim};
        if (!copy_file(from, to, status.st_mode & 0777))
            fail_in_ram("cannot copy", from, errno);
        utimensat(AT_FDCWD, to, times, 0); /* byte-code names its source's time */
    }
}

/* guard copy-folder FROM PATH: in the place of what PATH was before; says which path it is. The files are hard links where that can be. Ends
   with EXIT_BUSY where a process works in PATH. */
int guard_copy_folder(int argc, char **argv) {
    if (argc != 2)
        fail(EXIT_USAGE, "usage: incamera-guard copy-folder", "FROM PATH", 0);
    require_ours(argv[1]);
    char *path = own_path(argv[1]);
    if (is_working_folder(path))
        fail(EXIT_BUSY, "a process works in", path, 0);
    remove_tree_at(open_parent(path), name_of(path));
    char *real = realpath(argv[0], NULL); /* the app's folder may be a link */
    if (!real)
        fail(1, "cannot copy", argv[0], errno);
    copy_folder(real, path, 0700);
    free(real);
    begin_answer(ANSWER_COPIED);
    answer_text(KEY_PATH, path);
    end_answer();
    free(path);
    return 0;
}
