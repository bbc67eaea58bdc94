/* Folders below a place that others can write to.

   Everybody may write to /tmp, and a group to a camera's SD card. Another user can put a folder or a link there under any name
   that we use, and change it between two looks. So a path is opened one folder after the other, each is looked at once it is
   open, and no link is followed where others can write. A folder that passes stays what it is: in /tmp, which is sticky,
   only its owner may rename it, and only we may write in it. What we do below it may use paths again. Where everybody may
   rename it, nothing is used. docs/explanation/security.md lists all paths that we use on a device. */
#define _GNU_SOURCE
#include "place.h"
#include "files.h"
#include "output.h"
#include "protocol.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

static struct {
    char *path;
    struct stat status;
    bool not_sticky; /* the folder around it: everybody may rename what is in it */
} taken;

bool is_file_system(unsigned long type, const char *types) {
    for (char *end; *types; types = end)
        if (strtoul(types, &end, 16) == (type & 0xffffffff))
            return true;
    return false;
}

static bool others_write(const struct stat *folder) {
    return (folder->st_mode & 022) || (folder->st_uid && folder->st_uid != geteuid());
}

/* Cards and shares show one owner and mode for all. Whoever may write to them may change what runs from there. */
static bool has_owners(int folder) {
    struct statfs system;
    return fstatfs(folder, &system) < 0 || !is_file_system((unsigned long)system.f_type, NETWORK_TYPES " " FAT_TYPES);
}

/* Open the folder NAME in the folder AROUND. */
static int enter(int around, const char *name, bool looks, bool make) {
    struct stat status, found;
    if (fstat(around, &status) < 0)
        return NO_FOLDER;
    bool open_to_others = looks && others_write(&status);
    int how = O_PATH | O_DIRECTORY | O_CLOEXEC | (open_to_others ? O_NOFOLLOW : 0), folder = openat(around, name, how);
    taken.not_sticky = open_to_others && (status.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH && has_owners(around);
    if (folder < 0 && errno == ENOENT && make) {
        if (taken.not_sticky)
            return TAKEN_FOLDER;
        if (mkdirat(around, name, 0755) == 0 || errno == EEXIST)
            folder = openat(around, name, how);
    }
    if (!open_to_others || (folder < 0 && errno != ENOTDIR))
        return folder;
    int seen = folder < 0 ? fstatat(around, name, &found, AT_SYMLINK_NOFOLLOW) : fstat(folder, &found);
    if (seen == 0 && folder >= 0) {
        bool mounted = !found.st_uid && found.st_dev != status.st_dev; /* by root */
        bool ours = !taken.not_sticky && found.st_uid == geteuid() && !(found.st_mode & 022);
        if (mounted || ours || !has_owners(around))
            return folder;
    }
    taken.status = found;
    close(folder);
    return seen < 0 ? NO_FOLDER : TAKEN_FOLDER;
}

int open_own_folder(const char *path, int depth, bool make) {
    const char *last = path + strlen(path);
    while (last > path && (*--last != '/' || --depth))
        ;
    char *walked = taken.path = copy_text(path), *end = walked;
    int folder = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (folder >= 0 && *end) {
        char *name = end + (*end == '/');
        end = name + strcspn(name, "/");
        if (end == name)
            continue;
        char slash = *end;
        *end = 0;
        int around = folder;
        folder = enter(around, name, name - walked >= last - path, make);
        int error = errno;
        close(around);
        errno = error;
        if (folder >= 0)
            *end = slash;
    }
    return folder; /* taken.path ends behind the last name */
}

/* What open_own_folder returns, for a look alone. */
static int look(const char *path, int depth) {
    int folder = open_own_folder(path, depth, false);
    if (folder >= 0)
        close(folder);
    return folder;
}

bool is_own_folder(const char *path) { return look(path, WHOLE_PATH) >= 0; }

int require_own_folder(const char *path, int depth) {
    int folder = open_own_folder(path, depth, true);
    if (folder == TAKEN_FOLDER)
        fail_taken();
    if (folder < 0)
        fail_at_place("cannot make", path, errno);
    return folder;
}

void refuse_taken(const char *path, int depth) {
    if (look(path, depth) == TAKEN_FOLDER)
        fail_taken();
}

void make_own_folder(const char *path) {
    char *parent = parent_of(path);
    int around = require_own_folder(parent, WHOLE_PATH);
    if (mkdirat(around, name_of(path), 0700) < 0)
        fail_in_ram("cannot make", path, errno);
    if (look(path, WHOLE_PATH) == TAKEN_FOLDER) {
        unlinkat(around, name_of(path), AT_REMOVEDIR);
        fail_taken();
    }
    close(around);
    free(parent);
}

/* The name of the user with that NUMBER, or the number. */
static char *user_name(const char *number) {
    char *text = read_file("/etc/passwd", NULL);
    for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
        char *name = strsep(&line, ":");
        strsep(&line, ":");
        char *found = strsep(&line, ":");
        if (found && !strcmp(found, number))
            return name;
    }
    return (char *)number;
}

_Noreturn void fail_taken(void) {
    if (taken.not_sticky)
        fail(EXIT_TAKEN, "everybody can rename folders in", parent_of(taken.path), 0);
    if (taken.status.st_uid == geteuid() && S_ISDIR(taken.status.st_mode))
        fail(EXIT_TAKEN, "others can write to", taken.path, 0);
    char *owner = user_name(number_text(taken.status.st_uid));
    fail(EXIT_TAKEN, "another user has taken", join(taken.path, ": owner ", owner), 0);
}

char *own_path(const char *path) {
    size_t end = sizeof OWN_FOLDER - 1 + strcspn(path + sizeof OWN_FOLDER - 1, "/");
    char *first = copy_text(path), *number = number_text(geteuid());
    first[end] = 0;
    char *other = join(first, OWN_SUFFIX, number);
    int found = look(first, WHOLE_PATH);
    bool evades = found == TAKEN_FOLDER || (found == NO_FOLDER && is_own_folder(other));
    char *chosen = join(evades ? other : first, path + end, "");
    free(other);
    free(number);
    free(first);
    return chosen;
}

const char *roots_folder(void) {
    static char *path;
    return path ? path : (path = own_path(ROOTS));
}

const char *images_folder(void) {
    static char *path;
    return path ? path : (path = own_path(RAM_IMAGES));
}
