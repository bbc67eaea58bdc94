/* Runtimes in the folder IMAGES beside the apps, each one file or a tree, for every bundle whose file `image` names it. */
#ifndef SHARED_IMAGES_H
#define SHARED_IMAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct shared_image {
    const char *file; /* its name in APPS/IMAGES */
    off_t size;
    bool folder;  /* a tree, */
    size_t count; /* of so many entries */
    bool trusted; /* what was checked once is not read again */
    /* Of one that is not here yet: */
    int descriptor;
    bool damaged; /* there is another one under its name */
    char *path, *partial;
    off_t offset; /* so much of it came before */
};

/* Keep others from removing images, for OWNER, until the returned descriptor is closed. */
int share_images(const char *apps, const char *owner);

bool has_image(const char *apps, const struct shared_image *image);

/* Open what came of the image before, unless it is whole by now: then its descriptor is -1. */
void open_image(const char *apps, struct shared_image *image);

/* Read the rest from standard input, check it, and give the image its name. */
void receive_image(struct shared_image *image);

/* Remove the images that no bundle names, unless another process receives one: that process will. */
void remove_images(const char *apps);

#endif
