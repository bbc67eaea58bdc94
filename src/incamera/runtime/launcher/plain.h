/* An archive that is not packed: files one after the other, which the guard writes itself. */
#ifndef PLAIN_H
#define PLAIN_H

#include "listing.h"
#include "sha256.h"

#include <stdint.h>

/* What has come of the file that is being written. */
struct plain {
    struct listing *wanted; /* whose missing entries come, below its folder */
    struct entry *entry;    /* NULL between two files */
    off_t left;
    int file; /* negative where it cannot be written: what comes is read all the same */
    struct sha256 hash;
    uint32_t number;
    int digits; /* bytes of the number that have come */
};

/* Take the next SIZE bytes of the archive. Does nothing after something that is no entry that is missing. */
void plain_add(struct plain *plain, const char *data, size_t size);

/* The archive has ended, perhaps within a file. */
void plain_end(struct plain *plain);

/* Give a file that is whole its rights and its time. */
void seal(int folder, const struct entry *entry);

#endif
