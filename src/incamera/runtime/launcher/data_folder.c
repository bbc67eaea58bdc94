/* The folder in which an app keeps its data. It is beside the apps' folders, so no deploy touches it. */
#define _GNU_SOURCE
#include "data_folder.h"
#include "output.h"
#include "place.h"
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void make_data_folder(void) {
    const char *path = getenv(DATA_VARIABLE);
    if (!path || *path != '/')
        return;
    int folder = require_own_folder(path, DATA_DEPTH);
    /* Only our user reads what an app keeps. FAT and shares have modes of their own. */
    if (fchmodat(folder, ".", 0700, 0) < 0 && errno == EROFS)
        fail_at_place("cannot write to", path, errno);
    close(folder);
}
