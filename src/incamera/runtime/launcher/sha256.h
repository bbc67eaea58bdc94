/* SHA-256. Digests are 64 hexadecimal digits and a NUL. */
#ifndef SHA256_H
#define SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_end(struct sha256 *hash, char text[65]);

/* The digest of the file PATH below the open folder FOLDER; false where it cannot be read. */
bool sha256_file(int folder, const char *path, char text[65]);

#endif
