/* Runtimes as squashfs files are mounted. */
#ifndef MOUNTED_H
#define MOUNTED_H

#include "image.h"

#include <stdbool.h>

/* Mount IMAGE, the file PATH, at FOLDER. Ends the program where that fails. */
void mount_image(const struct image *image, const char *path, const char *folder);

/* Is a squashfs mounted at FOLDER? */
bool is_mounted(const char *folder);

/* Can the runtime in FOLDER still be read? One that is mounted must be tied to a file that is still there. */
bool is_intact(const char *folder);

/* Unmount the image at FOLDER, also while it is in use, without waiting for the server of the share that it lies on. */
void detach_image(const char *folder);

/* Unmount or remove the runtime in FOLDER, unless a process uses it. */
bool drop_image(const char *folder);

#endif
