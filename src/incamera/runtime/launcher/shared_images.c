/* Runtimes beside the apps. A process that receives a bundle shares the lock of APPS/IMAGES. A process that has it alone
   may remove images. */
#define _GNU_SOURCE
#include "shared_images.h"
#include "files.h"
#include "lease.h"
#include "listing.h"
#include "lock.h"
#include "output.h"
#include "processes.h"
#include "protocol.h"
#include "sha256.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* OWNER is shown to a deploy that brings a runtime as a tree: it needs the same lock. */
static int lock_images(const char *apps, int how, const char *owner) {
    char *folder = join_path(apps, IMAGES), *path = join_path(folder, ".lock");
    make_parents(path, 1);
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock >= 0 && flock(lock, how) < 0 && errno == EWOULDBLOCK) {
        close(lock);
        lock = -1;
    }
    if (lock >= 0)
        write_holder(lock, owner);
    free(path);
    free(folder);
    return lock;
}

int share_images(const char *apps, const char *owner) { return lock_images(apps, LOCK_SH, owner); }

static bool is_whole_file(const char *path, off_t size) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == size && status.st_mtime == STAMP;
}

/* A folder has got its name when all of it had been checked; since then, files may have been lost or changed. */
static bool is_whole_tree(const char *path, const struct shared_image *image) {
    struct listing listing = {.folder = -1};
    if (!load_listing(&listing, path, true))
        return false;
    bool whole = listing.count == image->count && is_whole(path, &listing, image->trusted);
    free_listing(&listing);
    return whole;
}

static bool is_here(const char *path, const struct shared_image *image) {
    char sha256[65];
    if (image->folder)
        return is_whole_tree(path, image);
    return is_whole_file(path, image->size) &&
           (image->trusted || (sha256_file(AT_FDCWD, path, sha256) && !strncmp(image->file, sha256, 64)));
}

bool has_image(const char *apps, const struct shared_image *image) {
    char *images = join_path(apps, IMAGES), *path = join_path(images, image->file);
    bool there = is_here(path, image);
    free(path);
    free(images);
    return there;
}

void open_image(const char *apps, struct shared_image *image) {
    char *images = join_path(apps, IMAGES);
    image->path = join_path(images, image->file);
    image->partial = join(image->path, ".partial", "");
    free(images);
    const int how = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    image->descriptor = open(image->partial, how, 0644);
    /* One that was sealed already, or is another user's, is begun again. */
    if (image->descriptor < 0 && errno == EACCES && unlink(image->partial) == 0)
        image->descriptor = open(image->partial, how, 0644);
    if (image->descriptor < 0)
        fail_at_place("cannot write", image->partial, errno);
    flock(image->descriptor, LOCK_EX); /* two apps may bring the same one */
    if (is_here(image->path, image)) {
        close(image->descriptor);
        image->descriptor = -1;
        return;
    }
    image->damaged = access(image->path, F_OK) == 0;
    image->offset = lseek(image->descriptor, 0, SEEK_END);
    if (image->offset > image->size && ftruncate(image->descriptor, 0) == 0)
        image->offset = 0;
}

void receive_image(struct shared_image *image) {
    static char buffer[1 << 16];
    struct sha256 hash;
    char sha256[65];
    int file = image->descriptor;
    sha256_start(&hash);
    for (off_t at = 0; at < image->offset;) {
        ssize_t got = pread(file, buffer, sizeof buffer, at);
        if (got <= 0)
            fail_at_place("cannot read", image->partial, errno);
        sha256_add(&hash, buffer, (size_t)got);
        at += got;
    }
    lseek(file, image->offset, SEEK_SET);
    for (off_t at = image->offset; at < image->size;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        off_t left = image->size - at;
        int ready = poll(&input, 1, SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        ssize_t got = ready > 0 ? read(0, buffer, left < (off_t)sizeof buffer ? (size_t)left : sizeof buffer) : 0;
        if (got <= 0)
            fail(EXIT_INTERRUPTED, "the connection ended", NULL, 0);
        if (!write_all(file, buffer, (size_t)got))
            fail_at_place("cannot write", image->partial, errno);
        sha256_add(&hash, buffer, (size_t)got);
        at += got;
    }
    sha256_end(&hash, sha256);
    require_lease();
    if (strncmp(image->file, sha256, 64)) {
        unlink(image->partial);
        fail(EXIT_DAMAGED, "not what its name says:", image->path, 0);
    }
    const struct timespec times[2] = {{.tv_sec = STAMP}, {.tv_sec = STAMP}};
    bool kept = fsync(file) == 0 && futimens(file, times) == 0;
    fchmod(file, 0444); /* only now: the steps before may take long, and after an interruption the file must still be writable */
    if (!kept || close(file) < 0 || rename(image->partial, image->path) < 0)
        fail_at_place("cannot write", image->path, errno);
}

/* Is FILE named by the file `image` of any bundle below APPS? */
static bool is_named(const char *apps, const char *file) {
    bool named = false;
    char *line = join("file ", file, "\n");
    DIR *folder = opendir(apps);
    for (struct dirent *app; folder && !named && (app = readdir(folder));) {
        if (*app->d_name == '.')
            continue;
        char *path = join_path(apps, app->d_name);
        DIR *bundles = opendir(path);
        for (struct dirent *bundle; bundles && !named && (bundle = readdir(bundles));)
            if (*bundle->d_name != '.' && strncmp(bundle->d_name, CURRENT, 7)) {
                char *root = join_path(path, bundle->d_name), *image = join_path(root, "image");
                char *text = read_file(image, NULL);
                named = text && strstr(text, line);
                free(text);
                free(image);
                free(root);
            }
        if (bundles)
            closedir(bundles);
        free(path);
    }
    if (folder)
        closedir(folder);
    free(line);
    return named;
}

void remove_images(const char *apps) {
    char *folder = join_path(apps, IMAGES);
    DIR *images = opendir(folder);
    int lock = images ? lock_images(apps, LOCK_EX | LOCK_NB, TIDYING) : -1;
    for (struct dirent *entry; lock >= 0 && has_lease() && (entry = readdir(images));)
        if (*entry->d_name != '.' && !is_named(apps, entry->d_name)) {
            char *path = join_path(folder, entry->d_name), *real = realpath(path, NULL);
            if (real && !folder_in_use(real))
                remove_tree(path);
            free(real);
            free(path);
        }
    if (images)
        closedir(images);
    if (lock >= 0)
        close(lock);
    free(folder);
}
