/* Receive a bundle: what of it is here already is taken from there, the host sends the rest, and it gets its name when it is whole. */
#define _GNU_SOURCE
#include "arrive.h"
#include "files.h"
#include "lease.h"
#include "listing.h"
#include "lock.h"
#include "output.h"
#include "protocol.h"
#include "reuse.h"
#include "shared_images.h"
#include "text.h"
#include "tidy.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Tell the numbers of the missing entries, a line each, all at once: each write becomes a packet. */
static void say_missing(const struct listing *wanted, size_t missing) {
    char *text = require_memory(malloc(missing * 12 + 1)), *end = text;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->entries[i].missing) {
            char digits[12], *start = digits + sizeof digits;
            size_t rest = i;
            do
                *--start = (char)('0' + rest % 10);
            while (rest /= 10);
            memcpy(end, start, (size_t)(digits + sizeof digits - start));
            end += digits + sizeof digits - start;
            *end++ = '\n';
        }
    write_all(1, text, (size_t)(end - text));
    free(text);
}

/* Tell what is missing, and take it from standard input: the rest of the image, then files in an archive. */
static void receive_rest(const char *apps, const char *partial, struct listing *wanted, struct shared_image *image, bool plain) {
    size_t missing = 0;
    for (size_t i = 0; i < wanted->count; i++)
        missing += wanted->entries[i].missing;
    struct statvfs space;
    say_number("send", (long)missing);
    if (statvfs(apps, &space) == 0) {
        uint64_t kilobytes = (uint64_t)space.f_bavail * space.f_frsize / 1024;
        say_number("free", kilobytes < LONG_MAX ? (long)kilobytes : LONG_MAX); /* 32 bits count to 2 TiB */
    } else
        say("free unknown\n");
    bool gzip = missing && !plain && has_program("gunzip");
    say(gzip ? "as tar.gz\n" : "as tar\n");
    if (image->file && !has_image(apps, image))
        open_image(apps, image);
    if (image->descriptor >= 0)
        say_number("image", (long)image->offset);
    else if (image->file && !image->folder)
        say("image whole\n");
    say_missing(wanted, missing);
    if (image->descriptor >= 0)
        receive_image(image);
    if (missing)
        unpack(partial, gzip);
}

static void start_partial(const char *apps, const char *partial, struct listing *wanted, const char *raw, size_t size,
                          bool trusted) {
    find_bases(apps, trusted);
    char *entries = join_path(partial, ENTRIES);
    bool resumed = access(partial, F_OK) == 0;
    if (!make_parents(entries, 1) || !write_file(entries, raw, size, 0644))
        fail_at_place("cannot write", entries, errno);
    free(entries);
    int folder = wanted->folder = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < wanted->count; i++) {
        struct entry *entry = &wanted->entries[i];
        if (entry->kind != ENTRY_LINK && !(resumed && is_sound(folder, entry, false)))
            entry->missing = !take_from_here(partial, folder, entry);
    }
}

/* Where everybody may write, as in /tmp, APPS must be ours; a card's or share's owners tell nothing. */
static void require_own(const char *apps) {
    char *place = join(apps, "", ""), *slash = strrchr(place, '/');
    struct stat status;
    if (slash && slash > place)
        *slash = 0;
    if (stat(place, &status) == 0 && (status.st_mode & S_ISVTX))
        make_own_folder(apps);
    free(place);
}

/* A runtime is known to be whole by its own listing. */
static void mend_listing(const char *final, const char *raw, size_t size) {
    char *path = join_path(final, ENTRIES);
    size_t found = 0;
    char *text = read_file(path, &found);
    if ((!text || found != size || memcmp(text, raw, size)) && !write_file(path, raw, size, 0644))
        fail_at_place("cannot write", path, errno);
    free(text);
    free(path);
}

/* guard receive APPS APP NAME [plain] [keep] [verify] [take-over] [owner NAME] [image FILE SIZE | tree FILE ENTRIES]: standard input brings the size
   of a listing, the listing, and then, when we have told what is missing, the rest of the image and a tar archive with the
   files, compressed unless `plain` or there is nothing here to unpack it with. `keep` leaves old bundles to `tidy`: it is
   for folders that another computer runs from. `verify` reads every file that is here, where else a look at its size and time
   will do. A runtime that is a tree comes beforehand, as the app `.images`. */
