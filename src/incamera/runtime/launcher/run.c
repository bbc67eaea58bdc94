/* One run of an app: `run` becomes the app, and `supervise` ends the app when the connection is lost.

   Both are started over one connection, each on a channel of its own. `supervise` reads a heartbeat from the host. When that
   stops, for any reason, it ends every process of the run. So nothing depends on how the SSH server treats the
   children of a lost connection. */
#include "data_folder.h"
#include "files.h"
#include "json.h"
#include "output.h"
#include "place.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"
#include "work_folder.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    int number;
} SIGNALS[] = {{"INT", SIGINT},   {"TERM", SIGTERM}, {"KILL", SIGKILL}, {"HUP", SIGHUP},   {"QUIT", SIGQUIT},
               {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TSTP", SIGTSTP}, {"CONT", SIGCONT}, {"WINCH", SIGWINCH}};

static const struct timespec PAUSE = {.tv_nsec = 10 * 1000 * 1000};

static volatile sig_atomic_t asked_to_end;

static void ask_to_end(int number) {
    (void)number;
    asked_to_end = 1;
}

static long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (long)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static char *run_id(const char *folder) {
    const char *slash = strrchr(folder, '/');
    return copy_text(slash ? slash + 1 : folder);
}

/* Write "PID START\n": the start time tells this process apart from a later one with the same number. */
static char *describe_self(const char *pid) {
    char *path = join("/proc/", pid, "/stat"), *text = read_file(path, NULL), *fields = text ? strrchr(text, ')') : NULL;
    free(path);
    for (int i = 0; fields && i < 20; i++)
        fields = strchr(fields + 1, ' ');
    char *start = fields ? fields + 1 : "0";
    char *space = fields ? strchr(start, ' ') : NULL;
    if (space)
        *space = 0;
    char *described = join(start, "\n", "");
    free(text);
    return described;
}

/* guard run FOLDER -- COMMAND...: write this process's number into FOLDER and become COMMAND. */
int guard_run(int argc, char **argv) {
    if (argc < 3 || strcmp(argv[1], "--"))
        fail(EXIT_USAGE, "usage: incamera-guard run FOLDER -- COMMAND...", NULL, 0);
    char *folder = argv[0];
    setsid(); /* fails where a terminal was given: then we lead a session already */
    /* Some servers and shells leave signals ignored or blocked. `supervise` may pass one on as soon as it knows our number. */
    static const int plain[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        signal(plain[i], SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    char *pid = number_text(getpid());
    char *text = join(pid, " ", describe_self(pid));
    char *path = join_path(folder, "pid"), *partial = join(path, ".", "new");
    /* `supervise`, which makes the folder, is started at the same time, to save a round trip. */
    for (long limit = now() + SILENCE_MS; access(folder, F_OK) < 0 && now() < limit;)
        nanosleep(&PAUSE, NULL);
    refuse_taken(folder, WHOLE_PATH);
    /* Where the folder is gone again, the run was ended before it began. */
    if (!write_file(partial, text, strlen(text), 0600) || rename(partial, path) < 0)
        fail(EXIT_RUN_ENDED, errno == ENOENT ? "the run has been ended:" : "cannot begin the run:", folder, errno);

    setenv(RUN_VARIABLE, run_id(folder), 1);
    make_data_folder();
    enter_work_folder();
    execvp(argv[2], argv + 2);
    fail(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE, "cannot start", argv[2], errno);
}

/* Return the first process of the run, 0 when there is none yet, -1 when it has ended and its number was given away. */
static pid_t read_leader(const char *folder) {
    char *path = join_path(folder, "pid"), *text = read_file(path, NULL);
    free(path);
    if (!text)
        return 0;
    char *start = strchr(text, ' ');
    if (!start) {
        free(text);
        return 0;
    }
    *start++ = 0;
    int64_t pid;
    if (!parse_number(text, INT32_MAX, &pid))
        pid = 0;
    char *described = describe_self(text);
    bool other = strcmp(described, "0\n") && strcmp(described, start);
    free(described);
    free(text);
    return other ? -1 : (pid_t)pid;
}

static bool has_exited(const char *folder) {
    pid_t leader = read_leader(folder);
    return leader < 0 || (leader > 0 && kill(leader, 0) < 0 && errno == ESRCH);
}

/* Pass a signal of that name to the app; false while there is no app yet. */
static bool pass_signal(const char *folder, const char *id, const char *name) {
    pid_t leader = read_leader(folder);
    if (!leader)
        return false;
    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++)
        if (!strcmp(SIGNALS[i].name, name)) {
            if (SIGNALS[i].number == SIGKILL)
                signal_run(id, leader > 0 ? leader : 0, SIGKILL);
            else if (leader > 0 && getpgid(leader) == leader)
                kill(-leader, SIGNALS[i].number);
            else if (leader > 0)
                kill(leader, SIGNALS[i].number);
        }
    return true;
}

/* How many processes the kernel has killed for lack of memory. */
static uint64_t count_memory_kills(void) { return read_count("/proc/vmstat", "\noom_kill "); }

/* The most memory that the run's first process has used so far, in bytes; 0 when it has ended. */
static uint64_t measure_peak(const char *folder) {
    pid_t leader = read_leader(folder);
    if (leader <= 0)
        return 0;
    char *number = number_text(leader), *start = join("/proc/", number, "/status");
    uint64_t peak = read_count(start, "VmHWM:") * 1024;
    free(start);
    free(number);
    return peak;
}

static void end_run(char *folder, const char *id, long grace, uint64_t peak, uint64_t memory_kills) {
    /* Under another name first: a `run` that is just beginning either has left its number there, or fails now. */
    char *ended = join(folder, ".ended", "");
    if (rename(folder, ended) == 0)
        folder = ended;
    pid_t leader = read_leader(folder);
    leader = leader > 0 ? leader : 0;

    int ended_count = signal_run(id, leader, SIGTERM), left = ended_count;
    if (left)
        signal_run(id, leader, SIGCONT); /* a stopped process reacts to no other signal */
    for (long limit = now() + grace; left && now() < limit;) {
        nanosleep(&PAUSE, NULL);
        left = signal_run(id, leader, 0);
    }
    for (long limit = now() + 5000; left && now() < limit;) {
        left = signal_run(id, leader, SIGKILL);
        if (left)
            nanosleep(&PAUSE, NULL);
    }
    remove_tree(folder);
    begin_answer(ANSWER_ENDED);
    answer_number(KEY_COUNT, (uint64_t)ended_count);
    answer_number(KEY_LEFT, (uint64_t)left);
    answer_number(KEY_PEAK, peak);
    answer_flag(KEY_OUT_OF_MEMORY, count_memory_kills() > memory_kills);
    end_answer();
}

static long milliseconds_option(int argc, char **argv, const char *name, long otherwise) {
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], name))
            return (long)require_number(argv[i + 1], LONGEST_WAIT_MS, "not a number of milliseconds:");
    return otherwise;
}

