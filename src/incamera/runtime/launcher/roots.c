/* The folders of links in RAM that bundles run from, and the images that they link to. */
#define _GNU_SOURCE
#include "roots.h"
#include "files.h"
#include "json.h"
#include "mounted.h"
#include "output.h"
#include "place.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A run begins a moment after its bundle was activated: until then no process runs from the root, and yet it is needed. */
#define YOUNG_SECONDS 15
#define LOCK_WAIT_MS 60000
#define LOCK_PAUSE_MS 20

void take_roots_lock(void) {
    const char *roots = roots_folder(), *folders[] = {roots, images_folder()};
    int lock = -1;
    for (int i = 0; i < 2; i++) {
        int folder = open_own_folder(folders[i], WHOLE_PATH, true);
        if (folder == TAKEN_FOLDER)
            fail_taken();
        if (folder < 0)
            fail_in_ram("cannot make", folders[i], errno);
        if (!i)
            lock = openat(folder, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
        close(folder);
    }
    if (lock < 0)
        fail_in_ram("cannot lock", roots, errno);
    for (int waited = 0; flock(lock, LOCK_EX | LOCK_NB) < 0; waited += LOCK_PAUSE_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            fail(EXIT_FAILED, "cannot lock", roots, errno);
        /* A process that reads from a share whose server is away may never end, and cannot be killed. */
        if (waited >= LOCK_WAIT_MS)
            fail(EXIT_LOCKED, "another process has been at work for a minute in", roots, 0);
        poll(NULL, 0, LOCK_PAUSE_MS);
    }
}

bool read_made_of(const char *root, char *lines[2]) {
    char *path = join_path(root, MADE_OF), *text = read_file(path, NULL), *rest = text;
    free(path);
    for (int i = 0; text && i < 2; i++)
        if (!(lines[i] = strsep(&rest, "\n")) || !rest) {
            free(text);
            return false;
        }
    return text;
}

/* Does any process have TEXT in its file NAME below /proc? */
static bool mentions(const char *pid, const char *name, const char *text) {
    char *folder = join_path("/proc", pid), *path = join_path(folder, name);
    size_t size = 0;
    char *data = read_file(path, &size);
    bool found = data && memmem(data, size, text, strlen(text));
    free(data);
    free(path);
    free(folder);
    return found;
}

/* The files that a process has mapped are those of the image. But its command line begins with the root's loader, and its
   children inherit the environment that the launcher sets. */
bool root_in_use(const char *name) {
    char *root = join_path(roots_folder(), name), *start = join(root, "/", "");
    DIR *proc = opendir("/proc");
    bool used = false;
    for (struct dirent *entry; proc && !used && (entry = readdir(proc));)
        used = isdigit((unsigned char)*entry->d_name) && atoi(entry->d_name) != getpid() &&
               (mentions(entry->d_name, "cmdline", start) || mentions(entry->d_name, "environ", start));
    if (proc)
        closedir(proc);
    free(start);
    free(root);
    return used;
}

void remove_root(const char *root) {
    char *app = join_path(root, "app"), *made_of = join_path(root, MADE_OF);
    unlink(made_of); /* what is left is not taken for whole */
    bool free_of_mounts = umount2(app, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT || geteuid() != 0;
    if (free_of_mounts)
        remove_tree(root);
    free(made_of);
    free(app);
}

void renew_root(const char *root) {
    char *path = join_path(root, MADE_OF);
    utimensat(AT_FDCWD, path, NULL, 0);
    free(path);
}

static bool is_young(const char *root) {
    struct stat status;
    char *path = join_path(root, MADE_OF);
    time_t now = time(NULL);
    bool young = stat(path, &status) == 0 && status.st_mtime <= now && now - status.st_mtime < YOUNG_SECONDS;
    free(path);
    return young;
}

void drop_roots(const char *keep, const char *app) {
    DIR *folder = opendir(roots_folder());
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (is_hidden(entry) || (keep && !strcmp(entry->d_name, keep)))
            continue;
        char *root = join_path(roots_folder(), entry->d_name), *lines[2];
        bool whole = read_made_of(root, lines);
        char *owner = whole ? parent_of(lines[0]) : NULL;
        if (!whole || !app || !strcmp(name_of(owner), app))
            if (!(whole && keep && is_young(root)) && !root_in_use(entry->d_name))
                remove_root(root);
        if (whole)
            free(lines[0]);
        free(owner);
        free(root);
    }
    if (folder)
        closedir(folder);
}

static bool is_named(const char *image) {
    DIR *folder = opendir(roots_folder());
    bool named = false;
    for (struct dirent *entry; folder && !named && (entry = readdir(folder));) {
        char *root = join_path(roots_folder(), entry->d_name), *lines[2];
        if (!is_hidden(entry) && read_made_of(root, lines)) {
            named = !strcmp(lines[1], image);
            free(lines[0]);
        }
        free(root);
    }
    if (folder)
        closedir(folder);
    return named;
}

void drop_images(void) {
    DIR *folder = opendir(images_folder());
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *image = join_path(images_folder(), entry->d_name);
        if (!is_hidden(entry) && !is_named(image))
            drop_image(image);
        free(image);
    }
    if (folder)
        closedir(folder);
}

static void list_root(const char *path, const char *name) {
    char *lines[2];
    bool whole = read_made_of(path, lines);
    begin_object();
    answer_text(KEY_NAME, name);
    answer_text(KEY_BUNDLE, whole ? lines[0] : NULL);
    answer_flag(KEY_USED, root_in_use(name));
    end_object();
    if (whole)
        free(lines[0]);
}

static void list_image(const char *path, const char *name) {
    begin_object();
    answer_text(KEY_NAME, name);
    answer_flag(KEY_MOUNTED, is_mounted(path));
    answer_flag(KEY_USED, folder_in_use(path));
    end_object();
}

static void list_entries(const char *key, const char *place, void (*list)(const char *path, const char *name)) {
    DIR *folder = is_own_folder(place) ? opendir(place) : NULL;
    begin_list(key);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (!is_hidden(entry)) {
            char *path = join_path(place, entry->d_name);
            list(path, entry->d_name);
            free(path);
        }
    end_list();
    if (folder)
        closedir(folder);
}

void list_roots(void) {
    begin_answer(ANSWER_LISTED);
    list_entries(KEY_ROOTS, roots_folder(), list_root);
    list_entries(KEY_IMAGES, images_folder(), list_image);
    end_answer();
}
