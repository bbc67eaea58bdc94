/* How fast a place is: a few megabytes are written to its storage, and read again from there. */
#define _GNU_SOURCE
#include "json.h"
#include "output.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIECE (256 * 1024)
/* Enough to see that a place is slow. */
#define LONGEST_MS 3000

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Bytes that no file system or wire makes smaller. */
static void fill(unsigned char *data, size_t size) {
    uint32_t state = 2463534242u;
    for (size_t i = 0; i < size; i++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        data[i] = (unsigned char)state;
    }
}

/* In bytes a second, for so many BYTES since BEGAN. */
static void answer_speed(const char *key, long bytes, long began) {
    long spent = milliseconds() - began;
    answer_number(key, (uint64_t)bytes * 1000 / (uint64_t)(spent > 0 ? spent : 1));
}

/* guard measure FOLDER BYTES: prints how fast so many bytes are written there and read again. */
int guard_measure(int argc, char **argv) {
    if (argc != 2)
        fail(EXIT_USAGE, "usage: incamera-guard measure FOLDER BYTES", NULL, 0);
    long wanted = (long)require_number(argv[1], 1 << 30, "not a number of bytes to try with:"), written = 0, got = 0;
    /* Always the same name for a user, so that the next one removes what a power cut leaves behind. It is made anew: another user
       may have put a link there, or a second name of any file of ours. */
    char *number = number_text(geteuid()), *folder = join_path(argv[0], ".incamera-measure" OWN_SUFFIX);
    char *path = join(folder, number, "");
    unlink(path);
    unsigned char *data = require_memory(malloc(PIECE));
    fill(data, PIECE);
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        fail(EXIT_FAILED, "cannot write", path, errno);
    long began = milliseconds();
    for (; written < wanted && milliseconds() - began < LONGEST_MS; written += PIECE)
        if (!write_all(file, data, PIECE) || (written % (1 << 20) == 0 && fdatasync(file) < 0)) {
            int error = errno;
            unlink(path);
            fail(EXIT_FAILED, "cannot write", path, error);
        }
    int kept = fsync(file), error = errno;
    begin_answer(ANSWER_MEASURED);
    if (kept == 0)
        answer_speed(KEY_WRITE, written, began);
    else
        answer_null(KEY_WRITE);
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    close(file);
    /* Opened again: shares look up what they know of a file then. */
    file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    began = milliseconds();
    for (ssize_t size; file >= 0 && (size = read(file, data, PIECE)) > 0 && milliseconds() - began < LONGEST_MS;)
        got += size;
    if (got)
        answer_speed(KEY_READ, got, began);
    else
        answer_null(KEY_READ);
    end_answer();
    unlink(path);
    if (kept < 0)
        fail(EXIT_FAILED, "cannot write", path, error);
    return 0;
}
