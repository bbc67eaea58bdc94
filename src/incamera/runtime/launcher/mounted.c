/* A runtime as a squashfs file is mounted through a loop device. What a start reads of it is read ahead, and checked. */
#define _GNU_SOURCE
#include "mounted.h"
#include "files.h"
#include "json.h"
#include "output.h"
#include "place.h"
#include "processes.h"
#include "protocol.h"
#include "text.h"
#include "trial_images.h"
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SQUASHFS_MAGIC 0x73717368
/* A network share answers each piece with one reply; the kernel asks for no more than 2 MB at a time. */
#define PIECE (2u << 20)
/* Other programs take loop devices, too. */
#define ATTEMPTS 16
/* Reading ahead has a lower priority than all else. */
#define NICE 10
#define FOLLOWS_MS 5
#define MOST_DESCRIPTORS 64
#define UNMOUNT_MS 10000
/* So far it stays behind, since some files take more room in the image than others. */
#define DISTANCE_KB 512

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

/* What two processes know of the reading: how much of the image is in RAM. */
struct reading {
    volatile uint32_t done_kb;
    uint32_t first_kb, total_kb; /* what mounting needs; all */
    pid_t reader;
};

/* Read RANGE of FILE in large pieces, so that it is in RAM when it is read in small ones. Add it to CHECK, and its size in
   bytes to DONE. Returns 0, an errno, or FILE_ENDS. */
enum { FILE_ENDS = -1 };
static int read_ahead(int file, struct range range, uint32_t *check, uint64_t *done, struct reading *reading) {
    unsigned char *piece = require_memory(malloc(PIECE));
    int problem = 0;
    while (range.start < range.end && !problem) {
        uint64_t left = range.end - range.start;
        ssize_t got = pread(file, piece, left < PIECE ? (size_t)left : PIECE, (off_t)range.start);
        if (got > 0) {
            *check = add_check(*check, piece, (size_t)got);
            range.start += (uint64_t)got;
            *done += (uint64_t)got;
            reading->done_kb = (uint32_t)(*done >> 10);
        } else if (!got)
            problem = FILE_ENDS;
        else if (errno != EINTR)
            problem = errno;
    }
    free(piece);
    return problem;
}

static char *device_path(int number) {
    char *digits = number_text(number), *path = join("/dev/loop", digits, "");
    free(digits);
    return path;
}

/* Tie FILE to a free loop device, which becomes free again when it is unmounted. Returns the opened device, and its path
   in PATH; -1 with errno where that fails. */
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

static void await_reading(const struct reading *reading, uint64_t kb) {
    if (kb > reading->total_kb)
        kb = reading->total_kb;
    while (reading->done_kb < kb && getppid() == reading->reader)
        usleep(FOLLOWS_MS * 1000);
}

/* Read the files that a start reads, in its order. So a second processor unpacks them while the first still reads from the
   place, and later while Python starts. This stays behind the reading, since what it read from the place itself would come
   in small pieces. It leaves half of the free memory alone. */
static void unpack_ahead(const struct image *image, const char *folder, const struct reading *reading) {
    setsid();
    setpriority(PRIO_PROCESS, 0, NICE);
    if (chdir(folder) < 0)
        return;
    uint64_t room = read_memory("MemAvailable:") / 2, all = 0, done = 0;
    for (size_t i = 0; i < image->part_count; i++)
        all += image->parts[i].size;
    char *piece = require_memory(malloc(PIECE));
    for (size_t i = 0; i < image->part_count && done < room; i++) {
        uint64_t left = image->parts[i].size;
        done += left;
        await_reading(reading, done * reading->total_kb / (all + 1) + DISTANCE_KB);
        int file = open(image->parts[i].path, O_RDONLY | O_CLOEXEC);
        for (ssize_t got; file >= 0 && left && (got = read(file, piece, left < PIECE ? (size_t)left : PIECE)) > 0;)
            left -= (uint64_t)got;
        if (file >= 0)
            close(file);
    }
}

/* While the other process reads: mount the image once its tables have been read, write how that ended (0 or an errno) to
   RESULT, and unpack. */
