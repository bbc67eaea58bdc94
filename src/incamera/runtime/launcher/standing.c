/* Images of a runtime: a squashfs file is mounted through a loop device, an archive is unpacked into RAM. */
#define _GNU_SOURCE
#include "standing.h"
#include "trial_images.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define SQUASHFS_MAGIC 0x73717368
/* A network share answers each piece with one reply; its kernel asks for no more than 4 MB at a time. */
#define PIECE (4u << 20)
/* Other programs take loop devices, too. */
#define ATTEMPTS 16
#define MEGABYTE (1u << 20)

_Noreturn void fail_reading(const char *path, int error) {
    if (error == ENOENT || error == ENOTDIR)
        fail(EXIT_UNSOUND, "the image is not there, deploy again:", path, 0);
    fail(EXIT_UNREACHABLE, "cannot read the image (is the share or card still there?):", path, error);
}

static _Noreturn void fail_damaged(const char *path) { fail(EXIT_UNSOUND, "the image is damaged, deploy again:", path, 0); }

static int open_image(const struct image *image, const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) < 0)
        fail_reading(path, errno);
    if ((uint64_t)status.st_size != image->size)
        fail_damaged(path);
    return file;
}

static uint32_t add_check(uint32_t check, const unsigned char *data, size_t size) {
    uint32_t low = check & 0xffff, high = check >> 16;
    while (size) {
        size_t part = size < 5552 ? size : 5552; /* so many that the sums cannot overflow */
        size -= part;
        while (part--)
            high += low += *data++;
        low %= 65521, high %= 65521;
    }
    return high << 16 | low;
}

/* Read what a start needs in large pieces, so that it lies in RAM when it is asked for bit by bit; see that it is sound. */
static void read_ahead(const struct image *image, const char *path, int file) {
    const uint64_t ranges[2][2] = {{0, image->hot}, {image->tables, image->size}};
    unsigned char *piece = require_memory(malloc(PIECE));
    uint32_t check = 1;
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM); /* as much as is asked for, and no more */
    for (int i = 0; i < 2; i++)
        for (uint64_t at = ranges[i][0]; at < ranges[i][1];) {
            uint64_t left = ranges[i][1] - at;
            ssize_t got = pread(file, piece, left < PIECE ? (size_t)left : PIECE, (off_t)at);
            if (got < 0 && errno == EINTR)
                continue;
            if (got < 0)
                fail_reading(path, errno);
            if (!got)
                fail_damaged(path);
            check = add_check(check, piece, (size_t)got);
            at += (uint64_t)got;
        }
    free(piece);
    posix_fadvise(file, 0, 0, POSIX_FADV_NORMAL);
    if (check != image->check)
        fail_damaged(path);
}

static char *device_path(int number) {
    char *digits = number_text(number), *path = join("/dev/loop", digits, "");
    free(digits);
    return path;
}

/* Tie FILE to a free loop device, which lets go of it by itself once it is unmounted. Returns the device, opened, and its path; -1 when
   there is none, with errno. */
static int open_loop(int file, char **path) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    int device = -1;
    for (int i = 0; i < ATTEMPTS && device < 0; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0)
            break;
        *path = device_path(number);
        device = open(*path, O_RDONLY | O_CLOEXEC);
        if (device < 0)
            break;
        struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_READ_ONLY};
        if (ioctl(device, LOOP_SET_FD, file) == 0) {
            if (ioctl(device, LOOP_SET_STATUS64, &info) == 0)
                break;
            int error = errno;
            ioctl(device, LOOP_CLR_FD, 0);
            errno = error;
        }
        int error = errno;
        close(device);
        device = -1;
        if (error != EBUSY && error != EAGAIN) {
            errno = error;
            break;
        }
    }
    int error = errno;
    close(control);
    errno = error;
    return device;
}

static bool mount_file(int file, const char *folder) {
    char *path = NULL;
    int device = open_loop(file, &path);
    if (device < 0)
        return false;
    bool mounted = mount(path, folder, "squashfs", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) == 0;
    int error = errno;
    close(device);
    free(path);
    errno = error;
    return mounted;
}

void mount_image(const struct image *image, const char *path, const char *folder) {
    int file = open_image(image, path);
    read_ahead(image, path, file);
    if (mkdir(folder, 0755) < 0 && errno != EEXIST)
        fail(1, "cannot make", folder, errno);
    if (!mount_file(file, folder)) {
        int error = errno;
        rmdir(folder);
        fail(EXIT_CANNOT, "this camera cannot mount the image", path, error);
    }
    close(file);
}

bool is_mounted(const char *folder) {
    struct statfs status;
    return statfs(folder, &status) == 0 && status.f_type == SQUASHFS_MAGIC;
}

/* The file that a loop device shows, by the kernel's present name of it. A file system that was unmounted although it was in use (a share that
   went away) has no place in the tree any more, and the names of its files begin at its own root. */
static char *backing_file(const char *folder) {
    struct stat status;
    if (stat(folder, &status) < 0)
        return NULL;
    char *number = number_text(minor(status.st_dev)), *start = join("/sys/block/loop", number, "/loop/backing_file");
    char *text = read_file(start, NULL), *end = text ? strchr(text, '\n') : NULL;
    if (end)
        *end = 0;
    free(start);
    free(number);
    return text;
}

bool stands_still(const char *folder) {
    if (strncmp(folder, IMAGES "/", sizeof IMAGES)) /* a tree, in its place */
        return true;
    if (!is_mounted(folder)) {
        char *inside = join_path(folder, "bin");
        bool unpacked = access(inside, F_OK) == 0;
        free(inside);
        return unpacked;
    }
    char *file = backing_file(folder), *slash = file && *file == '/' ? strchr(file + 1, '/') : NULL;
    if (slash)
        *slash = 0; /* the first folder alone: to look at more could mean to ask a share */
    bool still = slash && access(file, F_OK) == 0;
    free(file);
    return still;
}

