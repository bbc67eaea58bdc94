/* The sockets through which a running app answers: its agent's, or its own where it runs without an agent. */
#include "files.h"
#include "json.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct found {
    char *path;
    struct timespec changed;
};
static struct found *sockets;
static size_t count, room;

static bool is_newer(const struct timespec *a, const struct timespec *b) {
    return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/* Keep the newest first. There are a few at most, and qsort would be a twentieth of the program. */
static void add(char *path) {
    struct stat status;
    if (lstat(path, &status) < 0 || !S_ISSOCK(status.st_mode) || status.st_uid != geteuid()) {
        free(path);
        return;
    }
    if (count == room)
        sockets = require_memory(realloc(sockets, (room = 2 * room + 8) * sizeof *sockets));
    size_t at = count++;
    for (; at && is_newer(&status.st_mtim, &sockets[at - 1].changed); at--)
        sockets[at] = sockets[at - 1];
    sockets[at] = (struct found){path, status.st_mtim};
}

/* Add what in FOLDER, if it is ours, has a name that ends with END. */
static void add_from(const char *folder, const char *end) {
    DIR *entries = is_own_folder(folder) ? opendir(folder) : NULL;
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (ends_with(entry->d_name, end))
            add(join_path(folder, entry->d_name));
    if (entries)
        closedir(entries);
}

/* Add from each folder of FOLDERS whose name begins with START. */
static void add_from_each(const char *folders, const char *start, const char *end) {
    DIR *entries = opendir(folders);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (!is_hidden(entry) && !strncmp(entry->d_name, start, strlen(start))) {
            char *folder = join_path(folders, entry->d_name);
            add_from(folder, end);
            free(folder);
        }
    if (entries)
        closedir(entries);
}

/* guard sockets: the newest first. */
int guard_sockets(int argc, char **argv) {
    (void)argv;
    if (argc)
        fail(EXIT_USAGE, "usage: incamera-guard sockets", NULL, 0);
    char *runs = parent_of(RUN_FOLDER);
    add_from_each(runs, name_of(RUN_FOLDER), ".socket");
    char *agents = own_path(AGENTS_FOLDER);
    add_from_each(agents, "", "socket");
    begin_answer(ANSWER_SOCKETS);
    begin_list(KEY_PATHS);
    for (size_t i = 0; i < count; i++)
        answer_text(NULL, sockets[i].path);
    end_list();
    end_answer();
    free(agents);
    free(runs);
    return 0;
}
