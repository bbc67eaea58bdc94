/* What stand.c and standing.c share: a bundle that lies there as one image. */
#ifndef STANDING_H
#define STANDING_H

#include "incamera.h"

enum { EXIT_UNSOUND = 3, EXIT_NO_MEMORY = 4, EXIT_CANNOT = 7, EXIT_UNREACHABLE = 8 };

#define ROOTS "/tmp/incamera-roots"
#define IMAGES "/tmp/incamera-images"

/* What a bundle's `image` text says; see docs/explanation/start-up.md. */
struct image {
    char *form, *file;
    uint64_t size, unpacked, hot, tables;
    uint32_t check;
};

/* Make PATH, an image, stand at FOLDER. Each ends the program with a message where that cannot be. */
void mount_image(const struct image *image, const char *path, const char *folder);
void unpack_image(const struct image *image, const char *path, const char *folder);

/* Unpack an app's tar archive in FOLDER. */
void unpack_app(const char *data, size_t size, const char *folder);

/* Does a squashfs stand at FOLDER? */
bool is_mounted(const char *folder);

/* Is what stands at FOLDER still tied to a file that is there? */
bool stands_still(const char *folder);

/* End with a message: PATH could not be read because of ERROR. */
_Noreturn void fail_reading(const char *path, int error);

/* Take away what stands at FOLDER, unless a process uses it. */
bool drop_image(const char *folder);

/* Mount a tiny image of each compression, read it, and tell what worked. */
int try_images(void);

#endif
