/* Bundles: what of a new one is here already, where the rest goes, and when it is whole.

   APPS/APP/NAME/                 a whole bundle; it got its name by a rename when every file had been checked
   APPS/APP/NAME/.incamera-entries  what it holds
   APPS/APP/NAME.partial/         one that is arriving, or was interrupted
   APPS/APP/current               a link to the newest
   APPS/APP/.lock                 held while a bundle is received: one at a time; tells by whom
   APPS/.images/FILE              a runtime in one file, named by its digest, for any bundle whose file `image` names it

   A listing is a row of records "KIND SIZE SHA256 PATH\0TARGET\0": KIND is f (a file), x (one to execute) or l (a link to
   TARGET). A file found unchanged in any bundle here is linked, not sent again, whatever its path. */
#define _GNU_SOURCE
#include "incamera.h"
#include "bundles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES ".incamera-entries"
#define BASES 16
#define ALIKE 3

struct entry {
    char kind;
    bool missing;
    bool sealed; /* linked from a whole bundle: it has its rights and its time */
    off_t size;
    const char *sha256, *path, *target;
};

struct listing {
    char *root, *text;
    int folder; /* ROOT, opened: shorter paths are found faster, and there are thousands */
    struct entry *entries;
    size_t count;
    bool sound; /* its files were checked once */
};

struct slot {
    const struct listing *listing;
    const struct entry *entry;
};

static struct slot *table;
static size_t table_size;

static bool is_safe(const char *path) {
    if (!*path || *path == '/')
        return false;
    for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (!strcmp(part, "..") || !strncmp(part, "../", 3))
            return false;
    return true;
}

/* Take TEXT apart, in place. False when it is not a listing. */
static bool parse_listing(struct listing *listing, char *text, size_t size) {
    size_t room = 0;
    listing->entries = NULL;
    listing->count = 0;
    for (char *at = text, *end = text + size; at < end;) {
        if (listing->count == room)
            listing->entries = require_memory(realloc(listing->entries, (room = 2 * room + 256) * sizeof(struct entry)));
        struct entry *entry = &listing->entries[listing->count++];
        char *next = at + strlen(at) + 1;
        if (next >= end)
            return false;
        entry->missing = entry->sealed = false;
        entry->target = next;
        char *kind = strsep(&at, " "), *bytes = strsep(&at, " "), *sha256 = strsep(&at, " ");
        if (!at || !sha256 || !strchr("fxl", *kind) || strlen(kind) != 1 || !is_safe(at))
            return false;
        entry->kind = *kind;
        entry->size = (off_t)strtoll(bytes, NULL, 10);
        entry->sha256 = sha256;
        entry->path = at;
        if (entry->kind != 'l' && strlen(sha256) != 64)
            return false;
        at = next + strlen(next) + 1;
    }
    return true;
}

static bool load_listing(struct listing *listing, const char *root, bool sound) {
    char *path = join_path(root, ENTRIES);
    size_t size;
    listing->text = read_file(path, &size);
    free(path);
    if (!listing->text)
        return false;
    listing->root = join(root, "", "");
    listing->folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    listing->sound = sound;
    return parse_listing(listing, listing->text, size);
}