/* guard supervise FOLDER [--timeout MS] [--grace MS]: standard input brings the lines "." (a heartbeat),
   "signal NAME" and "end". Prints that it is ready; that the app's first process has ended, whose children may keep the
   app's channel open; and at the end how many processes it ended. */
int guard_supervise(int argc, char **argv) {
    if (argc < 1)
        fail(EXIT_USAGE, "usage: incamera-guard supervise FOLDER [--timeout MS] [--grace MS]", NULL, 0);
    char *folder = argv[0], *id = run_id(folder);
    long timeout = milliseconds_option(argc, argv, "--timeout", SUPERVISE_TIMEOUT_MS);
    long grace = milliseconds_option(argc, argv, "--grace", GRACE_MS);

    /* A connection that dies may send these to all its children; we have work to do then. */
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction end = {.sa_handler = ask_to_end};
    sigaction(SIGTERM, &end, NULL);
    setsid();
    make_own_folder(folder);
    begin_answer(ANSWER_READY);
    end_answer();

    char line[64], pending[16] = "";
    size_t used = 0;
    uint64_t peak = 0, memory_kills = count_memory_kills();
    long deadline = now() + timeout;
    bool exited = false;
    for (bool going = true; going && !asked_to_end;) {
        long rest = deadline - now();
        if (rest <= 0)
            break;
        if (*pending && pass_signal(folder, id, pending))
            *pending = 0;
        if (!exited) { /* who ends leaves no figures behind: look while it runs */
            uint64_t used_now = measure_peak(folder);
            peak = used_now > peak ? used_now : peak;
        }
        if (!exited && (exited = has_exited(folder))) {
            begin_answer(ANSWER_EXITED);
            end_answer();
        }
        long pause = *pending ? 20 : 500;
        struct pollfd input = {.fd = 0, .events = POLLIN};
        int ready = poll(&input, 1, (int)(!exited && rest > pause ? pause : rest));
        if (ready == 0 || (ready < 0 && errno == EINTR))
            continue;
        char data[256];
        ssize_t got = read(0, data, sizeof data);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        deadline = now() + timeout;
        for (ssize_t i = 0; i < got; i++) {
            if (data[i] != '\n') {
                if (used < sizeof line - 1)
                    line[used++] = data[i];
                continue;
            }
            line[used] = 0;
            used = 0;
            if (!strcmp(line, "end"))
                going = false;
            else if (!strncmp(line, "signal ", 7) && strlen(line + 7) < sizeof pending && !pass_signal(folder, id, line + 7))
                strcpy(pending, line + 7);
        }
    }
    end_run(folder, id, grace, peak, memory_kills);
    return 0;
}