static _Noreturn void follow(const struct image *image, int file, const char *folder, const struct reading *reading, int result) {
    await_reading(reading, reading->first_kb);
    if (getppid() != reading->reader) /* killed: nobody would unmount the image */
        _exit(1);
    int error = mount_file(file, folder) ? 0 : errno;
    /* Processes that wait for our output, or for the lock on the roots, need not wait for this one. */
    for (int i = 0; i < MOST_DESCRIPTORS; i++)
        if (i != result)
            close(i);
    write_all(result, &error, sizeof error);
    close(result);
    if (!error)
        unpack_ahead(image, folder, reading);
    _exit(0);
}

/* Unmounting the last file system that uses a share waits for the share's server, which may be away for good. So a child
   does it, and is left behind once FOLDER is out of the tree. */
static void unmount_in_child(const char *folder, int flags) {
    if (!is_mounted(folder)) /* a child that we did not wait for would unmount what we mount there next */
        return;
    pid_t child = fork();
    if (child < 0)
        fail(EXIT_FAILED, "no memory left", NULL, 0);
    if (!child) {
        setsid();
        for (int i = 0; i < MOST_DESCRIPTORS; i++) /* our output and the lock on the roots among them */
            close(i);
        umount2(folder, flags | UMOUNT_NOFOLLOW);
        _exit(0);
    }
    struct timespec pause = {.tv_nsec = 1000000};
    for (int i = 0; waitpid(child, NULL, WNOHANG) == 0 && is_mounted(folder); i++) {
        if (i == UNMOUNT_MS) /* likewise */
            kill(child, SIGKILL);
        nanosleep(&pause, NULL);
    }
}

void detach_image(const char *folder) {
    unmount_in_child(folder, MNT_DETACH);
}

static void unmount(const char *folder) {
    detach_image(folder);
    rmdir(folder);
}

static uint32_t count_kb(const struct image *image, size_t ranges) {
    uint64_t size = 0;
    for (size_t i = 0; i < ranges; i++)
        size += image->ranges[i].end - image->ranges[i].start;
    return (uint32_t)(size >> 10);
}

/* Mount FILE at FOLDER while all ranges of it are read and checked. Returns 0, an errno, or FILE_ENDS, which also means
   that the check failed. ERROR becomes the errno of mounting, or 0. */
