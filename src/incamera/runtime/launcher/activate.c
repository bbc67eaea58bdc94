/* A bundle whose runtime is one image is activated: it gets a root, a folder of links in RAM that looks like the tree.

   /tmp/incamera-images/DIGEST/    the runtime, mounted or unpacked; one for all bundles that have it
   /tmp/incamera-roots/NAME/       what the bundle NAME runs from:
       bin/            real files: the launcher finds its bundle by its own path
       device/         real files, written here as the `image` text says
       app/            a small app: real files, from an archive behind that text
       app, bundle.json, lib, ...   links to where these are
       .made-of        what it was made of: the folders of bundle and runtime, a line each; written last
   /tmp/incamera-roots/.lock       held while any of this is changed

   For a bundle that is active already the place is not asked: on a network share each question costs a round trip. */
#define _GNU_SOURCE
#include "files.h"
#include "image.h"
#include "json.h"
#include "mounted.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "roots.h"
#include "text.h"
#include "unpacked.h"
#include "verbs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Write device/… as the text says: "write PATH TEXT" adds a line to a file, "link PATH TARGET" makes a link. */
static void write_device(const char *root, char *text) {
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char *key = strsep(&line, " "), *path = line ? strsep(&line, " ") : NULL;
        if (!line || (strcmp(key, "write") && strcmp(key, "link")) || strncmp(path, "device/", 7) || strstr(path, ".."))
            continue;
        char *full = join_path(root, path);
        bool made = make_parents(full, strlen(root) + 1);
        if (made && *key == 'l')
            made = symlink(line, full) == 0;
        else if (made) {
            int file = open(full, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
            made = file >= 0 && write_all(file, line, strlen(line)) && write_all(file, "\n", 1);
            if (file >= 0 && close(file) < 0)
                made = false;
        }
        if (!made)
            fail_in_ram("cannot write", full, errno);
        free(full);
    }
}

/* Roots. */

static void copy_programs(const char *from, const char *to) {
    DIR *folder = mkdir(to, 0755) == 0 ? opendir(from) : NULL;
    if (!folder)
        fail_in_ram("cannot make", to, errno);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (is_hidden(entry))
            continue;
        static char target[PATH_MAX];
        char *source = join_path(from, entry->d_name), *copy = join_path(to, entry->d_name);
        ssize_t size = readlink(source, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        if (size > 0 ? symlink(target, copy) < 0 : !copy_file(source, copy, 0555))
            fail(errno == ENOSPC ? EXIT_NO_MEMORY : EXIT_UNREACHABLE, "cannot copy", source, errno);
        free(copy);
        free(source);
    }
    closedir(folder);
}

static void link_into(const char *target, const char *root, const char *name) {
    char *path = join_path(root, name);
    if (symlink(target, path) < 0)
        fail_in_ram("cannot make the link", path, errno);
    free(path);
}

/* A card may be mounted noexec, but the app's libraries are executed. Root can mount the app's folder again without that. */
static void add_app(const char *bundle, const char *root) {
    char *app = join_path(bundle, "app"), *here = join_path(root, "app");
    struct statvfs status;
    bool refuses = statvfs(app, &status) == 0 && (status.f_flag & ST_NOEXEC);
    if (!refuses || mkdir(here, 0755) < 0 || mount(app, here, NULL, MS_BIND, NULL) < 0 ||
        mount(NULL, here, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV, NULL) < 0) {
        umount2(here, MNT_DETACH | UMOUNT_NOFOLLOW);
        rmdir(here);
        link_into(app, root, "app");
    }
    free(here);
    free(app);
}

/* Link the parts of the runtime beside the app as well. For $ORIGIN in a library the kernel gives the real path of the
   app, and `../lib` must exist there. FAT has no links: there the app must do without. */
static void show_neighbours(const char *bundle, const char *partial, const char *root) {
    DIR *folder = opendir(partial);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (!is_hidden(entry) && strcmp(entry->d_name, "app") && strcmp(entry->d_name, "bundle.json")) {
            char *target = join_path(root, entry->d_name), *path = join_path(bundle, entry->d_name);
            if (symlink(target, path) < 0 && errno != EEXIST) {
                closedir(folder);
                folder = NULL;
            }
            free(path);
            free(target);
        }
    if (folder)
        closedir(folder);
}

