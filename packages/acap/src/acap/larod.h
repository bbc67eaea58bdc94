/* The camera's inference library, opened at run time: a structure of pointers to its functions. */
#ifndef ACAP_LAROD_H
#define ACAP_LAROD_H

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "larod_functions.h"

#define LAROD_TENSOR_MAX_LEN 12
#define LAROD_ACCESS_PRIVATE 1

typedef struct larodConnection larodConnection;
typedef struct larodDevice larodDevice;
typedef struct larodModel larodModel;
typedef struct larodTensor larodTensor;
typedef struct larodJobRequest larodJobRequest;
typedef struct larodMap larodMap;
typedef int larodErrorCode;
typedef unsigned larodAccess;
typedef unsigned larodTensorDataType;
typedef unsigned larodTensorLayout;

typedef struct {
    larodErrorCode code;
    const char *msg;
} larodError;

typedef struct {
    size_t dims[LAROD_TENSOR_MAX_LEN];
    size_t len;
} larodTensorDims;

typedef struct {
    size_t pitches[LAROD_TENSOR_MAX_LEN];
    size_t len;
} larodTensorPitches;

typedef void (*larodRunJobCallback)(void *userData, larodError *error);

/* A function that the library does not have is NULL. */
static struct {
#define FUNCTION(result, name, arguments, since) result(*name) arguments;
    LAROD_FUNCTIONS(FUNCTION)
#undef FUNCTION
} larod;

static const struct {
    const char *name, *since;
    size_t offset;
} larod_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&larod.name - (char *)&larod)},
    LAROD_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define LAROD_TABLE_SIZE (sizeof larod_table / sizeof *larod_table)

/* Open the library. Returns NULL, or what the loader says against it. */
static const char *larod_open(const char *soname)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "unknown error";
    }
    for (size_t number = 0; number < LAROD_TABLE_SIZE; number++) {
        void *function = dlsym(library, larod_table[number].name);
        memcpy((char *)&larod + larod_table[number].offset, &function, sizeof function);
    }
    return NULL;
}

/* The first function that the library lacks, or NULL. */
static const char *larod_missing(void)
{
    for (size_t number = 0; number < LAROD_TABLE_SIZE; number++) {
        void *function;
        memcpy(&function, (char *)&larod + larod_table[number].offset, sizeof function);
        if (!function)
            return larod_table[number].name;
    }
    return NULL;
}

/* What becomes of an asynchronous job. The one that waits and the library's thread own it together. */
typedef struct {
    int fd; /* readable once the job is done */
    int owners;
    int done;
    int code;
    char message[256];
} larod_wait;

static larod_wait *larod_new_wait(void)
{
    larod_wait *wait = calloc(1, sizeof *wait);
    if (!wait)
        return NULL;
    wait->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wait->fd < 0) {
        free(wait);
        return NULL;
    }
    wait->owners = 1;
    return wait;
}

static void larod_leave_wait(larod_wait *wait)
{
    if (__atomic_sub_fetch(&wait->owners, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(wait->fd);
    free(wait);
}

static int larod_is_done(const larod_wait *wait)
{
    return __atomic_load_n(&wait->done, __ATOMIC_ACQUIRE);
}

/* Called in a thread of the library, which must not be held up: no Python, and no other function of the library. */
static void larod_job_done(void *data, larodError *error)
{
    larod_wait *wait = data;
    uint64_t one = 1;
    if (error) {
        wait->code = error->code;
        snprintf(wait->message, sizeof wait->message, "%s", error->msg ? error->msg : "unknown error");
    }
    __atomic_store_n(&wait->done, 1, __ATOMIC_RELEASE);
    if (write(wait->fd, &one, sizeof one) < 0) {
        /* It cannot overflow. */
    }
    larod_leave_wait(wait);
}

static bool larod_start(larodConnection *conn, const larodJobRequest *job, larod_wait *wait, larodError **error)
{
    __atomic_add_fetch(&wait->owners, 1, __ATOMIC_RELAXED);
    if (larod.larodRunJobAsync(conn, job, larod_job_done, wait, error))
        return true;
    larod_leave_wait(wait);
    return false;
}

/* Tell the kernel that the processor begins or ends to use a dma-buf: DMA_BUF_IOCTL_SYNC. Others do not need it. */
static void larod_sync(int fd, int writes, int ends)
{
    struct {
        uint64_t flags;
    } sync = {(writes ? 2u : 1u) | (ends ? 4u : 0u)};
    ioctl(fd, _IOW('b', 0, uint64_t), &sync);
}

/* Turn unsigned bytes into signed ones, and back: what 0 to 255 are in a model of int8. */
static void larod_flip_signs(uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at++)
        data[at] ^= 0x80;
}

#endif
