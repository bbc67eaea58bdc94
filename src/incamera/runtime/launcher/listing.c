/* What a bundle holds. A listing is a row of records "KIND SIZE SHA256 PATH\0TARGET\0": KIND is f (a file), x (one to
   execute) or l (a link to TARGET). */
#define _GNU_SOURCE
#include "listing.h"
#include "files.h"
#include "json.h"
#include "output.h"
#include "protocol.h"
#include "sha256.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool is_safe(const char *path) {
    if (!*path || *path == '/')
        return false;
    for (const char *part = path; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (!strcmp(part, "..") || !strncmp(part, "../", 3))
            return false;
    return true;
}

static bool is_kind(const char *text) {
    return (*text == ENTRY_FILE || *text == ENTRY_EXECUTABLE || *text == ENTRY_LINK) && !text[1];
}

bool parse_listing(struct listing *listing, char *text, size_t size) {
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
        int64_t number;
        const char *more = bytes ? parse_number(bytes, LARGEST_FILE, &number) : NULL;
        if (!at || !sha256 || !is_kind(kind) || !is_safe(at) || !more || *more)
            return false;
        entry->kind = *kind;
        entry->size = (off_t)number;
        entry->sha256 = sha256;
        entry->path = at;
        if (entry->kind != ENTRY_LINK && strlen(sha256) != 64)
            return false;
        at = next + strlen(next) + 1;
    }
    return true;
}

bool load_listing(struct listing *listing, const char *root, bool sound) {
    char *path = join_path(root, ENTRIES);
    size_t size;
    listing->text = read_file(path, &size);
    free(path);
    if (!listing->text)
        return false;
    listing->root = copy_text(root);
    listing->folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    listing->sound = sound;
    return parse_listing(listing, listing->text, size);
}

void free_listing(struct listing *listing) {
    if (listing->folder >= 0)
        close(listing->folder);
    free(listing->entries);
    free(listing->root);
    free(listing->text);
}

bool is_sound(int folder, const struct entry *entry, bool trusted) {
    struct stat status;
    char sha256[65];
    return fstatat(folder, entry->path, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) &&
           status.st_size == entry->size &&
           ((trusted && status.st_mtime == STAMP) ||
            (sha256_file(folder, entry->path, sha256) && !strcmp(sha256, entry->sha256)));
}

bool links_to(int folder, const struct entry *entry) {
    static char target[PATH_MAX];
    ssize_t size = readlinkat(folder, entry->path, target, sizeof target - 1);
    target[size < 0 ? 0 : size] = 0;
    return size > 0 && !strcmp(target, entry->target);
}

char *target_of(const char *root, const struct entry *entry) {
    if (*entry->target == '/')
        return copy_text(entry->target);
    char *path = join_path(root, entry->path);
    *strrchr(path, '/') = 0;
    char *target = join_path(path, entry->target);
    free(path);
    return target;
}

/* On file systems without links those are left out. */
bool leads_nowhere(const char *root, const struct entry *entry) {
    char *target = target_of(root, entry);
    bool nowhere = access(target, F_OK) < 0 && errno == ENOENT;
    free(target);
    return nowhere;
}

bool is_whole(const char *root, const struct listing *wanted, bool trusted) {
    int folder = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool whole = folder >= 0 && faccessat(folder, ENTRIES, F_OK, 0) == 0;
    for (size_t i = 0; whole && i < wanted->count; i++) {
        const struct entry *entry = &wanted->entries[i];
        /* On file systems without links there is a copy. That it is there must do, since the listing has no digest of it. */
        if (entry->kind != ENTRY_LINK)
            whole = is_sound(folder, entry, trusted);
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

/* guard verify FOLDER: reads all files of a bundle, and prints which of them differ from its listing. */
int guard_verify(int argc, char **argv) {
    struct listing listing = {0};
    if (argc != 1 || !load_listing(&listing, argv[0], false))
        fail(EXIT_USAGE, "no bundle here:", argc ? argv[0] : "", 0);
    begin_answer(ANSWER_VERIFIED);
    begin_list(KEY_CHANGED);
    for (size_t i = 0; i < listing.count; i++)
        if (listing.entries[i].kind == ENTRY_LINK ? !links_to(listing.folder, &listing.entries[i])
                                           : !is_sound(listing.folder, &listing.entries[i], false))
            answer_text(NULL, listing.entries[i].path);
    end_list();
    end_answer();
    return 0;
}
