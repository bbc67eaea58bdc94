/* The processes and the memory of this device. */
#include "processes.h"
#include "files.h"
#include "protocol.h"
#include "text.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Before a process is taken for one without an environment: the most time for an execve, and for the last part of one. */
#define EXEC_MS 50
#define ENVIRONMENT_MS 2

struct process {
    pid_t pid, parent, session;
    bool member;
};

bool is_process(const struct dirent *entry) { return isdigit((unsigned char)*entry->d_name); }

char *read_proc(const char *pid, const char *name, size_t *size) {
    char *folder = join_path("/proc", pid), *path = join_path(folder, name);
    char *text = read_file(path, size);
    free(path);
    free(folder);
    return text;
}

/* For how many milliseconds more may the process, which shows no environment, be in the middle of an execve? It has memory
   then, but no arguments yet; it gets those a moment before its environment. */
static int longest_exec(const char *pid) {
    char *memory = read_proc(pid, "statm", NULL);
    bool kernel = !memory || !strncmp(memory, "0 ", 2); /* a thread of the kernel, or one that ends */
    free(memory);
    if (kernel)
        return 0;
    size_t size = 0;
    char *words = read_proc(pid, "cmdline", &size);
    free(words);
    return size ? ENVIRONMENT_MS : EXEC_MS;
}

char *read_environment(const char *pid, size_t *size) {
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int waited = 0;; waited++) {
        *size = 0;
        char *environment = read_proc(pid, "environ", size);
        if (!environment || *size || waited >= longest_exec(pid))
            return environment;
        free(environment);
        nanosleep(&pause, NULL);
    }
}

/* Does the environment hold exactly this setting? */
static bool has_setting(const char *pid, const char *setting) {
    size_t size = 0;
    char *environment = read_environment(pid, &size);
    bool found = false;
    for (size_t i = 0; environment && i < size && !found; i += strlen(environment + i) + 1)
        found = !strcmp(environment + i, setting);
    free(environment);
    return found;
}

int signal_run(const char *id, pid_t leader, int signal) {
    DIR *proc = opendir("/proc");
    if (!proc)
        return 0;
    struct process *found = NULL;
    size_t count = 0, room = 0;
    char *setting = join(RUN_VARIABLE "=", id, "");
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (!is_process(entry) || atoi(entry->d_name) == getpid())
            continue;
        char *stat = read_proc(entry->d_name, "stat", NULL);
        char *fields = stat ? strrchr(stat, ')') : NULL; /* the name before it may hold anything */
        if (fields && fields[1] && fields[2] != 'Z' && fields[2] != 'X') {
            if (count == room)
                found = require_memory(realloc(found, (room = 2 * room + 64) * sizeof *found));
            struct process *process = &found[count++];
            process->pid = atoi(entry->d_name);
            char *rest = fields + 3;
            process->parent = (pid_t)strtol(rest, &rest, 10);
            strtol(rest, &rest, 10);
            process->session = (pid_t)strtol(rest, &rest, 10);
            process->member = (leader && (process->pid == leader || process->session == leader)) ||
                              has_setting(entry->d_name, setting);
        }
        free(stat);
    }
    closedir(proc);
    free(setting);
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; !found[i].member && j < count; j++)
                if (found[j].member && found[i].parent == found[j].pid)
                    found[i].member = more = true;
    }
    int members = 0;
    for (size_t i = 0; i < count; i++)
        if (found[i].member) {
            members++;
            if (signal)
                kill(found[i].pid, signal);
        }
    free(found);
    return members;
}

bool folder_in_use(const char *folder) {
    DIR *proc = opendir("/proc");
    char *prefix = join(" ", folder, "/");
    bool used = false;
    for (struct dirent *entry; proc && !used && (entry = readdir(proc));) {
        if (!is_process(entry))
            continue;
        char *maps = read_proc(entry->d_name, "maps", NULL);
        used = maps && strstr(maps, prefix);
        free(maps);
    }
    if (proc)
        closedir(proc);
    free(prefix);
    return used;
}

bool is_working_folder(const char *folder) {
    static char found[PATH_MAX];
    DIR *proc = opendir("/proc");
    size_t length = strlen(folder);
    bool used = false;
    for (struct dirent *entry; proc && !used && (entry = readdir(proc));) {
        if (!is_process(entry))
            continue;
        char *link = join("/proc/", entry->d_name, "/cwd");
        ssize_t size = readlink(link, found, sizeof found - 1);
        found[size < 0 ? 0 : size] = 0;
        used = !strncmp(found, folder, length) && (!found[length] || found[length] == '/');
        free(link);
    }
    if (proc)
        closedir(proc);
    return used;
}

bool is_alive(pid_t pid) {
    char *name = number_text(pid), *stat = read_proc(name, "stat", NULL), *state = stat ? strrchr(stat, ')') : NULL;
    bool alive = state && state[1] && state[2] != 'Z' && state[2] != 'X';
    free(stat);
    free(name);
    return alive;
}

uint64_t read_count(const char *path, const char *key) {
    char *text = read_file(path, NULL), *line = text ? strstr(text, key) : NULL;
    uint64_t count = line ? strtoull(line + strlen(key), NULL, 10) : 0;
    free(text);
    return count;
}

uint64_t read_memory(const char *key) { return read_count("/proc/meminfo", key) * 1024; }

int await_child(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}
