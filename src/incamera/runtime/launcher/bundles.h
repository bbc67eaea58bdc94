/* What the parts of `receive` share. */
#ifndef BUNDLES_H
#define BUNDLES_H

#include <stdbool.h>
#include <sys/types.h>

enum { EXIT_DAMAGED = 3, EXIT_NO_SPACE = 4, EXIT_BUSY = 5, EXIT_INTERRUPTED = 6, EXIT_NO_IMAGE = 9 };

#define IMAGES ".images"
/* Every file is given this time once it has been checked: one with another time was changed since. */
#define STAMP 946684800
/* A host that says nothing for so long is gone. */
#define SILENCE_MS 30000

/* lock.c */
void take_lock(const char *folder, const char *who, bool take_over);

/* images.c */
struct image {
    const char *file; /* its name in APPS/.images */
    off_t size;
    bool folder; /* a runtime as a tree */
    /* Of one that is not here yet: */
    int descriptor;
    char *path, *partial;
    off_t offset;
};
int share_images(const char *apps);
bool has_image(const char *apps, const struct image *image);
void open_image(const char *apps, struct image *image);
void receive_image(struct image *image);
void remove_images(const char *apps);

#endif
