/* The camera's service: one process that has the engines of the camera's libraries, for all apps.

   camera-service [SOCKET]
   camera-service --drawn

   It listens at SOCKET, without one at SERVICE_SOCKET, and writes its number into the file `pid` beside it. init starts it
   anew when it ends. With --drawn, it asks the service that runs for a picture, and writes it to standard output. */
#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "client.h"
#include "engines.h"
#include "vdo_line.h"

enum { MOST_LINES = 256, MOST_OF_A_PROCESS = 64, WAITING = 32, LARGE = 65536, MOST_FILES = 4096 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t lines[MOST_LINES]; /* the process at the other end of each; 0: none */

/* Note a line of PROCESS. False when it, or all together, have too many. */
static bool note_line(pid_t process)
{
    int place = -1, own = 0;
    pthread_mutex_lock(&lock);
    for (int n = 0; n < MOST_LINES; n++) {
        if (lines[n] == 0)
            place = n;
        own += lines[n] == process;
    }
    bool good = place >= 0 && own < MOST_OF_A_PROCESS;
    if (good)
        lines[place] = process;
    pthread_mutex_unlock(&lock);
    return good;
}

static void forget_line(pid_t process)
{
    pthread_mutex_lock(&lock);
    for (int n = 0; n < MOST_LINES; n++)
        if (lines[n] == process) {
            lines[n] = 0;
            break;
        }
    pthread_mutex_unlock(&lock);
}

/* A process outside of the service's name space has no number. */
static pid_t process_of(const struct ucred *peer)
{
    return peer->pid > 0 ? peer->pid : -1;
}

static void line_ended(struct line *line)
{
    forget_line(process_of(&line->peer));
}

static void serve(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || !note_line(process_of(&peer))) {
        close(fd);
        return;
    }
    if (!engine_start(fd, false, engines, line_ended)) {
        forget_line(process_of(&peer));
        close(fd);
    }
}

/* The socket, or -1. It has its name once it listens, in the place of one that an earlier service has left. */
static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s.new", path) >= (int)sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    const char *new = address.sun_path;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    unlink(new);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || chmod(new, 0666) != 0 ||
        listen(fd, WAITING) != 0 || rename(new, path) != 0)
        return -1;
    return fd;
}

static bool write_pid(const char *path)
{
    char name[sizeof(struct sockaddr_un) + 8], text[24];
    const char *slash = strrchr(path, '/');
    snprintf(name, sizeof name, "%.*spid", slash ? (int)(slash - path) + 1 : 0, path);
    int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool good = fd >= 0 && write(fd, text, (size_t)size) == size;
    if (fd >= 0)
        close(fd);
    return good;
}

static bool copy_bytes(int from, uint64_t size)
{
    char part[65536];
    while (size > 0) {
        ssize_t count = read(from, part, size < sizeof part ? (size_t)size : sizeof part);
        if (count <= 0 || write(STDOUT_FILENO, part, (size_t)count) != count)
            return false;
        size -= (uint64_t)count;
    }
    return true;
}

enum { DONE, FAILED, NOTHING_DRAWN = 3 };

static int print_answer(struct line_message *answer)
{
    if (answer->code) {
        fputs("nothing is drawn over the video\n", stderr);
        return NOTHING_DRAWN;
    }
    const uint64_t *size = line_content(answer, sizeof *size);
    int fd = line_take_fd(answer, 0);
    bool good = size && fd >= 0 && copy_bytes(fd, *size);
    if (fd >= 0)
        close(fd);
    return good ? DONE : FAILED;
}

static int print_drawn(void)
{
    struct line *line = line_open(engines);
    struct line_message *answer = line && !line->alone ? line_ask(line, VDO_DRAWN, NULL, 0) : NULL;
    int code = FAILED;
    if (answer) {
        code = print_answer(answer);
        line_free(answer);
    } else {
        fputs("the service of the camera's libraries is not running\n", stderr);
    }
    line_close(line);
    return code;
}

int main(int count, char **words)
{
    if (count == 2 && strcmp(words[1], "--drawn") == 0)
        return print_drawn();
    const char *path = count > 1 ? words[1] : SERVICE_SOCKET;
    if (count <= 1)
        mkdir(SERVICE_FOLDER, 0755);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < MOST_FILES ? files.rlim_max : MOST_FILES;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* Threads come and go: with an arena for each, and without limits that grow, their memory would stay. */
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, LARGE);
    int listener = write_pid(path) ? listen_at(path) : -1;
    if (listener < 0) {
        perror(path);
        return 1;
    }
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0)
            serve(fd);
        else if (errno != EINTR && errno != ECONNABORTED)
            usleep(100000); /* no descriptor is free: some lines have to end first */
    }
}
