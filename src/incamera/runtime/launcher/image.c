/* A runtime in one file. */
#define _GNU_SOURCE
#include "image.h"
#include "output.h"
#include "protocol.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t read_number(const char *text) {
    int64_t number;
    return parse_number(text, INT64_MAX, &number) ? (uint64_t)number : 0;
}

static void add_range(struct image *image, uint64_t start, uint64_t end) {
    image->ranges = require_memory(realloc(image->ranges, (image->range_count + 1) * sizeof *image->ranges));
    image->ranges[image->range_count++] = (struct range){start, end};
}

static void add_part(struct image *image, uint64_t size, const char *path) {
    image->parts = require_memory(realloc(image->parts, (image->part_count + 1) * sizeof *image->parts));
    image->parts[image->part_count++] = (struct part){size, path};
}

static bool is_complete(const struct image *image) {
    bool sound = image->form && image->file && strlen(image->file) >= 64 && !strchr(image->file, '/');
    for (size_t i = 0; i < image->range_count; i++)
        sound = sound && image->ranges[i].start <= image->ranges[i].end && image->ranges[i].end <= image->size;
    return sound;
}

/* Lines of a key and what it says. A key that is not known is from a newer incamera, and not needed. */
void parse_image(const char *path, char *text, struct image *image) {
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        char *key = strsep(&line, " "), *value = line, *more = line ? strchr(line, ' ') : NULL;
        if (!value)
            continue;
        if (!strcmp(key, "form"))
            image->form = value;
        else if (!strcmp(key, "file"))
            image->file = value;
        else if (!strcmp(key, "size"))
            image->size = read_number(value);
        else if (!strcmp(key, "unpacked"))
            image->unpacked = read_number(value);
        else if (!strcmp(key, "read") && more)
            add_range(image, read_number(value), read_number(more + 1));
        else if (!strcmp(key, "check"))
            image->check = (uint32_t)read_number(value);
        else if (!strcmp(key, "unpack") && more)
            add_part(image, read_number(value), more + 1);
    }
    if (!is_complete(image))
        fail(EXIT_IMAGE_DAMAGED, "its description is incomplete, deploy again:", path, 0);
}

_Noreturn void fail_reading(const char *path, int error) {
    if (error == ENOENT || error == ENOTDIR)
        fail(EXIT_IMAGE_DAMAGED, "the image is not there, deploy again:", path, 0);
    fail(EXIT_UNREACHABLE, "cannot read the image (is the share or card still there?):", path, error);
}

_Noreturn void fail_damaged(const char *path) { fail(EXIT_IMAGE_DAMAGED, "the image is damaged, deploy again:", path, 0); }

int open_image_file(const struct image *image, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) < 0)
        fail_reading(path, errno);
    if ((uint64_t)status.st_size != image->size)
        fail_damaged(path);
    return file;
}
