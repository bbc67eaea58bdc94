/* What the stand-ins that share files use: a folder whose files all programs of a camera use, and one lock for them. */
#ifndef STAND_INS_FILES_H
#define STAND_INS_FILES_H

/* A 32-bit program cannot read a folder whose file numbers have 64 bits without it. It counts for headers after it. */
#define _FILE_OFFSET_BITS 64

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 512
#define HOST_SECONDS 10

/* The folder that VARIABLE names, or else USUAL. */
static inline const char *service_folder(const char *variable, const char *usual)
{
    const char *folder = getenv(variable);
    return folder && *folder ? folder : usual;
}

/* Make FOLDER and those above it. All programs of the camera may write. */
static inline bool service_make_folder(const char *folder)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s", folder) >= (int)sizeof path)
        return false;
    for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0755);
        *slash = '/';
    }
    if (mkdir(path, 0777) == 0)
        return chmod(path, 0777) == 0;
    return errno == EEXIST;
}

/* Open the file PATH, which is made if it is not there; no link is followed, since any account may make one. Programs of
   all users may read and write it, whatever the umask of the one that makes it. Returns -1 on an error. */
static inline int service_open(const char *path, int flags)
{
    struct stat status;
    int fd = open(path, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    for (int tries = 0; fd < 0 && errno == EACCES && tries < 10; tries++) {
        usleep(1000); /* another user's program has just made it */
        fd = open(path, flags | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
    }
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 0666) != 0666)
        fchmod(fd, 0666);
    return fd;
}

/* Whether the host has the lock of FOLDER. A shell in the camera has no flock: it makes the folder .host, and waits until
   no program holds the lock. One that is left behind counts for HOST_SECONDS. */
static inline bool service_host_has(const char *folder)
{
    char path[2 * PATH_SIZE];
    struct stat status;
    snprintf(path, sizeof path, "%s/.host", folder);
    if (lstat(path, &status) != 0)
        return false;
    time_t age = time(NULL) - status.st_mtime;
    if (age >= 0 && age < HOST_SECONDS)
        return true;
    rmdir(path);
    return false;
}

/* Returns a file descriptor that holds the lock of FOLDER, or -1. Closing it gives the lock back. */
static inline int service_lock(const char *folder)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/.lock", folder);
    if (!service_make_folder(folder))
        return -1;
    int lock = service_open(path, O_RDWR);
    if (lock < 0)
        return -1;
    for (;;) {
        while (flock(lock, LOCK_EX) != 0)
            if (errno != EINTR) {
                close(lock);
                return -1;
            }
        if (!service_host_has(folder))
            return lock;
        flock(lock, LOCK_UN);
        usleep(10000);
    }
}

static inline void service_drain(int fd)
{
    char changes[4096];
    while (read(fd, changes, sizeof changes) > 0)
        ;
}

static inline bool service_write(int fd, const char *text, size_t size)
{
    while (size > 0) {
        ssize_t count = write(fd, text, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return false;
        text += count;
        size -= (size_t)count;
    }
    return true;
}

#endif
