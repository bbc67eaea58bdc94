/* guard connect SOCKET: standard input and output become a connection to a socket of the device's, such as the agent's.
   Over SSH, that is how a second client reaches an agent that listens to no network. */
#define _GNU_SOURCE
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One direction: what has been read and not yet written. While it is full nothing is read, so that the sender waits. */
struct flow {
    int from, to;
    char data[1 << 14];
    size_t start, end;
    bool finished;
};

static void fill(struct flow *flow) {
    ssize_t got = read(flow->from, flow->data, sizeof flow->data);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    flow->start = 0;
    flow->end = got > 0 ? (size_t)got : 0;
    flow->finished = got <= 0;
}

/* Returns false when the other side reads no more. */
static bool drain(struct flow *flow) {
    ssize_t written = write(flow->to, flow->data + flow->start, flow->end - flow->start);
    if (written < 0)
        return errno == EINTR || errno == EAGAIN;
    flow->start += (size_t)written;
    return true;
}

int guard_connect(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 1)
        fail(EXIT_USAGE, "usage: incamera-guard connect SOCKET", NULL, 0);
    if (strlen(argv[0]) >= sizeof address.sun_path)
        fail(EXIT_FAILED, "cannot connect to", argv[0], ENAMETOOLONG);
    strcpy(address.sun_path, argv[0]);
    char *around = parent_of(argv[0]);
    refuse_taken(around, WHOLE_PATH);
    signal(SIGPIPE, SIG_IGN);
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (other < 0 || connect(other, (struct sockaddr *)&address, sizeof address) < 0)
        fail(EXIT_FAILED, "cannot connect to", argv[0], errno);
    /* Another user's program must not pass for the app: what is typed would go there, and what it says be believed. */
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(other, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid != geteuid())
        fail(EXIT_TAKEN, "another user answers at", argv[0], 0);
    /* Both ways from one thread: writing to one side must never keep the other waiting. */
    fcntl(other, F_SETFL, O_NONBLOCK);
    fcntl(1, F_SETFL, fcntl(1, F_GETFL) | O_NONBLOCK);

    static struct flow there, back;
    there = (struct flow){.from = 0, .to = other};
    back = (struct flow){.from = other, .to = 1};
    struct flow *flows[] = {&there, &back};
    while (!back.finished) {
        struct pollfd polled[4];
        for (int i = 0; i < 2; i++) {
            struct flow *flow = flows[i];
            bool full = flow->start < flow->end;
            polled[2 * i] = (struct pollfd){.fd = full || flow->finished ? -1 : flow->from, .events = POLLIN};
            polled[2 * i + 1] = (struct pollfd){.fd = full ? flow->to : -1, .events = POLLOUT};
        }
        if (poll(polled, 4, -1) < 0 && errno != EINTR)
            fail(EXIT_FAILED, "cannot wait for", argv[0], errno);
        for (int i = 0; i < 2; i++) {
            struct flow *flow = flows[i];
            bool was_finished = flow->finished;
            if (polled[2 * i].fd >= 0 && polled[2 * i].revents)
                fill(flow);
            if (flow->start < flow->end && !drain(flow)) {
                if (flow == &back)
                    return 0; /* nobody reads our output any more */
                flow->start = flow->end = 0;
                flow->finished = true;
            }
            if (flow == &there && flow->finished && !was_finished)
                shutdown(other, SHUT_WR);
        }
    }
    return 0;
}
