/* Receive a bundle: files that are here already are linked, the host sends the rest, and a bundle that is whole gets its
   name. */
#define _GNU_SOURCE
#include "arrive.h"
#include "files.h"
#include "json.h"
#include "lease.h"
#include "listing.h"
#include "lock.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "reuse.h"
#include "shared_images.h"
#include "text.h"
#include "tidy.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* A line does not show that it is slow before so many bytes were sent. */
#define WORTH_XZ (1 << 20)

/* Runs of missing entries, as pairs of numbers: most often all entries between two links are missing. */
static void answer_missing(const struct listing *wanted) {
    begin_list(KEY_MISSING);
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->entries[i].missing) {
            begin_list(NULL);
            answer_number(NULL, i);
            while (i + 1 < wanted->count && wanted->entries[i + 1].missing)
                i++;
            answer_number(NULL, i);
            end_list();
        }
    end_list();
}

/* Tell the host what is missing, and take it from standard input: the rest of the image, then files in archives. */
static void receive_rest(const char *apps, const char *partial, struct listing *wanted, struct shared_image *image) {
    bool missing = false;
    uint64_t needed = 0;
    for (size_t i = 0; i < wanted->count; i++)
        if (wanted->entries[i].missing) {
            missing = true;
            needed += (uint64_t)wanted->entries[i].size;
        }
    if (image->file && !has_image(apps, image))
        open_image(apps, image);
    struct statvfs space;
    begin_answer(ANSWER_WANTED);
    answer_missing(wanted);
    if (statvfs(apps, &space) == 0)
        answer_number(KEY_FREE, (uint64_t)space.f_bavail * space.f_frsize);
    else
        answer_null(KEY_FREE);
    begin_list(KEY_PACKINGS);
    if (has_program("gunzip"))
        answer_text(NULL, "gzip");
    if (needed >= WORTH_XZ && unpacks_xz())
        answer_text(NULL, "xz");
    end_list();
    if (image->descriptor >= 0)
        answer_number(KEY_IMAGE_FROM, (uint64_t)image->offset);
    else
        answer_null(KEY_IMAGE_FROM);
    end_answer();
    if (image->descriptor >= 0)
        receive_image(image);
    if (missing)
        unpack(partial, wanted);
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

static void answer_complete(const char *previous, bool repaired) {
    begin_answer(ANSWER_COMPLETE);
    answer_text(KEY_PREVIOUS, previous);
    answer_flag(KEY_REPAIRED, repaired);
    end_answer();
}

/* Become `guard activate`. The locks are let go; a child that clears up keeps them. */
static _Noreturn void become_activate(const char *folder, bool remake) {
    char *words[] = {(char *)program_path, "activate", remake ? "--remake" : (char *)folder, remake ? (char *)folder : NULL, NULL};
    signal(SIGPIPE, SIG_DFL);
    execv("/proc/self/exe", words);
    fail(EXIT_FAILED, "cannot start", program_path, errno);
}

struct options {
    bool keep, verify, take_over, activate, remake;
    const char *owner;
    struct shared_image image;
};

static bool read_options(int argc, char **argv, struct options *options) {
    static const char *const names[] = {"keep", "verify", "take-over", "activate", "remake"};
    bool *const flags[] = {&options->keep, &options->verify, &options->take_over, &options->activate, &options->remake};
    for (int i = 0; i < argc; i++) {
        size_t flag = 0;
        while (flag < sizeof names / sizeof *names && strcmp(argv[i], names[flag]))
            flag++;
        if (flag < sizeof names / sizeof *names)
            *flags[flag] = true;
        else if (!strcmp(argv[i], "owner") && i + 1 < argc)
            options->owner = argv[++i];
        else if ((!strcmp(argv[i], "image") || !strcmp(argv[i], "tree")) && i + 2 < argc && is_safe(argv[i + 1])) {
            options->image.folder = *argv[i] == 't';
            options->image.file = argv[++i];
            options->image.size = (off_t)require_number(argv[++i], LARGEST_FILE, "not the size of an image:");
            options->image.count = (size_t)options->image.size;
        } else
            return false;
    }
    return true;
}

#define USAGE "APPS APP NAME [keep] [verify] [take-over] [activate] [remake] [owner NAME] [image FILE SIZE | tree FILE ENTRIES]"

/* guard receive: standard input brings the size of a listing, the listing, and then, when the missing files are known, the
   rest of the image and tar archives with the files.

   keep        old bundles are left to `tidy`: for folders that another computer runs from
   verify      every file that is here is read; otherwise its size and time must do
   take-over   another deploy that is under way is ended
   activate    go on as `activate`; with `remake`, as `activate --remake`
   owner       the name that is shown to others who wait for this deploy
   image, tree the runtime, as a file of SIZE bytes, or as a tree that came beforehand, as the app `.images` */
int guard_receive(int argc, char **argv) {
    struct options options = {.owner = "", .image.descriptor = -1};
    if (argc < 3 || !is_safe(argv[1]) || !is_safe(argv[2]) || !read_options(argc - 3, argv + 3, &options))
        fail(EXIT_USAGE, "usage: incamera-guard receive", USAGE, 0);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    const char *apps = argv[0], *name = argv[2];
    struct shared_image *image = &options.image;
    image->trusted = !options.verify;
    bool repaired = false, is_image = !strcmp(argv[1], IMAGES);
    char *app = join_path(apps, argv[1]), *final = join_path(app, name), *partial = join(final, ".partial", "");
    size_t size = read_size_line();
    char *text = read_input(size), *raw = require_memory(malloc(size + 1));
    memcpy(raw, text, size);
    struct listing wanted = {0};
    if (!parse_listing(&wanted, text, size))
        fail(EXIT_USAGE, "not a listing", NULL, 0);

    close(require_own_folder(app, APP_DEPTH));
    utimensat(AT_FDCWD, "/proc/self/exe", NULL, 0); /* see remove_guards */
    take_lock(app, options.owner, options.take_over);
    if (options.keep || is_shared(apps))
        take_lease(apps, argv[1], options.owner, options.take_over);
    const char *newest = read_current(app);
    char *previous = copy_text(strcmp(newest, name) ? newest : "");
    int images = image->file ? share_images(apps, options.owner) : -1;
    bool whole = is_whole(final, &wanted, image->trusted), imaged = !image->file || has_image(apps, image);
    if (image->folder && !imaged)
        return EXIT_IMAGE_MISSING;
    if (whole && is_image)
        mend_listing(final, raw, size);
    if (whole && imaged) {
        if (!is_image && strcmp(newest, name))
            switch_over(app, name, options.keep);
        answer_complete(previous, false);
        if (options.activate)
            become_activate(final, options.remake);
        return 0;
    }
    if (!whole)
        start_partial(apps, partial, &wanted, raw, size, image->trusted);
    receive_rest(apps, partial, &wanted, image);
    if (!whole) {
        seal_files(partial, wanted.folder, &wanted);
        make_links(partial, wanted.folder, &wanted);
        repaired = give_name(partial, final);
        if (repaired && is_image)
            remove_damaged(final);
    }
    if (!is_image)
        switch_over(app, name, options.keep);
    repaired = repaired || image->damaged;
    answer_complete(previous, repaired);
    close(images); /* the bundle names its image now */
    /* The host need not wait for the rest. The lock is inherited, and let go when that is done, or another deploy comes. */
    if (options.keep || is_image || fork() > 0) {
        if (options.activate)
            become_activate(final, repaired || options.remake);
        return 0;
    }
    let_go_of_host();
    keep_lock_to_tidy();
    keep_lease_to_tidy();
    remove_old(app, name, *previous ? previous : NULL);
    remove_images(apps);
    remove_guards();
    return 0;
}