/* Is this file below FOLDER what the listing says? One that bears our time stamp was checked when it came. */
static bool is_sound(int folder, const struct entry *entry, bool trusted) {
    struct stat status;
    char sha256[65];
    return fstatat(folder, entry->path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_size == entry->size &&
           ((trusted && status.st_mtime == STAMP) ||
            (sha256_file(folder, entry->path, sha256) && !strcmp(sha256, entry->sha256)));
}

static bool links_to(int folder, const struct entry *entry) {
    static char target[PATH_MAX];
    ssize_t size = readlinkat(folder, entry->path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    return size > 0 && !strcmp(target, entry->target);
}

/* What a link in ROOT leads to. */
static char *target_of(const char *root, const struct entry *entry) {
    if (*entry->target == '/')
        return join(entry->target, "", "");
    char *path = join_path(root, entry->path);
    *strrchr(path, '/') = 0;
    char *target = join_path(path, entry->target);
    free(path);
    return target;
}

/* Some links of a bundle lead to what neither it nor this camera has; on file systems without links they are left out. */
static bool leads_nowhere(const char *root, const struct entry *entry) {
    char *target = target_of(root, entry);
    bool nowhere = access(target, F_OK) < 0 && errno == ENOENT;
    free(target);
    return nowhere;
}

static bool is_whole(const char *root, const struct listing *wanted) {
    int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool whole = folder >= 0 && faccessat(folder, ENTRIES, F_OK, 0) == 0;
    for (size_t i = 0; whole && i < wanted->count; i++) {
        const struct entry *entry = &wanted->entries[i];
        /* On file systems without links a file stands in for each; its listing has its name and that must do. */
        if (entry->kind != 'l')
            whole = is_sound(folder, entry, true);
        else if (!links_to(folder, entry)) {
            struct stat status;
            if (fstatat(folder, entry->path, &status, AT_SYMLINK_NOFOLLOW) == 0)
                whole = S_ISREG(status.st_mode);
            else
                whole = leads_nowhere(root, entry);
        }
    }
    if (folder >= 0)
        close(folder);
    return whole;
}

/* The table of what is here, by content. */

static size_t slot_of(const struct entry *entry) {
    size_t value = (size_t)entry->kind;
    for (int i = 0; i < 12; i++)
        value = value * 31 + (unsigned char)entry->sha256[i];
    return value & (table_size - 1);
}

static bool alike(const struct entry *a, const struct entry *b) {
    return a->kind == b->kind && a->size == b->size && !strcmp(a->sha256, b->sha256);
}

static void enter(const struct listing *listing) {
    for (size_t i = 0; i < listing->count; i++) {
        const struct entry *entry = &listing->entries[i];
        if (entry->kind == 'l')
            continue;
        int same = 0;
        size_t slot = slot_of(entry);
        for (; table[slot].entry && same < ALIKE; slot = (slot + 1) & (table_size - 1))
            same += alike(table[slot].entry, entry);
        if (same < ALIKE)
            table[slot] = (struct slot){listing, entry};
    }
}

/* Make the folder that PATH lies in below FOLDER. Entries come sorted, so the last one made is most often the one. */
static bool make_folder(int folder, const char *path) {
    static char last[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t size = slash ? (size_t)(slash - path) : 0;
    if (!size || (!strncmp(last, path, size) && !last[size]))
        return true;
    if (size >= sizeof last)
        return false;
    memcpy(last, path, size);
    last[size] = 0;
    for (char *end = last; end;) {
        end = strchr(end + 1, '/');
        if (end)
            *end = 0;
        int status = mkdirat(folder, last, 0755);
        int error = errno;
        if (end)
            *end = '/';
        if (status < 0 && error != EEXIST) {
            *last = 0;
            return false;
        }
    }
    return true;
}

/* Put a copy of what ENTRY describes at its place below ROOT, from any bundle that has it. */
static bool take_from_here(const char *root, int folder, struct entry *entry) {
    bool taken = false;
    for (size_t slot = slot_of(entry); table_size && table[slot].entry && !taken; slot = (slot + 1) & (table_size - 1)) {
        const struct slot *found = &table[slot];
        const struct listing *base = found->listing;
        if (!alike(found->entry, entry) || !is_sound(base->folder, found->entry, base->sound) ||
            !make_folder(folder, entry->path))
            continue;
        taken = linkat(base->folder, found->entry->path, folder, entry->path, 0) == 0;
        if (!taken && errno == EEXIST) {
            unlinkat(folder, entry->path, 0);
            taken = linkat(base->folder, found->entry->path, folder, entry->path, 0) == 0;
        }
        entry->sealed = taken && base->sound;
        if (!taken) {
            char *from = join_path(base->root, found->entry->path), *to = join_path(root, entry->path);
            taken = copy_file(from, to, 0644);
            free(from);
            free(to);
        }
    }
    return taken;
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

/* Load the listings of all bundles below APPS, whole ones first. */
static size_t load_bases(const char *apps, struct listing *bases) {
    size_t count = 0;
    for (int partial = 0; partial < 2; partial++) {
        DIR *folder = opendir(apps);
        for (struct dirent *app; folder && (app = readdir(folder));) {
            if (*app->d_name == '.' && strcmp(app->d_name, IMAGES))
                continue;
            char *path = join_path(apps, app->d_name);
            DIR *bundles = opendir(path);
            for (struct dirent *bundle; bundles && count < BASES && (bundle = readdir(bundles));) {
                if (*bundle->d_name == '.' || !strncmp(bundle->d_name, "current", 7) ||
                    ends_with(bundle->d_name, ".partial") != partial)
                    continue;
                char *root = join_path(path, bundle->d_name);
                if (load_listing(&bases[count], root, !partial))
                    count++;
                free(root);
            }
            if (bundles)
                closedir(bundles);
            free(path);
        }
        if (folder)
            closedir(folder);
    }
    return count;
}

static void fill_table(struct listing *bases, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += bases[i].count;
    for (table_size = 256; table_size < 2 * total + 1;)
        table_size *= 2;
    table = require_memory(calloc(table_size, sizeof *table));
    for (size_t i = 0; i < count; i++)
        enter(&bases[i]);
}

/* Read exactly SIZE bytes of standard input. */
static char *read_input(size_t size) {
    char *data = require_memory(malloc(size + 1));
    for (size_t used = 0; used < size;) {
        ssize_t got = read(0, data + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            fail(EXIT_INTERRUPTED, "the connection ended", NULL, 0);
        used += (size_t)got;
    }
    data[size] = 0;
    return data;
}

static size_t read_size_line(void) {
    char line[24];
    for (size_t used = 0; used < sizeof line; used++) {
        char *byte = read_input(1);
        line[used] = *byte;
        free(byte);
        if (line[used] == '\n')
            return strtoul(line, NULL, 10);
    }
    fail(2, "no size came", NULL, 0);
}

static bool has_program(const char *name) {
    char *folders = join(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin", "", "");
    bool found = false;
    for (char *rest = folders, *folder; !found && (folder = strsep(&rest, ":"));) {
        char *path = join_path(folder, name);
        found = access(path, X_OK) == 0;
        free(path);
    }
    free(folders);
    return found;
}

/* Feed what comes on standard input to `tar`, to be unpacked in FOLDER. */
static void unpack(const char *folder, bool gzip) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        fail(1, "cannot start", "tar", errno);
    pid_t tar = fork();
    if (tar < 0)
        fail(1, "cannot start", "tar", errno);
    if (tar == 0) {
        dup2(ends[0], 0);
        dup2(2, 1); /* our standard output is for the host alone */
        if (chdir(folder) < 0)
            fail(1, "cannot enter", folder, errno);
        signal(SIGPIPE, SIG_DFL);
        if (gzip)
            execlp("sh", "sh", "-c", "gunzip | tar -x -o -f -", NULL);
        else
            execlp("tar", "tar", "-x", "-o", "-f", "-", NULL);
        fail(127, "cannot start", "tar", errno);
    }
    close(ends[0]);
    static char buffer[1 << 16];
    bool fed = true, silent = false;
    for (;;) {
        struct pollfd input = {.fd = 0, .events = POLLIN};
        int ready = poll(&input, 1, SILENCE_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        silent = ready == 0;
        ssize_t got = ready > 0 ? read(0, buffer, sizeof buffer) : 0;
        if (got <= 0)
            break;
        fed = fed && write_all(ends[1], buffer, (size_t)got); /* tar may be content before the last zeros */
    }
    close(ends[1]);
    if (silent)
        kill(tar, SIGTERM);
    while (waitpid(tar, NULL, 0) < 0 && errno == EINTR)
        ;
    /* How tar ended tells little: busybox's takes a cut-off archive for a good one. The files are checked instead. */
}

/* Check what came, and give it its rights and its time. */
static void seal_files(const char *root, int folder, struct listing *wanted) {
    const struct timespec times[2] = {{.tv_sec = STAMP}, {.tv_sec = STAMP}};
    size_t bad = 0;
    for (size_t i = 0; i < wanted->count; i++) {
        const struct entry *entry = &wanted->entries[i];
        if (entry->kind == 'l' || entry->sealed)
            continue;
        if (entry->missing && !is_sound(folder, entry, false)) {
            if (!bad++)
                write_all(2, "damaged: ", 9), write_all(2, entry->path, strlen(entry->path)), write_all(2, "\n", 1);
        } else {
            fchmodat(folder, entry->path, entry->kind == 'x' ? 0555 : 0444, 0);
            utimensat(folder, entry->path, times, AT_SYMLINK_NOFOLLOW);
        }
    }
    if (!bad)
        return;
    struct statvfs space;
    if (statvfs(root, &space) == 0 && (uint64_t)space.f_bavail * space.f_frsize < 1 << 20)
        fail(EXIT_NO_SPACE, "no space left in", root, 0);
    fail(EXIT_DAMAGED, "not all files came whole to", root, 0);
}

static bool make_link(const char *root, int folder, const struct entry *entry) {
    if (links_to(folder, entry))
        return true;
    char *path = join_path(root, entry->path);
    unlink(path);
    bool made = make_folder(folder, entry->path);
    if (made && symlink(entry->target, path) < 0) {
        /* FAT, and shares without links: a copy serves as well. */
        char *target = target_of(root, entry);
        struct stat status;
        made = stat(target, &status) == 0 && S_ISREG(status.st_mode) && copy_file(target, path, status.st_mode & 0777);
        free(target);
    }
    free(path);
    return made;
}

static void make_links(const char *root, int folder, const struct listing *wanted) {
    /* Where copies stand in for links, a link to a link needs the other first. */
    for (int pass = 0; pass < 8; pass++) {
        const struct entry *failed = NULL;
        int error = 0;
        for (size_t i = 0; i < wanted->count; i++) {
            const struct entry *entry = &wanted->entries[i];
            if (entry->kind == 'l' && !make_link(root, folder, entry) && !(error = errno, pass && leads_nowhere(root, entry)))
                failed = entry;
        }
        if (!failed)
            return;
        if (error == ENOSPC || pass == 7)
            fail(error == ENOSPC ? EXIT_NO_SPACE : 1, "cannot make the link", failed->path, error);
    }
}

static char *read_current(const char *app) {
    static char name[NAME_MAX + 1];
    char *path = join_path(app, "current");
    ssize_t size = readlink(path, name, sizeof name - 1);
    if (size < 0) {
        size_t length = 0;
        char *text = read_file(path, &length);
        size = text && length < sizeof name ? (ssize_t)length : 0;
        memcpy(name, text ? text : "", (size_t)size);
        free(text);
    }
    free(path);
    name[size] = 0;
    return name;
}

/* A plain file where it must not be a link: another computer would have ours followed for it, or not see them at all. */
static void switch_over(const char *app, const char *name, bool plain_file) {
    char *path = join_path(app, "current"), *fresh = join_path(app, "current.new");
    unlink(fresh);
    if (((plain_file || symlink(name, fresh) < 0) && !write_file(fresh, name, strlen(name), 0644)) || rename(fresh, path) < 0)
        fail(1, "cannot switch over", path, errno);
    free(fresh);
    free(path);
}

/* Give the finished bundle its name. */
static void give_name(const char *partial, const char *final) {
    int folder = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        syncfs(folder); /* else a power cut may keep the name and lose the files */
        close(folder);
    }
    if (rename(partial, final) == 0)
        return;
    if (errno != ENOTEMPTY && errno != EEXIST)
        fail(1, "cannot rename", partial, errno);
    /* A damaged one has the name. It goes away with the old ones, unless something runs from it. */
    char *aside = join(final, ".damaged", ""), *entries = join_path(final, ENTRIES);
    unlink(entries);
    remove_tree(aside);
    if (rename(final, aside) < 0 || rename(partial, final) < 0)
        fail(1, "cannot rename", partial, errno);
    free(entries);
    free(aside);
}

/* Remove all but NAME and PREVIOUS (NULL: all that is not whole), and what something runs from. */
static void remove_old(const char *app, const char *name, const char *previous) {
    DIR *folder = opendir(app);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *path = join_path(app, entry->d_name), *real;
        struct stat status;
        char *entries = join_path(path, ENTRIES);
        bool whole = access(entries, F_OK) == 0 && !ends_with(path, ".partial");
        if (*entry->d_name != '.' && strcmp(entry->d_name, name) &&
            (previous ? strcmp(entry->d_name, previous) != 0 : !whole) && lstat(path, &status) == 0 &&
            S_ISDIR(status.st_mode) && (real = realpath(path, NULL))) {
            if (!folder_in_use(real) && !root_in_use(entry->d_name)) {
                unlink(entries); /* else what is left after a power cut would be taken for whole */
                remove_tree(path);
            }
            free(real);
        }
        free(entries);
        free(path);
    }
    if (folder)
        closedir(folder);
}

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
static void receive_rest(const char *apps, const char *partial, struct listing *wanted, struct image *image, bool plain) {
    size_t missing = 0;
    for (size_t i = 0; i < wanted->count; i++)
        missing += wanted->entries[i].missing;
    struct statvfs space;
    say_number("send", (long)missing);
    if (statvfs(apps, &space) == 0)
        say_number("free", (long)((uint64_t)space.f_bavail * space.f_frsize / 1024));
    else
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

static void start_partial(const char *apps, const char *partial, struct listing *wanted, const char *raw, size_t size) {
    static struct listing bases[BASES];
    fill_table(bases, load_bases(apps, bases));
    char *entries = join_path(partial, ENTRIES);
    bool resumed = access(partial, F_OK) == 0;
    if (!make_parents(entries, 1) || !write_file(entries, raw, size, 0644))
        fail(errno == ENOSPC ? EXIT_NO_SPACE : 1, "cannot write", entries, errno);
    free(entries);
    int folder = wanted->folder = open(partial, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < wanted->count; i++) {
        struct entry *entry = &wanted->entries[i];
        if (entry->kind != 'l' && !(resumed && is_sound(folder, entry, false)))
            entry->missing = !take_from_here(partial, folder, entry);
    }
}

/* guard receive APPS APP NAME [plain] [keep] [take-over] [by WHO] [image FILE SIZE|folder]: standard input brings the size
   of a listing, the listing, and then, when we have told what is missing, the rest of the image and a tar archive with the
   files, compressed unless `plain` or there is nothing here to unpack it with. `keep` leaves old bundles to `tidy`: it is
   for folders that another computer runs from. An image that is a folder comes beforehand, as the app `.images`. */
int guard_receive(int argc, char **argv) {
    bool plain = false, keep = false, take_over = false, known = argc >= 3 && is_safe(argv[1]) && is_safe(argv[2]);
    const char *who = "";
    struct image image = {.descriptor = -1};
    for (int i = 3; known && i < argc; i++) {
        if (!strcmp(argv[i], "plain"))
            plain = true;
        else if (!strcmp(argv[i], "keep"))
            keep = true;
        else if (!strcmp(argv[i], "take-over"))
            take_over = true;
        else if (!strcmp(argv[i], "by") && i + 1 < argc)
            who = argv[++i];
        else if (!strcmp(argv[i], "image") && i + 2 < argc && is_safe(argv[i + 1])) {
            image.file = argv[++i];
            image.folder = !strcmp(argv[++i], "folder");
            image.size = (off_t)strtoll(argv[i], NULL, 10);
        } else
            known = false;
    }
    if (!known)
        fail(2, "usage: incamera-guard receive",
             "APPS APP NAME [plain] [keep] [take-over] [by WHO] [image FILE SIZE|folder]", 0);
    signal(SIGPIPE, SIG_IGN);
    umask(022);
    const char *apps = argv[0], *name = argv[2];
    bool is_image = !strcmp(argv[1], IMAGES);
    char *app = join_path(apps, argv[1]), *final = join_path(app, name), *partial = join(final, ".partial", "");
    size_t size = read_size_line();
    char *text = read_input(size), *raw = require_memory(malloc(size + 1));
    memcpy(raw, text, size);
    struct listing wanted = {0};
    if (!parse_listing(&wanted, text, size))
        fail(2, "not a listing", NULL, 0);

    char *lock_path = join_path(app, ".lock");
    if (!make_parents(lock_path, 1))
        fail(errno == ENOSPC ? EXIT_NO_SPACE : 1, "cannot make", app, errno);
    free(lock_path);
    take_lock(app, who, take_over);
    char *previous = join(read_current(app), "", "");
    int images = image.file ? share_images(apps) : -1;
    bool whole = is_whole(final, &wanted), imaged = !image.file || has_image(apps, &image);
    if (image.folder && !imaged) {
        say("image missing\n");
        return EXIT_NO_IMAGE;
    }
    if (whole && imaged) {
        if (!is_image && strcmp(previous, name))
            switch_over(app, name, keep);
        say("whole\n");
        return 0;
    }
    if (!whole)
        start_partial(apps, partial, &wanted, raw, size);
    receive_rest(apps, partial, &wanted, &image, plain);
    if (!whole) {
        seal_files(partial, wanted.folder, &wanted);
        make_links(partial, wanted.folder, &wanted);
        give_name(partial, final);
    }
    if (!is_image)
        switch_over(app, name, keep);
    if (keep) {
        char *told = join("previous ", strcmp(previous, name) ? previous : "", "\n");
        say(told);
        free(told);
    }
    say("done\n");
    /* The host need not wait for the rest. The lock is inherited, and let go when that is done. */
    if (keep || is_image || fork() > 0)
        return 0;
    close(0);
    close(1);
    close(2);
    setsid();
    close(images);
    remove_old(app, name, strcmp(previous, name) ? previous : NULL);
    remove_images(apps);
    return 0;
}

/* guard tidy APPS APP NAME [PREVIOUS]: remove what `receive` would have removed, had it not been told to keep it. */
int guard_tidy(int argc, char **argv) {
    if (argc < 3 || argc > 4 || !is_safe(argv[1]) || !is_safe(argv[2]))
        fail(2, "usage: incamera-guard tidy APPS APP NAME [PREVIOUS]", NULL, 0);
    char *app = join_path(argv[0], argv[1]);
    take_lock(app, "tidy", false);
    remove_old(app, argv[2], argc == 4 && *argv[3] ? argv[3] : NULL);
    remove_images(argv[0]);
    return 0;
}

/* guard verify FOLDER: tell which files of a bundle differ from its own listing, by their bytes. */
int guard_verify(int argc, char **argv) {
    struct listing listing = {0};
    if (argc != 1 || !load_listing(&listing, argv[0], false))
        fail(2, "no bundle here:", argc ? argv[0] : "", 0);
    int bad = 0;
    for (size_t i = 0; i < listing.count; i++)
        if (listing.entries[i].kind == 'l' ? !links_to(listing.folder, &listing.entries[i])
                                           : !is_sound(listing.folder, &listing.entries[i], false)) {
            say(listing.entries[i].path);
            say("\n");
            bad = 1;
        }
    return bad;
}
