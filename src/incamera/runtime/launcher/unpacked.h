/* Archives are unpacked into RAM: those of runtimes, and those of small apps. */
#ifndef UNPACKED_H
#define UNPACKED_H

#include "image.h"

#include <stddef.h>

/* Unpack IMAGE, the file PATH, to FOLDER. Ends the program where that fails. */
void unpack_image(const struct image *image, const char *path, const char *folder);

/* Unpack an app's tar archive in FOLDER. */
void unpack_app(const char *data, size_t size, const char *folder);

#endif
