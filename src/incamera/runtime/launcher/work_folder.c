/* The folder in which an app works.

   PLACE/incamera/.work/APP/
       files    a link to the folder of the app's files: in a bundle, or the live folder of an agent
       app/     where the app is started: folders like those there, with a link to each file, through `files`

   The kernel knows a process's folder by its real path, so `app` is a folder and no link. What the app writes into it stays.
   An edit or a deploy changes `files`, and the links whose files have come or gone. A file of the project always gets its
   name, even where the app has put something in its place. */
#define _GNU_SOURCE
#include "work_folder.h"
#include "files.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* DEPTH of `app` in its place: our folder, WORK_FOLDERS, the app's folder, and `app`. */
#define WORK_DEPTH 4
/* Byte-code is linked as a whole: Python would not look for it beside what a link leads to. */
#define BYTE_CODE "__pycache__"

static bool is_link_to(const char *path, const char *target) {
    static char found[PATH_MAX];
    ssize_t size = readlink(path, found, sizeof found - 1);
    found[size < 0 ? 0 : size] = 0;
    return size > 0 && !strcmp(found, target);
}

static bool is_folder(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* Several processes may do this at a time. */
static bool put_link(const char *target, const char *path, bool whole) {
    for (int attempt = 0; attempt < 3; attempt++) {
        if (is_link_to(path, target) || symlink(target, path) == 0)
            return true;
        if (errno != EEXIST)
            return false;
        if (!is_folder(path))
            unlink(path);
        else if (whole)
            remove_tree(path);
        else if (rmdir(path) < 0)
            return true; /* the app keeps something in a folder of that name */
    }
    return is_link_to(path, target);
}

static bool put_folder(const char *path) {
    if (mkdir(path, 0755) == 0 || is_folder(path))
        return true;
    return errno == EEXIST && (unlink(path) == 0 || errno == ENOENT) && (mkdir(path, 0755) == 0 || is_folder(path));
}

static bool is_entry(const struct dirent *entry) { return strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."); }

/* Link all that is in SOURCE into HERE. THROUGH is SOURCE by way of `files`. */
static bool put_links(const char *source, const char *through, const char *here) {
    DIR *folder = opendir(source);
    bool good = folder;
    for (struct dirent *entry; good && (entry = readdir(folder));) {
        if (!is_entry(entry))
            continue;
        char *from = join_path(source, entry->d_name), *target = join_path(through, entry->d_name);
        char *path = join_path(here, entry->d_name);
        bool byte_code = !strcmp(entry->d_name, BYTE_CODE);
        if (!byte_code && is_folder(from))
            good = put_folder(path) && put_links(from, target, path);
        else
            good = put_link(target, path, byte_code);
        free(path);
        free(target);
        free(from);
    }
    int error = errno;
    if (folder)
        closedir(folder);
    errno = error;
    return good;
}

/* Remove our links in HERE to what is not in SOURCE, and the folders that are empty without them. Were there any? */
static bool drop_links(const char *source, const char *through, const char *here) {
    DIR *folder = opendir(here);
    bool dropped = false;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (!is_entry(entry))
            continue;
        char *from = join_path(source, entry->d_name), *target = join_path(through, entry->d_name);
        char *path = join_path(here, entry->d_name);
        struct stat status;
        if (is_folder(path)) {
            if (drop_links(from, target, path)) {
                dropped = true;
                if (!is_folder(from))
                    rmdir(path);
            }
        } else if (is_link_to(path, target) && lstat(from, &status) < 0)
            dropped = unlink(path) == 0 || dropped;
        free(path);
        free(target);
        free(from);
    }
    if (folder)
        closedir(folder);
    return dropped;
}

/* Have the app's folder WORK show the files of the folder SOURCE; false with errno where that fails. */
static bool show_files(const char *source, const char *work) {
    char *files = join_path(work, WORK_FILES), *here = join_path(work, WORK_APP), *fresh = join(files, ".new", "");
    bool good = true;
    if (!is_link_to(files, source)) {
        unlink(fresh);
        good = symlink(source, fresh) == 0 && rename(fresh, files) == 0;
    }
    if (good) {
        drop_links(source, files, here);
        good = put_links(source, files, here);
    }
    int error = errno;
    free(fresh);
    free(here);
    free(files);
    errno = error;
    return good;
}

/* Open the app's working folder, which is made if it is missing; -1 with errno where that fails. */
static int open_work_folder(const char *app) {
    int folder = open_own_folder(app, WORK_DEPTH, true);
    if (folder == TAKEN_FOLDER)
        fail_taken();
    return folder;
}

void enter_work_folder(void) {
    const char *work = getenv(WORK_VARIABLE);
    char *source = work && *work == '/' ? getcwd(NULL, 0) : NULL;
    if (source) {
        char *app = join_path(work, WORK_APP);
        int folder = open_work_folder(app);
        if (folder >= 0 && show_files(source, work) && fchdir(folder) == 0)
            setenv("PWD", app, 1);
        else {
            char *reason = join(": ", strerror(errno), "; the app is started in ");
            char *first = join(program_name, ": cannot make ", app), *last = join(source, "\n", "");
            char *text = join(first, reason, last);
            write_all(2, text, strlen(text));
            free(text);
            free(last);
            free(first);
            free(reason);
        }
        if (folder >= 0)
            close(folder);
        free(app);
        free(source);
    }
    unsetenv(WORK_VARIABLE);
}

/* guard show SOURCE WORK: have the app's folder WORK show the files of the folder SOURCE. */
int guard_show(int argc, char **argv) {
    if (argc != 2 || *argv[0] != '/' || *argv[1] != '/')
        fail(EXIT_USAGE, "usage: incamera-guard show SOURCE WORK", NULL, 0);
    char *app = join_path(argv[1], WORK_APP);
    if (open_work_folder(app) < 0 || !show_files(argv[0], argv[1]))
        fail_in_ram("cannot make", app, errno);
    return 0;
}