int guard_receive(int argc, char **argv) {
    bool plain = false, keep = false, verify = false, take_over = false, known = argc >= 3 && is_safe(argv[1]) && is_safe(argv[2]);
    const char *owner = "";
    struct shared_image image = {.descriptor = -1};
    for (int i = 3; known && i < argc; i++) {
        if (!strcmp(argv[i], "plain"))
            plain = true;
        else if (!strcmp(argv[i], "keep"))
            keep = true;
        else if (!strcmp(argv[i], "verify"))
            verify = true;
        else if (!strcmp(argv[i], "take-over"))
            take_over = true;
        else if (!strcmp(argv[i], "owner") && i + 1 < argc)
            owner = argv[++i];
        else if ((!strcmp(argv[i], "image") || !strcmp(argv[i], "tree")) && i + 2 < argc && is_safe(argv[i + 1])) {
            image.folder = *argv[i] == 't';
            image.file = argv[++i];
            image.size = (off_t)strtoll(argv[++i], NULL, 10);
            image.count = (size_t)image.size;
        } else
            known = false;
    }
    if (!known)
        fail(EXIT_USAGE, "usage: incamera-guard receive",
             "APPS APP NAME [plain] [keep] [verify] [take-over] [owner NAME] [image FILE SIZE | tree FILE ENTRIES]", 0);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    const char *apps = argv[0], *name = argv[2];
    image.trusted = !verify;
    bool mended = false, is_image = !strcmp(argv[1], IMAGES);
    char *app = join_path(apps, argv[1]), *final = join_path(app, name), *partial = join(final, ".partial", "");
    size_t size = read_size_line();
    char *text = read_input(size), *raw = require_memory(malloc(size + 1));
    memcpy(raw, text, size);
    struct listing wanted = {0};
    if (!parse_listing(&wanted, text, size))
        fail(EXIT_USAGE, "not a listing", NULL, 0);

    require_own(apps);
    char *lock_path = join_path(app, ".lock");
    if (!make_parents(lock_path, 1))
        fail_at_place("cannot make", app, errno);
    free(lock_path);
    utimensat(AT_FDCWD, "/proc/self/exe", NULL, 0); /* see remove_guards */
    take_lock(app, owner, take_over);
    if (keep || is_shared(apps))
        take_lease(apps, argv[1], owner, take_over);
    char *previous = join(read_current(app), "", "");
    int images = image.file ? share_images(apps) : -1;
    bool whole = is_whole(final, &wanted, !verify), imaged = !image.file || has_image(apps, &image);
    if (image.folder && !imaged) {
        say("image missing\n");
        return EXIT_IMAGE_MISSING;
    }
    if (whole && is_image)
        mend_listing(final, raw, size);
    if (whole && imaged) {
        if (!is_image && strcmp(previous, name))
            switch_over(app, name, keep);
        say("whole\n");
        return 0;
    }
    if (!whole)
        start_partial(apps, partial, &wanted, raw, size, !verify);
    receive_rest(apps, partial, &wanted, &image, plain);
    if (!whole) {
        seal_files(partial, wanted.folder, &wanted);
        make_links(partial, wanted.folder, &wanted);
        mended = give_name(partial, final);
        if (mended && is_image)
            remove_damaged(final);
    }
    if (!is_image)
        switch_over(app, name, keep);
    if (keep) {
        char *told = join("previous ", strcmp(previous, name) ? previous : "", "\n");
        say(told);
        free(told);
    }
    say("done\n");
    mended = mended || image.damaged;
    close(images); /* the bundle names its image now */
    /* The host need not wait for the rest. The lock is inherited, and let go when that is done. */
    if (keep || is_image || fork() > 0)
        return mended ? EXIT_MENDED : 0;
    close(0);
    close(1);
    close(2);
    setsid();
    remove_old(app, name, strcmp(previous, name) ? previous : NULL);
    remove_images(apps);
    remove_guards();
    return 0;
}

