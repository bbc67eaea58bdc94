/* The files of events. */
#include "objects.h"

#include <dirent.h>

enum { LARGEST_LOG = 256 * 1024, MOST_OLD_LOGS = 8, MOST_DECLARED = 1024 };

const char *event_folder(void)
{
    return service_folder("INCAMERA_EVENTS", EVENT_FILES);
}

bool event_open_files(struct event_files *files)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    *files = (struct event_files){.folder = -1, .declared = -1};
    files->lock = service_lock(event_folder());
    if (files->lock >= 0)
        files->folder = open(event_folder(), flags);
    if (files->folder >= 0) {
        if (mkdirat(files->folder, "declared", 0777) == 0)
            fchmodat(files->folder, "declared", 0777, 0);
        files->declared = openat(files->folder, "declared", flags | O_NOFOLLOW);
    }
    if (files->declared >= 0)
        return true;
    int error = errno;
    event_close_files(files);
    errno = error;
    return false;
}

void event_close_files(struct event_files *files)
{
    if (files->declared >= 0)
        close(files->declared);
    if (files->folder >= 0)
        close(files->folder);
    if (files->lock >= 0)
        close(files->lock);
}

/* A regular file, which is made if FLAGS say so. */
static int open_file(int folder, const char *name, int flags)
{
    struct stat status;
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    if (fd >= 0 && flags & O_CREAT && status.st_uid == geteuid() && (status.st_mode & 0666) != 0666)
        fchmod(fd, 0666);
    return fd;
}

int event_open_log(const struct event_files *files, int flags)
{
    return open_file(files->folder, "log", flags | O_CREAT);
}

static void name_log(unsigned number, char name[24])
{
    snprintf(name, 24, "log.%u", number);
}

/* Begin a new log. The last line of the old one is its number, and tells its readers to go on with the next. */
static void begin_log(const struct event_files *files)
{
    char name[24], line[32];
    unsigned number = 0;
    int listed = openat(files->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listed < 0 ? NULL : fdopendir(listed);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        unsigned found;
        if (sscanf(entry->d_name, "log.%u", &found) == 1 && found > number)
            number = found;
    }
    if (directory)
        closedir(directory);
    else if (listed >= 0)
        close(listed);
    number++;
    int size = snprintf(line, sizeof line, "next\t%u\n", number);
    int fd = open_file(files->folder, "log", O_WRONLY | O_APPEND);
    if (fd >= 0) {
        service_write(fd, line, (size_t)size);
        close(fd);
    }
    name_log(number, name);
    renameat(files->folder, "log", files->folder, name);
    if (number > MOST_OLD_LOGS) {
        name_log(number - MOST_OLD_LOGS, name);
        unlinkat(files->folder, name, 0);
    }
}

/* Write an event for all who wait. */
bool event_log(const struct event_files *files, const char *line, size_t size)
{
    struct stat status;
    if (fstatat(files->folder, "log", &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_size > LARGEST_LOG)
        begin_log(files);
    int fd = event_open_log(files, O_WRONLY | O_APPEND);
    bool done = fd >= 0 && service_write(fd, line, size);
    if (fd >= 0)
        close(fd);
    return done;
}

bool event_write_state(int file, const char *line, size_t size)
{
    return lseek(file, 0, SEEK_SET) == 0 && service_write(file, line, size) && ftruncate(file, (off_t)size) == 0;
}

/* The first line of a declaration's file, without its end. False: its program has ended, or it is no such file. */
static bool read_declared(const struct event_files *files, const char *name, char text[LINE_BYTES])
{
    int fd = open_file(files->declared, name, O_RDONLY);
    if (fd < 0)
        return false;
    bool alive = strncmp(name, "camera", 6) == 0 || flock(fd, LOCK_SH | LOCK_NB) != 0;
    ssize_t size = alive ? pread(fd, text, LINE_BYTES - 1, 0) : -1;
    close(fd);
    if (!alive)
        unlinkat(files->declared, name, 0);
    if (size <= 0)
        return false;
    text[size] = 0;
    text[strcspn(text, "\n")] = 0;
    return true;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

/* Add the states that SUBSCRIPTION wants, and remove what ended programs have left. SUBSCRIPTION may be NULL. */
void event_collect(const struct event_files *files, struct subscription *subscription, char text[LINE_BYTES])
{
    int listed = openat(files->declared, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = listed < 0 ? NULL : fdopendir(listed);
    char **names = calloc(MOST_DECLARED, sizeof *names);
    size_t count = 0;
    for (struct dirent *entry; names && directory && count < MOST_DECLARED && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && (names[count] = strdup(entry->d_name)))
            count++;
    if (directory)
        closedir(directory);
    else if (listed >= 0)
        close(listed);
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    struct waiting **last = subscription ? &subscription->waiting : NULL;
    for (size_t n = 0; n < count; n++) {
        bool good = read_declared(files, names[n], text);
        free(names[n]);
        if (!good || !last || !strstr(text, "\tstate\t") || !event_matches(text, subscription->filter))
            continue;
        *last = malloc(sizeof **last + strlen(text) + 1);
        if (!*last)
            break;
        (*last)->next = NULL;
        strcpy((*last)->line, text);
        last = &(*last)->next;
    }
    free(names);
}

/* Go on with the log after the old one of this NUMBER. */
static void open_next_log(struct subscription *subscription, unsigned number)
{
    struct event_files files;
    char name[24];
    close(subscription->log);
    subscription->log = -1;
    subscription->offset = 0;
    if (!event_open_files(&files))
        return;
    name_log(number + 1, name);
    subscription->log = open_file(files.folder, name, O_RDONLY);
    if (subscription->log < 0)
        subscription->log = event_open_log(&files, O_RDONLY);
    event_close_files(&files);
}

/* The next whole line of the log, or -1. One that does not fit is left out. */
static ssize_t read_line(struct subscription *subscription, char text[LINE_BYTES])
{
    for (;;) {
        size_t used = 0, left;
        char *end = NULL;
        while (!end && (left = LINE_BYTES - used) > 0) {
            ssize_t count =
                pread(subscription->log, text + used, left < 1024 ? left : 1024, subscription->offset + (off_t)used);
            if (count <= 0)
                return -1;
            end = memchr(text + used, '\n', (size_t)count);
            used = end ? (size_t)(end - text) + 1 : used + (size_t)count;
        }
        bool skips = subscription->skips;
        subscription->offset += (off_t)used;
        subscription->skips = !end;
        if (!end || skips)
            continue;
        *end = 0;
        return end - text;
    }
}

/* The size of the next event in the log that SUBSCRIPTION wants, or -1. */
ssize_t event_read(struct subscription *subscription, char text[LINE_BYTES])
{
    ssize_t size;
    while (subscription->log >= 0 && (size = read_line(subscription, text)) >= 0) {
        if (strncmp(text, "next\t", 5) == 0)
            open_next_log(subscription, (unsigned)strtoul(text + 5, NULL, 10));
        else if (strlen(text) == (size_t)size && event_matches(text, subscription->filter))
            return size;
    }
    return -1;
}