static uint64_t read_memory(const char *key) {
    char *text = read_file("/proc/meminfo", NULL), *line = text ? strstr(text, key) : NULL;
    uint64_t size = line ? strtoull(line + strlen(key), NULL, 10) * 1024 : 0;
    free(text);
    return size;
}

static char *megabytes(uint64_t size) {
    char *number = number_text((long)(size / MEGABYTE)), *text = join(number, " MB", "");
    free(number);
    return text;
}

/* The camera needs RAM for itself: a quarter, 64 MB at least, as when a place for a bundle is chosen. */
static void require_memory_for(uint64_t size) {
    uint64_t total = read_memory("MemTotal:"), reserve = total / 4 > 64 * MEGABYTE ? total / 4 : 64 * MEGABYTE;
    uint64_t available = read_memory("MemAvailable:");
    struct statvfs space;
    uint64_t room = statvfs("/tmp", &space) == 0 && space.f_blocks ? (uint64_t)space.f_bavail * space.f_frsize : available;
    if (size + reserve <= available && size <= room)
        return;
    char *needed = join("unpacked into RAM, the bundle takes ", megabytes(size), "; ");
    char *free_memory = join(megabytes(available), " are free, ", megabytes(reserve));
    char *text = join(needed, free_memory, " of which are the camera's; /tmp has ");
    fail(EXIT_NO_MEMORY, text, megabytes(room), 0);
}

/* Start the shell's COMMAND in FOLDER; returns where to write. */
static int start_unpacking(const char *command, const char *folder, pid_t *child) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0 || (*child = fork()) < 0)
        fail(1, "cannot start", "tar", errno);
    if (*child == 0) {
        dup2(ends[0], 0);
        dup2(2, 1);
        signal(SIGPIPE, SIG_DFL);
        if (chdir(folder) < 0)
            fail(1, "cannot enter", folder, errno);
        execlp("sh", "sh", "-c", command, NULL);
        fail(127, "cannot start", "sh", errno);
    }
    close(ends[0]);
    signal(SIGPIPE, SIG_IGN);
    return ends[1];
}

static int await_child(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

void unpack_app(const char *data, size_t size, const char *folder) {
    pid_t child;
    int pipe = start_unpacking("tar -x -o -f -", folder, &child);
    write_all(pipe, data, size);
    close(pipe);
    if (await_child(child))
        fail(EXIT_NO_MEMORY, "cannot unpack the app into RAM (is /tmp full?):", folder, 0);
}

void unpack_image(const struct image *image, const char *path, const char *folder) {
    int file = open_image(image, path);
    require_memory_for(image->unpacked);
    char *partial = join(folder, ".partial", "");
    remove_tree(partial);
    if (mkdir(partial, 0755) < 0)
        fail(1, "cannot make", partial, errno);
    pid_t child;
    int pipe = start_unpacking("gunzip | tar -x -o -f -", partial, &child);
    char *piece = require_memory(malloc(PIECE));
    struct sha256 hash;
    char digest[65];
    sha256_start(&hash);
    ssize_t got;
    int error = 0;
    while ((got = read(file, piece, PIECE)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) {
            sha256_add(&hash, piece, (size_t)got);
            write_all(pipe, piece, (size_t)got);
        }
    if (got < 0)
        error = errno;
    sha256_end(&hash, digest);
    close(pipe);
    close(file);
    free(piece);
    int status = await_child(child);
    bool sound = !strncmp(digest, image->file, 64);
    if (error || !sound || status || rename(partial, folder) < 0) {
        remove_tree(partial);
        if (error)
            fail_reading(path, error);
        if (!sound)
            fail_damaged(path);
        fail(EXIT_NO_MEMORY, "cannot unpack into RAM (is /tmp full?):", path, 0);
    }
    free(partial);
}

bool drop_image(const char *folder) {
    if (is_mounted(folder))
        return umount2(folder, UMOUNT_NOFOLLOW) == 0 && rmdir(folder) == 0; /* EBUSY: a process uses it */
    if (folder_in_use(folder))
        return false;
    remove_tree(folder);
    return true;
}

/* Returns NULL when the image could be mounted and read. */
static const char *try_image(const struct trial_image *trial, const char *folder) {
    char *path = join(folder, ".image", "");
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    unlink(path);
    if (file < 0 || !write_all(file, trial->data, trial->size) || ftruncate(file, 4096) < 0)
        return "cannot write to /tmp";
    const char *problem = NULL;
    if (!mount_file(file, folder)) {
        problem = strerror(errno);
    } else {
        size_t size = 0;
        char *inside = join_path(folder, "trial"), *text = read_file(inside, &size);
        bool same = text && size == TRIAL_SIZE;
        for (size_t i = 0; same && i < size; i++)
            same = text[i] == 'x';
        problem = same ? NULL : "it reads wrongly";
        umount2(folder, MNT_DETACH);
    }
    close(file);
    return problem;
}

int try_images(void) {
    char folder[] = "/tmp/.incamera-trial-XXXXXX";
    const char *problem = "cannot write to /tmp";
    bool any = false;
    if (mkdtemp(folder)) {
        for (size_t i = 0; i < sizeof trial_images / sizeof *trial_images; i++) {
            const char *found = try_image(&trial_images[i], folder);
            if (found)
                problem = found;
            else {
                any = true;
                say("squashfs ");
                say(trial_images[i].compression);
                say("\n");
            }
        }
        rmdir(folder);
    }
    if (!any) {
        say("no squashfs: ");
        say(problem);
        say("\n");
    }
    return 0;
}
