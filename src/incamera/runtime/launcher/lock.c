/* One deploy of an app at a time. A deploy that waits names the one that it waits for, and may take over. The lock is the
   kernel's, so the lock of a process that was killed is free at once. */
#define _GNU_SOURCE
#include "lock.h"
#include "files.h"
#include "json.h"
#include "output.h"
#include "protocol.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define LOCK_WAIT_MS 120000
#define LOCK_PAUSE_MS 20

static int lock = -1;

bool must_wait(int *waited, int pause, const char *owner, const char *app, long seconds) {
    if (*waited >= LOCK_WAIT_MS)
        return false;
    if (*waited % 1000 == 0) {
        begin_answer(ANSWER_WAITING);
        answer_text(KEY_OWNER, owner);
        answer_text(KEY_APP, app);
        answer_number(KEY_SECONDS, seconds > 0 ? (uint64_t)seconds : 0);
        end_answer();
    }
    *waited += pause;
    struct pollfd input = {.fd = 0, .events = POLLIN};
    char byte;
    if (poll(&input, 1, pause) > 0 && read(0, &byte, 1) <= 0)
        fail(EXIT_INTERRUPTED, "the connection ended", NULL, 0);
    return true;
}

/* The process that holds the lock, as it wrote itself: "PID SECONDS OWNER"; or NULL. */
static char *read_holder(void) {
    static char text[256];
    ssize_t size = pread(lock, text, sizeof text - 1, 0);
    if (size <= 0)
        return NULL;
    text[size] = 0;
    text[strcspn(text, "\n")] = 0;
    return strchr(text, ' ') ? text : NULL;
}

/* One write: several processes may share the lock of the images, and what is longer and older follows the end of the line. */
void write_holder(int file, const char *owner) {
    char *pid = number_text(getpid()), *now = number_text(time(NULL));
    char *numbers = join(pid, " ", now), *line = join(" ", owner, "\n"), *text = join(numbers, line, "");
    pwrite(file, text, strlen(text), 0);
    free(text);
    free(line);
    free(numbers);
    free(now);
    free(pid);
}

/* Is old stuff removed by the process that holds the lock? It was a deploy, and its host does not wait for that. */
static bool is_tidying(const char *holder) { return ends_with(holder, " " TIDYING); }

/* End the process that holds the lock. Its words tell it apart from a later process with the same number. */
static void end_holder(const char *holder) {
    int64_t pid;
    if (!parse_number(holder, INT32_MAX, &pid))
        return;
    char *number = number_text(pid), *path = join("/proc/", number, "/cmdline");
    size_t size = 0;
    char *words = pid > 1 ? read_file(path, &size) : NULL;
    const char *second = words && strlen(words) + 1 < size ? words + strlen(words) + 1 : "";
    if (words && strstr(words, GUARD) && (!strcmp(second, "receive") || !strcmp(second, "tidy")))
        kill((pid_t)pid, SIGTERM);
    free(words);
    free(path);
    free(number);
}

void take_lock(const char *folder, const char *owner, bool take_over) {
    char *path = join_path(folder, ".lock"), *holder;
    int waited = 0;
    lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock < 0)
        fail_at_place("cannot write", path, errno);
    while (flock(lock, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        holder = read_holder();
        /* What is left of its work, the next one does: it must not hold up a deploy. */
        bool tidying = holder && is_tidying(holder) && strcmp(owner, TIDYING);
        if (holder && ((take_over && waited % 2000 == 0) || (tidying && waited % 100 == 0)))
            end_holder(holder);
        char *since = holder ? strchr(holder, ' ') : NULL, *name = since ? strchr(since + 1, ' ') : NULL;
        int64_t began, now = time(NULL);
        /* The other deploy wrote it, or another user: it may be anything. */
        long seconds = since && parse_number(since + 1, now, &began) ? (long)(now - began) : 0;
        if (!must_wait(&waited, LOCK_PAUSE_MS, name ? name + 1 : "", "", seconds))
            fail(EXIT_BUSY, "another deploy of this app is under way", NULL, 0);
    }
    write_holder(lock, owner);
    free(path); /* the lock itself is let go when we end */
}

void keep_lock_to_tidy(void) {
    signal(SIGTERM, SIG_DFL);
    write_holder(lock, TIDYING);
}
