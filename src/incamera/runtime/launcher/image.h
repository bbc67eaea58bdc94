/* A runtime in one file, as a bundle's `image` text describes it; see docs/explanation/start-up.md. */
#ifndef IMAGE_H
#define IMAGE_H

#include <stddef.h>
#include <stdint.h>

/* What is read ahead of an image, from the first byte to before the last. */
struct range {
    uint64_t start, end;
};

/* A file in an image that a start reads, and how much of it. */
struct part {
    uint64_t size;
    const char *path;
};

struct image {
    const char *form, *file;
    uint64_t size, unpacked;
    struct range *ranges;
    size_t range_count;
    struct part *parts;
    size_t part_count;
    uint32_t check;
};

/* Take TEXT apart, in place, which was read from PATH. Ends the program where it is damaged. */
void parse_image(const char *path, char *text, struct image *image);

/* Open the file PATH. Ends the program where it is not there or has another size. */
int open_image_file(const struct image *image, const char *path);

/* End the program: PATH could not be read because of ERROR; PATH is not what it was. */
_Noreturn void fail_reading(const char *path, int error);
_Noreturn void fail_damaged(const char *path);

#endif
