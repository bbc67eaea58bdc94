/* The processes of our runs, and of the guard itself: what they are, and what they use. */
#include "files.h"
#include "json.h"
#include "output.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Answer with the number of kilobytes behind KEY, which begins a line of TEXT, as bytes; with null where there is none. */
static void answer_size(const char *name, const char *text, const char *key) {
    size_t length = strlen(key);
    for (const char *line = text; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (!strncmp(line, key, length)) {
            answer_number(name, strtoull(line + length, NULL, 10) * 1024);
            return;
        }
    answer_null(name);
}

/* The value of RUN_VARIABLE in an environment, "" where it has none. */
static const char *find_run(const char *environment, size_t size) {
    static const char name[] = RUN_VARIABLE "=";
    for (size_t i = 0; environment && i < size; i += strlen(environment + i) + 1)
        if (!strncmp(environment + i, name, sizeof name - 1))
            return environment + i + sizeof name - 1;
    return "";
}

static uint64_t count_files(const char *pid) {
    char *folder = join("/proc/", pid, "/fd");
    DIR *files = opendir(folder);
    uint64_t count = 0;
    for (struct dirent *entry; files && (entry = readdir(files));)
        count += !is_hidden(entry);
    if (files)
        closedir(files);
    free(folder);
    return count;
}

/* The words of a command line, each of which ends with a NUL. */
static void answer_words(const char *text, size_t size) {
    begin_list(KEY_ARGUMENTS);
    for (size_t i = 0; text && i < size; i += strlen(text + i) + 1)
        answer_text(NULL, text + i);
    end_list();
}

static void answer_details(const char *pid, const char *run, const char *words, size_t words_size) {
    char *stat = read_proc(pid, "stat", NULL), *status = read_proc(pid, "status", NULL);
    char *rollup = read_proc(pid, "smaps_rollup", NULL), *link = join("/proc/", pid, "/cwd");
    char *fields = stat ? strrchr(stat, ')') : NULL; /* the name before it may hold anything */
    static char folder[PATH_MAX];
    ssize_t length = readlink(link, folder, sizeof folder - 1);
    folder[length < 0 ? 0 : length] = 0;
    if (fields && fields[1] && status) { /* else it has ended meanwhile */
        uint64_t numbers[20] = {0};      /* from the parent's on, which is the fourth field of all */
        char *rest = fields + 3, state[] = {fields[2], 0};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
            numbers[i] = strtoull(rest, &rest, 10);
        begin_object();
        answer_number(KEY_PID, strtoull(pid, NULL, 10));
        answer_number(KEY_PARENT, numbers[0]);
        answer_text(KEY_RUN, run);
        answer_words(words, words_size);
        answer_text(KEY_FOLDER, folder);
        answer_text(KEY_STATE, state);
        answer_number(KEY_TICKS, numbers[10] + numbers[11]);
        answer_number(KEY_THREADS, numbers[16]);
        answer_number(KEY_BEGAN, numbers[18]);
        answer_size(KEY_RESIDENT, status, "VmRSS:");
        answer_size(KEY_PEAK, status, "VmHWM:");
        answer_size(KEY_PROPORTIONAL, rollup, "Pss:");
        answer_number(KEY_FILES, count_files(pid));
        end_object();
    }
    free(link);
    free(rollup);
    free(status);
    free(stat);
}

/* Answer with the process PID, if it is one of ours. */
static void answer_process(const char *pid) {
    size_t environment_size = 0, words_size = 0;
    char *environment = read_environment(pid, &environment_size), *words = read_proc(pid, "cmdline", &words_size);
    const char *run = find_run(environment, environment_size);
    if (*run || (words && !strncmp(name_of(words), GUARD "-", sizeof GUARD)))
        answer_details(pid, run, words, words_size);
    free(words);
    free(environment);
}

/* Returns false where the host reads no more. */
static bool answer_sample(void) {
    struct timespec uptime = {0};
    clock_gettime(CLOCK_BOOTTIME, &uptime);
    begin_answer(ANSWER_SAMPLE);
    answer_number(KEY_UPTIME, (uint64_t)uptime.tv_sec * 1000 + (uint64_t)uptime.tv_nsec / 1000000);
    answer_number(KEY_TOTAL, read_memory("MemTotal:"));
    uint64_t available = read_memory("MemAvailable:"); /* since Linux 3.14 */
    answer_number(KEY_FREE, available ? available : read_memory("MemFree:"));
    begin_list(KEY_PROCESSES);
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && (entry = readdir(proc));)
        if (is_process(entry) && atoi(entry->d_name) != getpid())
            answer_process(entry->d_name);
    if (proc)
        closedir(proc);
    end_list();
    return end_answer();
}

/* Waits, at most MS. Returns false where our standard input has ended: the host listens no more. An SSH server can keep
   the pipe of our answers open after that, and then writing to it doesn't fail. */
static bool pause_for(int ms) {
    struct pollfd input = {.events = POLLIN};
    char ignored[64];
    return poll(&input, 1, ms) <= 0 || read(0, ignored, sizeof ignored) > 0;
}

/* guard processes [every MS]: once, or until standard input ends or nobody reads the answers. */
int guard_processes(int argc, char **argv) {
    if (argc && (argc != 2 || strcmp(argv[0], "every")))
        fail(EXIT_USAGE, "usage: incamera-guard processes", "[every MILLISECONDS]", 0);
    long pause = argc ? (long)require_number(argv[1], LONGEST_WAIT_MS, "not a number of milliseconds:") : 0;
    if (argc && !pause)
        fail(EXIT_USAGE, "not a number of milliseconds:", argv[1], 0);
    while (answer_sample() && pause && pause_for((int)pause))
        ;
    return 0;
}