static int read_and_mount(const struct image *image, int file, const char *folder, int *error) {
    struct reading *reading = mmap(NULL, sizeof *reading, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int result[2], problem = 0;
    if (reading == MAP_FAILED || pipe2(result, O_CLOEXEC) < 0)
        fail(EXIT_FAILED, "no memory left", NULL, 0);
    /* The first range is what mounting reads. */
    *reading = (struct reading){.first_kb = count_kb(image, image->range_count ? 1 : 0),
                                .total_kb = count_kb(image, image->range_count), .reader = getpid()};
    pid_t follower = fork();
    if (follower < 0)
        fail(EXIT_FAILED, "no memory left", NULL, 0);
    if (!follower)
        follow(image, file, folder, reading, result[1]);
    close(result[1]);
    uint32_t check = 1;
    uint64_t done = 0;
    for (size_t i = 0; i < image->range_count && !problem; i++)
        problem = read_ahead(file, image->ranges[i], &check, &done, reading);
    if (!problem && image->range_count && check != image->check)
        problem = FILE_ENDS;
    /* Also where reading failed: one that was killed in the middle of mounting would leave a loop device behind. */
    reading->done_kb = reading->total_kb;
    ssize_t got;
    while ((got = read(result[0], error, sizeof *error)) < 0 && errno == EINTR)
        ;
    if (got != sizeof *error)
        *error = ECHILD;
    close(result[0]);
    if (problem) {
        kill(follower, SIGKILL);
        await_child(follower);
    }
    return problem;
}

/* What is read of the image is checked before anything runs from it. Until then it is mounted under another name. */
void mount_image(const struct image *image, const char *path, const char *folder) {
    int file = open_image_file(image, path), error = 0;
    char *partial = join(folder, ".partial", "");
    unmount(partial);
    if ((mkdir(folder, 0755) < 0 && errno != EEXIST) || mkdir(partial, 0755) < 0)
        fail_in_ram("cannot make", partial, errno);
    posix_fadvise(file, 0, 0, POSIX_FADV_RANDOM); /* as much as is asked for, and no more */
    int problem = read_and_mount(image, file, partial, &error);
    if (!problem && !error && mount(partial, folder, NULL, MS_BIND, NULL) < 0)
        error = errno;
    posix_fadvise(file, 0, 0, POSIX_FADV_NORMAL);
    close(file);
    unmount(partial);
    free(partial);
    if (!problem && !error)
        return;
    rmdir(folder);
    if (problem == FILE_ENDS)
        fail_damaged(path);
    if (problem)
        fail_reading(path, problem);
    fail(EXIT_CANNOT_MOUNT, "this camera cannot mount the image", path, error);
}

bool is_mounted(const char *folder) {
    struct statfs status;
    return statfs(folder, &status) == 0 && status.f_type == SQUASHFS_MAGIC;
}

/* The file behind the loop device that is mounted at FOLDER, by its present name. A file system that was unmounted although
   it was in use, such as a share, is no longer in the tree, and the names of its files begin at its own root. */
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

bool is_intact(const char *folder) {
    const char *images = images_folder();
    size_t length = strlen(images);
    if (strncmp(folder, images, length) || folder[length] != '/') /* a tree, in its place */
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

bool drop_image(const char *folder) {
    if (is_mounted(folder)) {
        unmount_in_child(folder, 0);
        return !is_mounted(folder) && rmdir(folder) == 0; /* it stays where a process uses it */
    }
    if (folder_in_use(folder))
        return false;
    remove_tree(folder);
    return true;
}

static const char CANNOT_WRITE[] = "cannot write to /tmp";

/* Returns what goes wrong, NULL when the image can be mounted and read. */
static const char *try_image(const struct trial_image *trial, const char *folder) {
    char *path = join_path(folder, "image"); /* the folder is ours alone; it is hidden by what is mounted there */
    int file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    unlink(path);
    if (file < 0 || !write_all(file, trial->data, trial->size) || ftruncate(file, 4096) < 0)
        return CANNOT_WRITE;
    const char *problem = NULL;
    if (!mount_file(file, folder)) {
        problem = strerror(errno);
    } else {
        size_t size = 0;
        char *inside = join_path(folder, "trial"), *text = read_file(inside, &size);
        bool same = text && size == TRIAL_SIZE;
        for (size_t i = 0; same && i < size; i++)
            same = text[i] == 'x';
        problem = same ? NULL : "what is read from it is wrong";
        umount2(folder, MNT_DETACH);
    }
    close(file);
    return problem;
}

/* guard try-images: mounts a tiny image of each compression, reads it, and prints which ones worked. */
int guard_try_images(int argc, char **argv) {
    (void)argv;
    if (argc)
        fail(EXIT_USAGE, "usage: incamera-guard try-images", NULL, 0);
    char folder[] = "/tmp/.incamera-trial-XXXXXX";
    bool made = mkdtemp(folder), any = false;
    if (made && !is_own_folder(folder)) {
        rmdir(folder);
        fail_taken();
    }
    const char *problem = made ? NULL : CANNOT_WRITE;
    begin_answer(ANSWER_TRIED);
    begin_list(KEY_SQUASHFS);
    for (size_t i = 0; made && i < sizeof trial_images / sizeof *trial_images; i++) {
        const char *found = try_image(&trial_images[i], folder);
        if (!found)
            answer_text(NULL, trial_images[i].compression);
        any = any || !found;
        problem = found ? found : problem;
    }
    end_list();
    answer_text(KEY_PROBLEM, any ? NULL : problem);
    answer_flag(KEY_PASSING, !any && problem == CANNOT_WRITE);
    end_answer();
    if (made)
        rmdir(folder);
    return 0;
}
