/* A bundle that lies there as one image: stand.c makes its root, roots.c keeps all of them, mounted.c and unpacked.c are about the images. */
#ifndef STANDING_H
#define STANDING_H

#include "incamera.h"
#include "protocol.h"

#include <dirent.h>

/* What of an image is read ahead, from the first byte to before the last. */
struct range {
    uint64_t start, end;
};

/* A file in an image that a start reads, and how much of it. */
struct part {
    uint64_t size;
    const char *path;
};

/* What a bundle's `image` text says; see docs/explanation/start-up.md. */
struct image {
    const char *form, *file;
    uint64_t size, unpacked;
    struct range *ranges;
    size_t range_count;
    struct part *parts;
    size_t part_count;
    uint32_t check;
};

/* In each root: the folders of the bundle and of the runtime that it was made of, a line each. */
#define STANDS ".stands"

/* roots.c. Wait until no other changes roots or images, for a minute at most; that ends with the process. */
void take_roots_lock(void);

/* Read what ROOT is made of, into two lines; false when it is not whole. Both are freed with the first. */
bool read_stands(const char *root, char *lines[2]);

/* Count the time that a root is spared from now on. */
void renew_root(const char *root);

/* Remove a root, and never what is mounted in it. */
void remove_root(const char *root);

/* Drop the roots that nobody runs from, but KEEP: those of APP alone, by its folder's name, since an app stands in one place; NULL: of all. */
void drop_roots(const char *keep, const char *app);

/* Drop the images that no root names. */
void drop_images(void);

void list_standing(void);

/* The folder that PATH is in; its last part. */
char *parent_of(const char *path);
const char *name_of(const char *path);
bool is_hidden(const struct dirent *entry);

/* mounted.c. Make PATH, an image, stand at FOLDER; end with a message where that cannot be. */
void mount_image(const struct image *image, const char *path, const char *folder);

/* Does a squashfs stand at FOLDER? */
bool is_mounted(const char *folder);

/* Is what stands at FOLDER still tied to a file that is there? */
bool stands_still(const char *folder);

/* Take away what stands at FOLDER, unless a process uses it. */
bool drop_image(const char *folder);

/* Mount a tiny image of each compression, read it, and tell what worked. */
int try_images(void);

/* unpacked.c. The same for an archive, in RAM. */
void unpack_image(const struct image *image, const char *path, const char *folder);

/* Unpack an app's tar archive in FOLDER. */
void unpack_app(const char *data, size_t size, const char *folder);

/* What /proc/meminfo says of KEY, in bytes. */
uint64_t read_memory(const char *key);

/* Wait for CHILD; returns its status. */
int await_child(pid_t child);

/* Open an image that is as large as it should be. */
int open_whole_image(const struct image *image, const char *path);

/* End with a message: PATH could not be read because of ERROR; PATH is not what it was. */
_Noreturn void fail_reading(const char *path, int error);
_Noreturn void fail_damaged(const char *path);

#endif
