/* Files that are here already, by their content: one that is unchanged in any bundle is linked, whatever its path. */
#define _GNU_SOURCE
#include "reuse.h"
#include "files.h"
#include "protocol.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASES 16
#define ALIKE 3

struct slot {
    const struct listing *listing;
    const struct entry *entry;
};

static struct slot *table;
static size_t table_size;

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
        if (entry->kind == ENTRY_LINK)
            continue;
        int same = 0;
        size_t slot = slot_of(entry);
        for (; table[slot].entry && same < ALIKE; slot = (slot + 1) & (table_size - 1))
            same += alike(table[slot].entry, entry);
        if (same < ALIKE)
            table[slot] = (struct slot){listing, entry};
    }
}

/* Entries are sorted, so the last folder made is most often the one. */
bool make_folder(int folder, const char *path) {
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

bool take_from_here(const char *root, int folder, struct entry *entry) {
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

/* Load the listings of all bundles below APPS, whole ones first. */
static size_t load_bases(const char *apps, struct listing *bases, bool trusted) {
    size_t count = 0;
    for (int partial = 0; partial < 2; partial++) {
        DIR *folder = opendir(apps);
        for (struct dirent *app; folder && (app = readdir(folder));) {
            if (*app->d_name == '.' && strcmp(app->d_name, IMAGES))
                continue;
            char *path = join_path(apps, app->d_name);
            DIR *bundles = opendir(path);
            for (struct dirent *bundle; bundles && count < BASES && (bundle = readdir(bundles));) {
                if (*bundle->d_name == '.' || !strncmp(bundle->d_name, CURRENT, 7) ||
                    ends_with(bundle->d_name, ".partial") != partial)
                    continue;
                char *root = join_path(path, bundle->d_name);
                if (load_listing(&bases[count], root, !partial && trusted))
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

void find_bases(const char *apps, bool trusted) {
    static struct listing bases[BASES];
    size_t total = 0, count = load_bases(apps, bases, trusted);
    for (size_t i = 0; i < count; i++)
        total += bases[i].count;
    for (table_size = 256; table_size < 2 * total + 1;)
        table_size *= 2;
    table = require_memory(calloc(table_size, sizeof *table));
    for (size_t i = 0; i < count; i++)
        enter(&bases[i]);
}

