/* Ending processes politely, then firmly. */
#include "json.h"
#include "output.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A process that was killed has ended, unless the kernel holds it in a system call. */
#define KILL_MS 5000

struct target {
    pid_t pid;
    int signal;
};

static struct target parse_target(const char *text) {
    int64_t pid;
    const char *end = parse_number(text, INT32_MAX, &pid);
    bool agent = end && !strcmp(end, ":USR1");
    if (!end || pid < 2 || (*end && !agent))
        fail(EXIT_USAGE, "not a process:", text, 0);
    return (struct target){(pid_t)pid, agent ? SIGUSR1 : SIGTERM};
}

static size_t count_alive(const struct target *targets, size_t count) {
    size_t alive = 0;
    for (size_t i = 0; i < count; i++)
        alive += is_alive(targets[i].pid);
    return alive;
}

static void await_ends(const struct target *targets, size_t count, long milliseconds) {
    const struct timespec pause = {.tv_nsec = 20 * 1000000};
    for (long waited = 0; waited < milliseconds && count_alive(targets, count); waited += 20)
        nanosleep(&pause, NULL);
}

/* guard end GRACE_MS PID[:USR1]...: a process gets SIGTERM, or SIGUSR1 where that is named; what is still there after
   GRACE_MS is killed. */
int guard_end(int argc, char **argv) {
    if (argc < 2)
        fail(EXIT_USAGE, "usage: incamera-guard end", "GRACE_MS PID[:USR1]...", 0);
    long grace = (long)require_number(argv[0], LONGEST_WAIT_MS, "not a number of milliseconds:");
    size_t count = (size_t)argc - 1;
    struct target *targets = require_memory(calloc(count, sizeof *targets));
    for (size_t i = 0; i < count; i++)
        targets[i] = parse_target(argv[i + 1]);
    for (size_t i = 0; i < count; i++)
        kill(targets[i].pid, targets[i].signal);
    for (size_t i = 0; i < count; i++)
        kill(targets[i].pid, SIGCONT); /* a stopped process reacts to no other signal */
    await_ends(targets, count, grace);
    for (size_t i = 0; i < count; i++)
        if (is_alive(targets[i].pid))
            kill(targets[i].pid, SIGKILL);
    await_ends(targets, count, KILL_MS);
    begin_answer(ANSWER_LEFT);
    begin_list(KEY_PROCESSES);
    for (size_t i = 0; i < count; i++)
        if (is_alive(targets[i].pid))
            answer_number(NULL, (uint64_t)targets[i].pid);
    end_list();
    end_answer();
    free(targets);
    return 0;
}
