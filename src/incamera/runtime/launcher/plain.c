/* An archive that is not packed: for each file the number of its entry, four bytes with the highest first, and as many bytes
   as the listing says. `tar` takes several times as long for thousands of small files, and they would be read again. */
#define _GNU_SOURCE
#include "plain.h"
#include "output.h"
#include "protocol.h"
#include "reuse.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBER_BYTES 4
#define BROKEN (NUMBER_BYTES + 1)

void seal(int folder, const struct entry *entry) {
    const struct timespec times[2] = {{.tv_sec = STAMP}, {.tv_sec = STAMP}};
    fchmodat(folder, entry->path, entry->kind == ENTRY_EXECUTABLE ? 0555 : 0444, 0);
    utimensat(folder, entry->path, times, AT_SYMLINK_NOFOLLOW);
}

static void begin_file(struct plain *plain) {
    int folder = plain->wanted->folder;
    struct entry *entry = plain->number < plain->wanted->count ? &plain->wanted->entries[plain->number] : NULL;
    if (!entry || !entry->missing) {
        plain->digits = BROKEN;
        return;
    }
    plain->entry = entry;
    plain->left = entry->size;
    plain->digits = 0;
    plain->file = -1;
    unlinkat(folder, entry->path, 0);
    if (make_folder(folder, entry->path))
        plain->file = openat(folder, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    sha256_start(&plain->hash);
}

static void end_file(struct plain *plain) {
    char sha256[65];
    struct entry *entry = plain->entry;
    plain->entry = NULL;
    sha256_end(&plain->hash, sha256);
    /* A share may say no sooner than here that a file was not written. */
    if (plain->file < 0 || close(plain->file) < 0 || plain->left || strcmp(sha256, entry->sha256))
        return;
    seal(plain->wanted->folder, entry);
    entry->sealed = true;
}

void plain_add(struct plain *plain, const char *data, size_t size) {
    while (size && plain->digits < BROKEN) {
        size_t taken = 1;
        if (plain->entry) {
            taken = plain->left < (off_t)size ? (size_t)plain->left : size;
            sha256_add(&plain->hash, data, taken);
            if (plain->file >= 0 && !write_all(plain->file, data, taken)) {
                close(plain->file);
                plain->file = -1;
            }
            plain->left -= (off_t)taken;
        } else {
            plain->number = plain->number << 8 | (unsigned char)*data;
            if (++plain->digits == NUMBER_BYTES)
                begin_file(plain);
        }
        if (plain->entry && !plain->left)
            end_file(plain);
        data += taken;
        size -= taken;
    }
}

void plain_end(struct plain *plain) {
    if (plain->entry)
        end_file(plain);
    plain->digits = 0;
}
