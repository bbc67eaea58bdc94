/* A bundle that lies there as one image is made to stand: its root is a folder of links in RAM that looks like the tree.

   /tmp/incamera-images/DIGEST/    the runtime, mounted or unpacked; one for all bundles that have it
   /tmp/incamera-roots/NAME/       what the bundle NAME runs from:
       bin/            real files: the launcher finds its bundle by where it lies itself
       device/         real files, written here as the `image` text says
       app/            a small app: real files, from an archive behind that text
       app, bundle.json, lib, ...   links to where these are
       .stands         what it was made of: the folders of bundle and runtime, a line each; written last
   /tmp/incamera-roots/.lock       held while any of this is changed

   What stands already is told without asking the place: on a network share each question costs a round trip. */
#define _GNU_SOURCE
#include "standing.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define STANDS ".stands"
/* A run begins a moment after its root was made to stand: until then nobody runs from it, and yet it is wanted. */
#define YOUNG_SECONDS 15

static char *parent_of(const char *path) {
    char *parent = join(path, "", ""), *slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        fail(2, "not the folder of a bundle:", path, 0);
    *slash = 0;
    return parent;
}

static const char *name_of(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }

static bool is_hidden(const struct dirent *entry) { return *entry->d_name == '.'; }

static void make_own_folder(const char *path) {
    struct stat status;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        fail(1, "cannot make", path, errno);
    /* Everybody may write to /tmp: what another user has put there is not run. */
    if (lstat(path, &status) < 0 || !S_ISDIR(status.st_mode) || status.st_uid != geteuid())
        fail(1, "another user has taken", path, 0);
}

static void take_roots_lock(void) {
    make_own_folder(ROOTS);
    make_own_folder(IMAGES);
    int lock = open(ROOTS "/.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    while (lock >= 0 && flock(lock, LOCK_EX) < 0)
        if (errno != EINTR)
            fail(1, "cannot lock", ROOTS, errno);
    if (lock < 0)
        fail(1, "cannot lock", ROOTS, errno);
}

/* Read what ROOT is made of, into two lines; false when it is not whole. Both are freed with the first. */
static bool read_stands(const char *root, char *lines[2]) {
    char *path = join_path(root, STANDS), *text = read_file(path, NULL), *rest = text;
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

/* Does a process run from the root NAME? The files that it has mapped are those of the image, but its command line begins with the root's
   loader, and its children inherit the environment that the launcher sets. */
bool root_in_use(const char *name) {
    char *folder = join(ROOTS "/", name, "/");
    DIR *proc = opendir("/proc");
    bool used = false;
    for (struct dirent *entry; proc && !used && (entry = readdir(proc));)
        used = isdigit((unsigned char)*entry->d_name) && atoi(entry->d_name) != getpid() &&
               (mentions(entry->d_name, "cmdline", folder) || mentions(entry->d_name, "environ", folder));
    if (proc)
        closedir(proc);
    free(folder);
    return used;
}

/* Remove a root, and never what is mounted in it. */
static void remove_root(const char *root) {
    char *app = join_path(root, "app"), *stands = join_path(root, STANDS);
    unlink(stands); /* what is left is not taken for whole */
    bool free_of_mounts = umount2(app, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT || geteuid() != 0;
    if (free_of_mounts)
        remove_tree(root);
    free(stands);
    free(app);
}

/* The `image` text. */

static uint64_t read_number(const char *text) { return strtoull(text, NULL, 10); }

static void read_image(const char *path, char *text, struct image *image) {
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char *key = strsep(&line, " ");
        if (!line)
            continue;
        if (!strcmp(key, "form"))
            image->form = line;
        else if (!strcmp(key, "file"))
            image->file = line;
        else if (!strcmp(key, "size"))
            image->size = read_number(line);
        else if (!strcmp(key, "unpacked"))
            image->unpacked = read_number(line);
        else if (!strcmp(key, "hot"))
            image->hot = read_number(line);
        else if (!strcmp(key, "tables"))
            image->tables = read_number(line);
        else if (!strcmp(key, "check"))
            image->check = (uint32_t)read_number(line);
    }
    if (!image->form || !image->file || strlen(image->file) < 64 || strchr(image->file, '/') || image->hot > image->size ||
        image->tables > image->size)
        fail(EXIT_UNSOUND, "not whole, deploy again:", path, 0);
}

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
            fail(1, "cannot write", full, errno);
        free(full);
    }
}

/* Roots. */

static void copy_programs(const char *from, const char *to) {
    DIR *folder = mkdir(to, 0755) == 0 ? opendir(from) : NULL;
    if (!folder)
        fail(1, "cannot make", to, errno);
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
        fail(1, "cannot make the link", path, errno);
    free(path);
}

/* A card may forbid to execute what lies on it, and libraries of the app are executed: root can show its folder another way. */
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

/* An app that is linked still finds `../lib` beside it, as a program does whose libraries it names by $ORIGIN: the kernel tells it where it really lies.
   Where there are no links, on FAT, it must do without. */
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
        fail(errno == ENOSPC ? EXIT_NO_MEMORY : 1, "cannot make", partial, errno);
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
    char *stands = join_path(partial, STANDS);
    if (!write_file(stands, lines, strlen(lines), 0644))
        fail(errno == ENOSPC ? EXIT_NO_MEMORY : 1, "cannot write", stands, errno);
    remove_root(root);
    if (rename(partial, root) < 0)
        fail(1, "cannot rename", partial, errno);
}

