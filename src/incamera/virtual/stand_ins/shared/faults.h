/* The faults that `incamera virtual fault` has set: files of a folder that only the host writes. A file has a number. */
#ifndef STAND_INS_FAULTS_H
#define STAND_INS_FAULTS_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static inline const char *fault_folder(void)
{
    const char *folder = getenv("INCAMERA_FAULTS");
    return folder && *folder ? folder : "/run/incamera-faults";
}

/* Whether any fault has been set since the camera started. */
static inline bool faults_exist(void)
{
    return access(fault_folder(), F_OK) == 0;
}

/* Whether the fault NAME is set. *VALUE becomes its number, 0 without one. */
static inline bool fault_is_set(const char *name, unsigned *value)
{
    char path[512], text[24];
    if (value)
        *value = 0;
    snprintf(path, sizeof path, "%s/%s", fault_folder(), name);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size > 0 && value) {
        text[size] = 0;
        *value = (unsigned)strtoul(text, NULL, 10);
    }
    return true;
}

/* Whether the service was restarted since the last call: the number of the fault NAME has changed. KNOWN has bits for
   the number, and one that says that there was a call before. */
static inline bool fault_restarted(const char *name, unsigned long long *known)
{
    unsigned number;
    fault_is_set(name, &number);
    unsigned long long now = 1ULL << 32 | number;
    unsigned long long before = __atomic_exchange_n(known, now, __ATOMIC_ACQ_REL);
    return number && before && before != now; /* 0: it was cleared */
}

#endif