static void make_root(const char *bundle, const char *runtime, char *text, size_t size, const char *root) {
    char *partial = join(root, ".partial", "");
    remove_root(partial);
    if (mkdir(partial, 0755) < 0)
        fail_in_ram("cannot make", partial, errno);
    DIR *folder = opendir(runtime);
    if (!folder)
        fail_reading(runtime, errno);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (is_hidden(entry) || !strcmp(entry->d_name, "app") || !strcmp(entry->d_name, "device") ||
            !strcmp(entry->d_name, "bundle.json"))
            continue;
        char *from = join_path(runtime, entry->d_name), *to = join_path(partial, entry->d_name);
        if (!strcmp(entry->d_name, "bin"))
            copy_programs(from, to);
        else
            link_into(from, partial, entry->d_name);
        free(to);
        free(from);
    }
    closedir(folder);
    char *manifest = join_path(bundle, "bundle.json");
    link_into(manifest, partial, "bundle.json");
    const char *packed = text + strlen(text) + 1, *end = text + size;
    write_device(partial, text);
    if (packed < end)
        unpack_app(packed, (size_t)(end - packed), partial);
    else {
        add_app(bundle, partial);
        show_neighbours(bundle, partial, root);
    }

    char *first = join(bundle, "\n", runtime), *lines = join(first, "\n", "");
    char *made_of = join_path(partial, MADE_OF);
    if (!write_file(made_of, lines, strlen(lines), 0644))
        fail_in_ram("cannot write", made_of, errno);
    remove_root(root);
    if (rename(partial, root) < 0)
        fail(EXIT_FAILED, "cannot rename", partial, errno);
}

/* Mount or unpack the runtime of BUNDLE, unless it is there already. Returns its folder. */
static char *ensure_runtime(const char *bundle, const struct image *image, bool remake) {
    char *app = parent_of(bundle), *apps = parent_of(app), *images = join_path(apps, IMAGES);
    char *path = join_path(images, image->file);
    if (!strcmp(image->form, "tree"))
        return path;
    char *digest = copy_text(image->file), *dot = strchr(digest, '.');
    if (dot)
        *dot = 0;
    char *folder = join_path(images_folder(), digest);
    if (!strcmp(image->form, "squashfs")) {
        if (is_mounted(folder) && (remake || !is_intact(folder)))
            detach_image(folder);
        if (!is_mounted(folder))
            mount_image(image, path, folder);
    } else if (!strcmp(image->form, "archive")) {
        if (!is_intact(folder))
            unpack_image(image, path, folder);
    } else
        fail(EXIT_USAGE, "an unknown form of image:", image->form, 0);
    return folder;
}

static void answer_active(const char *root) {
    begin_answer(ANSWER_ACTIVATED);
    answer_text(KEY_ROOT, root);
    end_answer();
}

static bool answer_if_active(const char *bundle, const char *root) {
    char *lines[2];
    /* Who owns the roots is checked here, since the lock, which does it too, has not been taken yet. */
    bool active = is_own_folder(roots_folder()) && read_made_of(root, lines) && !strcmp(lines[0], bundle) && is_intact(lines[1]);
    if (active) {
        renew_root(root);
        answer_active(root);
    }
    return active;
}

/* REMAKE: also where the bundle is active, because what is active was made of a damaged image. */
static void activate(const char *bundle, bool remake) {
    const char *name = name_of(bundle);
    char *root = join_path(roots_folder(), name), *app = parent_of(bundle);
    if (!remake && answer_if_active(bundle, root))
        return;
    refuse_taken(bundle, BUNDLE_DEPTH);
    size_t size = 0;
    char *path = join_path(bundle, "image"), *text = read_file(path, &size);
    if (!text && errno != ENOENT)
        fail(EXIT_UNREACHABLE, "cannot read the bundle (is the share or card still there?):", bundle, errno);
    if (!text) { /* a tree runs where it is */
        char *program = join_path(bundle, "bin/python3");
        if (access(program, F_OK) < 0)
            fail(errno == ENOENT ? EXIT_IMAGE_DAMAGED : EXIT_UNREACHABLE, "there is no bundle in", bundle, errno == ENOENT ? 0 : errno);
        answer_active(bundle);
        return;
    }
    umask(022);
    take_roots_lock();
    /* Another process may have been faster, and an app may run from the root already. */
    if (!remake && answer_if_active(bundle, root))
        return;
    char *copy = copy_text(text);
    struct image image = {0};
    parse_image(path, copy, &image);
    char *runtime = ensure_runtime(bundle, &image, remake);
    make_root(bundle, runtime, text, size, root);
    answer_active(root);
    /* The host need not wait for the rest. */
    if (fork() > 0)
        return;
    let_go_of_host();
    drop_roots(name, name_of(app));
    drop_images();
}

/* guard activate [--remake] BUNDLE_FOLDER: prints where the bundle runs from. */
int guard_activate(int argc, char **argv) {
    bool remake = argc == 2 && !strcmp(argv[0], "--remake");
    if (argc != 1 + remake || *argv[remake] != '/')
        fail(EXIT_USAGE, "usage: incamera-guard activate [--remake] BUNDLE_FOLDER", NULL, 0);
    activate(argv[remake], remake);
    return 0;
}

/* guard deactivate: what no process runs from is taken away. */
int guard_deactivate(int argc, char **argv) {
    (void)argv;
    if (argc)
        fail(EXIT_USAGE, "usage: incamera-guard deactivate", NULL, 0);
    take_roots_lock();
    drop_roots(NULL, NULL);
    drop_images();
    return 0;
}

/* guard list: prints the roots and the runtimes, mounted or unpacked, and which of them are used. */
int guard_list(int argc, char **argv) {
    (void)argv;
    if (argc)
        fail(EXIT_USAGE, "usage: incamera-guard list", NULL, 0);
    list_roots();
    return 0;
}
