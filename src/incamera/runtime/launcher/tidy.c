/* The newest bundle of an app gets its name; what is not needed any more goes. */
#define _GNU_SOURCE
#include "tidy.h"
#include "files.h"
#include "lease.h"
#include "listing.h"
#include "lock.h"
#include "output.h"
#include "place.h"
#include "processes.h"
#include "protocol.h"
#include "roots.h"
#include "shared_images.h"
#include "text.h"
#include "verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDLE_SECONDS 3600

char *read_current(const char *app) {
    static char name[NAME_MAX + 1];
    char *path = join_path(app, CURRENT);
    ssize_t size = readlink(path, name, sizeof name - 1);
    if (size < 0) {
        size_t length = 0;
        char *text = read_file(path, &length);
        size = text && length < sizeof name ? (ssize_t)length : 0;
        memcpy(name, text ? text : "", (size_t)size);
        free(text);
    }
    free(path);
    name[size] = 0;
    return name;
}

/* A plain file where it must not be a link: another computer would have ours followed for it, or not see them at all. */
void switch_over(const char *app, const char *name, bool plain_file) {
    char *path = join_path(app, CURRENT), *fresh = join_path(app, "current.new");
    unlink(fresh);
    if (((plain_file || symlink(name, fresh) < 0) && !write_file(fresh, name, strlen(name), 0644)) || rename(fresh, path) < 0)
        fail_at_place("cannot switch over", path, errno);
    free(fresh);
    free(path);
}

bool give_name(const char *partial, const char *final) {
    int folder = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        if (syncfs(folder) < 0) /* a power cut might keep the name and lose the files */
            fail_at_place("cannot write", partial, errno);
        close(folder);
    }
    require_lease();
    if (rename(partial, final) == 0)
        return false;
    if (errno != ENOTEMPTY && errno != EEXIST)
        fail_at_place("cannot rename", partial, errno);
    /* A damaged one has the name. It goes away with the old ones, unless something runs from it. */
    char *aside = join(final, ".damaged", ""), *entries = join_path(final, ENTRIES);
    unlink(entries);
    remove_tree(aside);
    if (rename(final, aside) < 0 || rename(partial, final) < 0)
        fail_at_place("cannot rename", partial, errno);
    free(entries);
    free(aside);
    return true;
}

void remove_damaged(const char *final) {
    char *aside = join(final, ".damaged", ""), *real = realpath(aside, NULL);
    if (real && !folder_in_use(real))
        remove_tree(aside);
    free(real);
    free(aside);
}

void remove_old(const char *app, const char *name, const char *previous) {
    DIR *folder = opendir(app);
    for (struct dirent *entry; folder && has_lease() && (entry = readdir(folder));) {
        char *path = join_path(app, entry->d_name), *real;
        struct stat status;
        char *entries = join_path(path, ENTRIES);
        bool whole = access(entries, F_OK) == 0 && !ends_with(path, ".partial");
        if (*entry->d_name != '.' && strcmp(entry->d_name, name) &&
            (previous ? strcmp(entry->d_name, previous) != 0 : !whole) && lstat(path, &status) == 0 &&
            S_ISDIR(status.st_mode) && (real = realpath(path, NULL))) {
            if (!folder_in_use(real) && !root_in_use(entry->d_name)) {
                unlink(entries); /* else what is left after a power cut would be taken for whole */
                remove_tree(path);
            }
            free(real);
        }
        free(entries);
        free(path);
    }
    if (folder)
        closedir(folder);
}

static bool runs(const char *program) {
    static char target[PATH_MAX];
    DIR *proc = opendir("/proc");
    bool found = false;
    for (struct dirent *entry; proc && !found && (entry = readdir(proc));) {
        char *folder = join_path("/proc", entry->d_name), *path = join_path(folder, "exe");
        ssize_t size = readlink(path, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        found = !strcmp(target, program);
        free(path);
        free(folder);
    }
    if (proc)
        closedir(proc);
    return found;
}

/* Only guards that no process runs, and that were not used for an hour: another host, with another version of incamera,
   brings its guard and runs it a moment later. Each use renews its time. */
void remove_guards(void) {
    static char ours[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", ours, sizeof ours - 1);
    char *name = size > 0 ? strrchr(ours, '/') : NULL;
    if (!name || name - ours < (int)sizeof GUARDS || strncmp(name - sizeof GUARDS, "/" GUARDS, sizeof GUARDS))
        return;
    *name++ = 0;
    DIR *folder = opendir(ours);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (strncmp(entry->d_name, GUARD "-", sizeof GUARD) || !strcmp(entry->d_name, name))
            continue;
        char *path = join_path(ours, entry->d_name);
        struct stat status;
        time_t now = time(NULL);
        if (stat(path, &status) == 0) {
            if (status.st_mtime > now)
                utimensat(AT_FDCWD, path, NULL, 0); /* the camera's clock was set back */
            else if (now - status.st_mtime >= IDLE_SECONDS && !runs(path))
                unlink(path);
        }
        free(path);
    }
    if (folder)
        closedir(folder);
}

/* guard tidy APPS APP NAME [PREVIOUS]: remove what `receive` with `keep` has not removed. If there is a newer bundle
   by now, its own deploy does that. */
int guard_tidy(int argc, char **argv) {
    if (argc < 3 || argc > 4 || !is_safe(argv[1]) || !is_safe(argv[2]))
        fail(EXIT_USAGE, "usage: incamera-guard tidy APPS APP NAME [PREVIOUS]", NULL, 0);
    /* There is no host whose end of standard input could close: an input that does not end makes this wait like a host. */
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[0], 0) < 0)
        fail(EXIT_FAILED, "cannot make", "a pipe", errno);
    char *app = join_path(argv[0], argv[1]);
    refuse_taken(app, APP_DEPTH);
    take_lock(app, TIDYING, false);
    if (is_shared(argv[0]))
        take_lease(argv[0], argv[1], TIDYING, false);
    /* A share's client may show what was the newest a moment ago. */
    const char *newest = read_current(app);
    if (strcmp(newest, argv[2]) && (argc < 4 || strcmp(newest, argv[3])))
        return 0;
    remove_old(app, argv[2], argc == 4 && *argv[3] ? argv[3] : NULL);
    remove_images(argv[0]);
    remove_guards();
    return 0;
}