/* Return where the runtime of BUNDLE is, once it stands there. */
static char *ensure_runtime(const char *bundle, const struct image *image) {
    char *app = parent_of(bundle), *apps = parent_of(app), *images = join_path(apps, ".images");
    char *path = join_path(images, image->file);
    if (!strcmp(image->form, "tree"))
        return path;
    char *digest = join(image->file, "", ""), *dot = strchr(digest, '.');
    if (dot)
        *dot = 0;
    char *folder = join_path(IMAGES, digest);
    if (!strcmp(image->form, "squashfs")) {
        if (is_mounted(folder) && !stands_still(folder))
            umount2(folder, MNT_DETACH | UMOUNT_NOFOLLOW);
        if (!is_mounted(folder))
            mount_image(image, path, folder);
    } else if (!strcmp(image->form, "archive")) {
        if (!stands_still(folder))
            unpack_image(image, path, folder);
    } else
        fail(2, "an unknown form of image:", image->form, 0);
    return folder;
}

/* What is left over. The lock is held. */

static void renew(const char *root) {
    char *path = join_path(root, STANDS);
    utimensat(AT_FDCWD, path, NULL, 0);
    free(path);
}

static bool is_young(const char *root) {
    struct stat status;
    char *path = join_path(root, STANDS);
    time_t now = time(NULL);
    bool young = stat(path, &status) == 0 && status.st_mtime <= now && now - status.st_mtime < YOUNG_SECONDS;
    free(path);
    return young;
}

/* Drop the roots that nobody runs from, but KEEP: those of APP alone, by its folder's name, since an app stands in one place; NULL: of all. */
static void drop_roots(const char *keep, const char *app) {
    DIR *folder = opendir(ROOTS);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (is_hidden(entry) || (keep && !strcmp(entry->d_name, keep)))
            continue;
        char *root = join_path(ROOTS, entry->d_name), *lines[2];
        bool whole = read_stands(root, lines);
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
    DIR *folder = opendir(ROOTS);
    bool named = false;
    for (struct dirent *entry; folder && !named && (entry = readdir(folder));) {
        char *root = join_path(ROOTS, entry->d_name), *lines[2];
        if (!is_hidden(entry) && read_stands(root, lines)) {
            named = !strcmp(lines[1], image);
            free(lines[0]);
        }
        free(root);
    }
    if (folder)
        closedir(folder);
    return named;
}

static void drop_images(void) {
    DIR *folder = opendir(IMAGES);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *image = join_path(IMAGES, entry->d_name);
        if (!is_hidden(entry) && !is_named(image))
            drop_image(image);
        free(image);
    }
    if (folder)
        closedir(folder);
}

static void list_all(void) {
    const char *places[] = {ROOTS, IMAGES};
    for (int i = 0; i < 2; i++) {
        DIR *folder = opendir(places[i]);
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
            if (is_hidden(entry))
                continue;
            char *path = join_path(places[i], entry->d_name), *lines[2];
            say(i ? "image " : "root ");
            say(entry->d_name);
            if (i)
                say(is_mounted(path) ? " mounted" : " unpacked");
            else if (read_stands(path, lines)) {
                say(" ");
                say(lines[0]);
                free(lines[0]);
            } else
                say(" ?");
            say((i ? folder_in_use(path) : root_in_use(entry->d_name)) ? " used\n" : " idle\n");
            free(path);
        }
        if (folder)
            closedir(folder);
    }
}

static bool tell_if_standing(const char *bundle, const char *root) {
    char *lines[2];
    bool standing = read_stands(root, lines) && !strcmp(lines[0], bundle) && stands_still(lines[1]);
    if (standing) {
        renew(root);
        say(root);
        say("\n");
    }
    return standing;
}

static void stand(const char *bundle) {
    const char *name = name_of(bundle);
    char *root = join_path(ROOTS, name), *app = parent_of(bundle);
    if (tell_if_standing(bundle, root))
        return;
    size_t size = 0;
    char *path = join_path(bundle, "image"), *text = read_file(path, &size);
    if (!text && errno != ENOENT)
        fail(EXIT_UNREACHABLE, "cannot read the bundle (is the share or card still there?):", bundle, errno);
    if (!text) { /* a tree stands by itself */
        char *program = join_path(bundle, "bin/python3");
        if (access(program, F_OK) < 0)
            fail(errno == ENOENT ? EXIT_UNSOUND : EXIT_UNREACHABLE, "there is no bundle in", bundle, errno == ENOENT ? 0 : errno);
        say(bundle);
        say("\n");
        return;
    }
    umask(022);
    take_roots_lock();
    /* Another may have been faster, and somebody runs from it already. */
    if (tell_if_standing(bundle, root))
        return;
    char *copy = join(text, "", "");
    struct image image = {0};
    read_image(path, copy, &image);
    char *runtime = ensure_runtime(bundle, &image);
    make_root(bundle, runtime, text, size, root);
    say(root);
    say("\n");
    /* The host need not wait for the rest. */
    if (fork() > 0)
        return;
    for (int i = 0; i < 3; i++)
        close(i);
    setsid();
    drop_roots(name, name_of(app));
    drop_images();
}

int guard_stand(int argc, char **argv) {
    const char *what = argc == 1 ? argv[0] : "";
    if (*what == '/') {
        stand(what);
    } else if (!strcmp(what, "--try")) {
        return try_images();
    } else if (!strcmp(what, "--list")) {
        list_all();
    } else if (!strcmp(what, "--drop")) {
        take_roots_lock();
        drop_roots(NULL, NULL);
        drop_images();
    } else
        fail(2, "usage: incamera-guard stand BUNDLE_FOLDER|--try|--list|--drop", NULL, 0);
    return 0;
}
