/* Several computers write to a share, and the locks of their kernels do not always meet: a camera's stay in the camera, or
   reach a server that keeps them apart from its own. A file is what all of them see:

   APPS/.deploying      "TOKEN SECONDS APP OWNER". Only one deploy can create it. A deploy changes it every BEAT_SECONDS
                        and removes it at the end. A file that has not changed for STALE_MS was left behind.

   No clocks are compared: SECONDS says how long the deploy has been under way. A deploy that takes over puts its own file
   in that place. The other one finds another TOKEN at its next beat, and ends. At the latest it ends before it gives a
   bundle its name. */
#define _GNU_SOURCE
#include "lease.h"
#include "files.h"
#include "lock.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#define BEAT_SECONDS 2
#define PAUSE_MS 100
#define STALE_MS 20000
/* In that time, a deploy that was ended on this computer removes its lease. */
#define POLITE_MS 500
#define TOKEN_SIZE 16

static char *lease; /* the path of ours; NULL: we have none */
static char token[TOKEN_SIZE + 1];
static off_t owner_at; /* in the text of ours */

bool is_shared(const char *apps) {
    struct statfs status;
    return statfs(apps, &status) == 0 && is_file_system((unsigned long)status.f_type, NETWORK_TYPES);
}

static long seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)(now.tv_sec - start->tv_sec);
}

static void make_token(void) {
    unsigned char random[TOKEN_SIZE / 2] = {0};
    if (getrandom(random, sizeof random, 0) < 0)
        fail(EXIT_FAILED, "no random numbers", NULL, errno);
    for (size_t i = 0; i < TOKEN_SIZE; i++)
        token[i] = "0123456789abcdef"[random[i / 2] >> (i % 2 * 4) & 15];
}

/* Always of one length: then a beat changes it in one write. */
static char *lease_text(long seconds, const char *app, const char *owner) {
    char *number = number_text(1000000 + seconds), *start = join(token, " ", number + 1), *rest = join(app, " ", owner);
    char *text = join(start, " ", rest);
    free(rest);
    free(start);
    free(number);
    return text;
}

static bool is_ours(const char *text) { return text && !strncmp(text, token, TOKEN_SIZE); }

static bool holds(void) {
    char *text = read_file(lease, NULL);
    /* A share that does not answer has not been given to another. */
    bool ours = is_ours(text) || (!text && errno != ENOENT);
    free(text);
    return ours;
}

static void change_lease(const char *text, off_t at) {
    int file = open(lease, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    char start[TOKEN_SIZE + 1] = "";
    if (file >= 0 && pread(file, start, TOKEN_SIZE, 0) == TOKEN_SIZE && is_ours(start))
        pwrite(file, text, strlen(text), at);
    if (file >= 0)
        close(file);
}

static void beat(long seconds) {
    char *number = number_text(1000000 + seconds);
    change_lease(number + 1, TOKEN_SIZE + 1);
    free(number);
}

/* What is left of a longer owner is behind the end of the line. */
void keep_lease_to_tidy(void) {
    if (lease)
        change_lease(TIDYING "\n", owner_at);
}

/* Beat until the other end of the pipe WORK is closed in all processes that inherited it: then the deploy has ended. */
static _Noreturn void keep_beating(int work, pid_t deploy) {
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < 64; i++)
        if (i != work)
            close(i);
    struct pollfd ended = {.fd = work, .events = POLLIN};
    while (poll(&ended, 1, BEAT_SECONDS * 1000) <= 0)
        if (holds())
            beat(seconds_since(&start));
        else {
            if (getppid() == deploy)
                kill(deploy, SIGTERM);
            _exit(0);
        }
    if (holds())
        unlink(lease);
    _exit(0);
}

static void start_beating(void) {
    int ends[2];
    pid_t deploy = getpid(), child;
    if (pipe2(ends, O_CLOEXEC) < 0 || (child = fork()) < 0) {
        int error = errno;
        unlink(lease);
        fail(EXIT_FAILED, "cannot start", "a process", error);
    }
    if (child == 0) {
        signal(SIGINT, SIG_IGN); /* a terminal's Ctrl-C: we still have to clear up */
        keep_beating(ends[0], deploy);
    }
    close(ends[0]); /* the other end closes when we end */
}

void take_lease(const char *apps, const char *app, const char *owner, bool take_over) {
    char *path = join_path(apps, ".deploying"), *before = NULL;
    int waited = 0, unchanged_since = 0;
    bool took_over = false;
    make_token();
    char *text = lease_text(0, app, owner);
    owner_at = (off_t)(strlen(text) - strlen(owner));
    for (;;) {
        int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (file >= 0) {
            lease = path;
            bool written = write_all(file, text, strlen(text));
            if (close(file) < 0 || !written) {
                int error = errno;
                unlink(path);
                fail_at_place("cannot write", path, error);
            }
            break;
        }
        if (errno != EEXIST)
            fail_at_place("cannot write", path, errno);
        char *held = read_file(path, NULL);
        if (!held)
            held = copy_text("");
        if (!before || strcmp(before, held))
            unchanged_since = waited;
        free(before);
        before = held;
        if ((take_over && waited >= POLITE_MS) || waited - unchanged_since >= STALE_MS) {
            took_over = took_over || take_over;
            unlink(path);
            unchanged_since = waited;
            continue;
        }
        char *rest = copy_text(held), *next = rest;
        rest[strcspn(rest, "\n")] = 0;
        strsep(&next, " ");
        char *seconds = strsep(&next, " "), *other = strsep(&next, " ");
        /* The app is named where it is another one. A runtime belongs to no app. */
        bool named = next && strcmp(other, app) && strcmp(other, IMAGES);
        if (!must_wait(&waited, PAUSE_MS, next ? next : "", named ? other : "", seconds ? strtol(seconds, NULL, 10) : 0))
            fail(EXIT_BUSY, "another deploy to this share is under way", NULL, 0);
        free(rest);
    }
    free(before);
    free(text);
    start_beating();
    if (took_over)
        sleep(BEAT_SECONDS + 1); /* the other has noticed by then */
}

bool has_lease(void) { return !lease || holds(); }

void require_lease(void) {
    if (has_lease())
        return;
    raise(SIGTERM); /* as when a deploy on this computer takes over */
    _exit(EXIT_BUSY);
}
