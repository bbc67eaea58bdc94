/* Jobs: a model, with the buffers that it reads and writes. A device runs one job at a time. */
#include "objects.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define ORDINARY_PRIORITY 50 /* of a job whose program waits for it */

/* One for each device of the camera, by its name. */
struct turn {
    char name[DEVICE_NAME];
    bool is_taken;
    struct waiter *waiters;
};

struct waiter {
    struct waiter *next;
    unsigned priority;
    uint64_t order;
};

static pthread_mutex_t turns_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn_ended = PTHREAD_COND_INITIALIZER;
static struct turn turns[2 * MOST_DEVICES];
static uint64_t last_order;

/* The values of a tensor while a job runs. */
struct values {
    struct tracked *tracked;
    struct buffer *buffer;
    struct buffer own; /* of one that is not tracked */
    size_t size;
    uint8_t *data;
    void *mapping;
    size_t mapping_size;
    uint8_t *copy;
};

struct job {
    struct session *session;
    struct loaded *model;
    struct values inputs[MOST_TENSORS], outputs[MOST_TENSORS];
    bool is_cropped;
    int64_t crop[4];
    unsigned priority;
    uint64_t number;
};

void renew_turns(void)
{
    pthread_mutex_init(&turns_lock, NULL);
    pthread_cond_init(&turn_ended, NULL);
    memset(turns, 0, sizeof turns);
}

/* The turns are locked. */
static struct turn *find_turn(const char *name)
{
    for (size_t number = 0; number < sizeof turns / sizeof *turns; number++) {
        if (!turns[number].name[0])
            memcpy(turns[number].name, name, sizeof turns[number].name);
        if (strcmp(turns[number].name, name) == 0)
            return &turns[number];
    }
    return &turns[0]; /* more names than any camera has: they share one */
}

static bool is_first(const struct turn *turn, const struct waiter *self)
{
    for (const struct waiter *other = turn->waiters; other; other = other->next)
        if (other->priority > self->priority || (other->priority == self->priority && other->order < self->order))
            return false;
    return true;
}

/* Wait until the model's device is free, and no job of a higher priority waits for it. */
static void take_turn(const struct job *job)
{
    pthread_mutex_lock(&turns_lock);
    struct turn *turn = find_turn(job->model->device.name);
    struct waiter self = {turn->waiters, job->priority, ++last_order};
    turn->waiters = &self;
    while (turn->is_taken || !is_first(turn, &self))
        pthread_cond_wait(&turn_ended, &turns_lock);
    turn->is_taken = true;
    struct waiter **place = &turn->waiters;
    while (*place != &self)
        place = &(*place)->next;
    *place = self.next;
    pthread_mutex_unlock(&turns_lock);
}

static void end_turn(const struct job *job)
{
    pthread_mutex_lock(&turns_lock);
    find_turn(job->model->device.name)->is_taken = false;
    pthread_cond_broadcast(&turn_ended);
    pthread_mutex_unlock(&turns_lock);
}

static bool map_memory(const struct buffer *buffer, size_t size, bool writes, void **mapping, size_t *mapping_size,
                       larodError **error)
{
    int64_t page = sysconf(_SC_PAGESIZE), start = buffer->offset / page * page;
    size_t skipped = (size_t)(buffer->offset - start);
    struct stat status;
    if (fstat(buffer->fd, &status) < 0)
        return fail(error, LAROD_ERROR_FD, "a buffer is no open file");
    if (S_ISREG(status.st_mode) && status.st_size < buffer->offset + (int64_t)size)
        return fail(error, LAROD_ERROR_FD, "the buffer ends before the tensor's %zu bytes", size);
    void *made =
        mmap(NULL, size + skipped, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, buffer->fd, (off_t)start);
    if (made == MAP_FAILED)
        return fail(error, LAROD_ERROR_FD, "the buffer cannot be mapped: %s", strerror(errno));
    *mapping = made;
    *mapping_size = size + skipped;
    return true;
}

/* A tracked buffer keeps its mapping. */
static bool map_values(struct session *session, struct values *values, bool writes, larodError **error)
{
    struct buffer *buffer = values->buffer;
    size_t skipped = (size_t)(buffer->offset % sysconf(_SC_PAGESIZE));
    void **mapping = values->tracked ? &buffer->mapping : &values->mapping;
    size_t *mapping_size = values->tracked ? &buffer->mapping_size : &values->mapping_size;
    pthread_mutex_lock(&session->lock);
    bool good = *mapping ? *mapping_size >= values->size + skipped ||
                               fail(error, LAROD_ERROR_FD, "the buffer ends before the tensor's %zu bytes", values->size)
                         : map_memory(buffer, values->size, writes || values->tracked, mapping, mapping_size, error);
    if (!good && values->tracked && !writes && !*mapping) { /* one that can only be read */
        clear_error(error);
        good = map_memory(buffer, values->size, false, mapping, mapping_size, error);
    }
    pthread_mutex_unlock(&session->lock);
    if (good)
        values->data = (uint8_t *)*mapping + skipped;
    return good;
}

static bool read_copy(struct values *values, bool writes, larodError **error)
{
    int fd = values->buffer->fd;
    values->data = values->copy = calloc(1, values->size + 1);
    if (!values->copy)
        return fail(error, ENOMEM, "no memory for a tensor");
    if (writes)
        return true;
    size_t done = 0;
    if (lseek(fd, 0, SEEK_SET) < 0)
        return fail(error, LAROD_ERROR_FD, "the input's position cannot be set: %s", strerror(errno));
    while (done < values->size) {
        ssize_t count = read(fd, values->copy + done, values->size - done);
        if (count <= 0)
            return fail(error, LAROD_ERROR_FD, "the input ends after %zu of %zu bytes", done, values->size);
        done += (size_t)count;
    }
    return true;
}

/* The kinds of buffers that the device takes; a dma-buf, for inputs only, and from its begin. */
static uint32_t kinds_taken(const struct known *known, const struct buffer *buffer, bool writes)
{
    uint32_t kinds = known->buffers;
    if (known->kind == RUNS_TFLITE && (writes || buffer->offset))
        kinds &= ~(uint32_t)LAROD_FD_PROP_DMABUF;
    return kinds & buffer->properties;
}

static bool open_values(const struct job *job, struct values *values, const struct description *is, bool writes,
                        larodError **error)
{
    const struct buffer *buffer = values->buffer;
    const uint32_t kinds = kinds_taken(job->model->device.known, buffer, writes);
    values->size = byte_size(is);
    if (buffer->size && buffer->size < values->size)
        return fail(error, LAROD_ERROR_FD, "a buffer of %llu bytes is too small for %zu", (unsigned long long)buffer->size,
                    values->size);
    if (kinds & (LAROD_FD_PROP_MAP | LAROD_FD_PROP_DMABUF))
        return map_values(job->session, values, writes, error);
    if (kinds & LAROD_FD_PROP_READWRITE)
        return read_copy(values, writes, error);
    return fail(error, LAROD_ERROR_FD, "%s can neither map nor read such a buffer", job->model->device.name);
}

static bool write_copy(const struct values *values, larodError **error)
{
    for (size_t done = 0; values->copy && done < values->size;) {
        ssize_t count = write(values->buffer->fd, values->copy + done, values->size - done);
        if (count <= 0)
            return fail(error, LAROD_ERROR_FD, "the output cannot be written: %s", strerror(errno));
        done += (size_t)count;
    }
    return true;
}

static bool compute(const struct job *job, larodError **error)
{
    struct loaded *model = job->model;
    uint8_t *in[MOST_TENSORS], *out[MOST_TENSORS];
    for (size_t number = 0; number < model->input_count; number++)
        in[number] = job->inputs[number].data;
    for (size_t number = 0; number < model->output_count; number++)
        out[number] = job->outputs[number].data;
    if (model->conversion)
        return run_conversion(model->conversion, job->is_cropped ? job->crop : NULL, in[0], out[0], error);
    if (model->remote)
        return remote_run(model->remote, model, in, out, error);
    return run_network(model->network, in, out, error);
}

static bool run(struct job *job, larodError **error)
{
    struct loaded *model = job->model;
    struct session *session = job->session;
    bool good = true;
    for (size_t number = 0; good && number < model->input_count; number++)
        good = open_values(job, &job->inputs[number], &model->inputs[number], false, error);
    for (size_t number = 0; good && number < model->output_count; number++)
        good = open_values(job, &job->outputs[number], &model->outputs[number], true, error);
    if (!good)
        return false;
    take_turn(job);
    if (!__atomic_load_n(&session->ended, __ATOMIC_ACQUIRE)) {
        wait_milliseconds("INCAMERA_LAROD_JOB_MS", "slow-jobs");
        pthread_mutex_lock(&model->lock);
        good = compute(job, error);
        pthread_mutex_unlock(&model->lock);
    }
    end_turn(job);
    for (size_t number = 0; good && number < model->output_count; number++)
        good = write_copy(&job->outputs[number], error);
    return good;
}

static void close_values(struct session *session, struct values *values, size_t count)
{
    for (size_t number = 0; number < count; number++) {
        if (values[number].mapping)
            munmap(values[number].mapping, values[number].mapping_size);
        free(values[number].copy);
        if (values[number].tracked)
            end_use(session, values[number].tracked);
        else if (values[number].buffer)
            close(values[number].own.fd);
    }
}

static void free_job(struct job *job)
{
    close_values(job->session, job->inputs, MOST_TENSORS);
    close_values(job->session, job->outputs, MOST_TENSORS);
    let_go(job->model);
    free(job);
}

/* Find the buffer of one tensor. *FD counts the descriptors of the request. */
static bool find_values(struct session *session, const struct ask_tensor *ask, struct line_message *request, unsigned *fd,
                        struct values *values, larodError **error)
{
    if (ask->tracked) {
        values->tracked = use_tracked(session, ask->tracked);
        if (!values->tracked)
            return fail(error, EINVAL, "a tensor is not tracked by this connection");
        values->buffer = &values->tracked->buffer;
        return true;
    }
    int own = line_take_fd(request, (*fd)++);
    if (own < 0)
        return fail(error, LAROD_ERROR_FD, "a tensor has no file descriptor");
    values->buffer = &values->own;
    values->own = (struct buffer){.fd = own, .size = ask->size, .offset = ask->offset, .properties = ask->properties};
    return ask->offset >= 0 || fail(error, EINVAL, "an offset cannot be negative");
}

static struct job *new_job(struct session *session, const struct ask_run *ask, struct line_message *request, larodError **error)
{
    struct loaded *model = find_model(session, ask->model, error);
    struct job *job = model ? calloc(1, sizeof *job) : NULL;
    if (!job) {
        if (model) {
            fail(error, ENOMEM, "no memory for a job");
            let_go(model);
        }
        return NULL;
    }
    *job = (struct job){.session = session, .model = model, .is_cropped = ask->is_cropped, .number = ask->number,
                        .priority = ask->priority};
    memcpy(job->crop, ask->crop, sizeof job->crop);
    bool good = (ask->input_count == model->input_count && ask->output_count == model->output_count) ||
                fail(error, LAROD_ERROR_JOB, "the job's tensors are those of another model");
    unsigned fd = 0;
    for (uint32_t number = 0; good && number < ask->input_count; number++)
        good = find_values(session, &ask->tensors[number], request, &fd, &job->inputs[number], error);
    for (uint32_t number = 0; good && number < ask->output_count; number++)
        good = find_values(session, &ask->tensors[ask->input_count + number], request, &fd, &job->outputs[number], error);
    if (good)
        return job;
    free_job(job);
    return NULL;
}

bool run_job(struct session *session, const struct ask_run *ask, struct line_message *request, larodError **error)
{
    struct job *job = has_power(error) ? new_job(session, ask, request, error) : NULL;
    if (!job)
        return false;
    job->priority = ORDINARY_PRIORITY;
    bool good = run(job, error);
    free_job(job);
    if (good)
        service_did_a_job();
    return good;
}

static void *run_started(void *data)
{
    struct job *job = data;
    struct session *session = job->session;
    struct told_end told = {.number = job->number};
    larodError *error = NULL;
    if (run(job, &error))
        service_did_a_job();
    if (error) {
        told.code = error->code;
        snprintf(told.text, sizeof told.text, "%s", error->msg ? error->msg : "");
    }
    clear_error(&error);
    free_job(job);
    /* The session is there until `running` says that this was the last one. */
    pthread_mutex_lock(&session->lock);
    int ends = session->ends;
    pthread_mutex_unlock(&session->lock);
    line_send(ends, 0, TELL_END, 0, &told, sizeof told, NULL, 0);
    pthread_mutex_lock(&session->lock);
    if (--session->running == 0)
        pthread_cond_broadcast(&session->idle);
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

static bool note_start(struct session *session, larodError **error)
{
    pthread_mutex_lock(&session->lock);
    bool good = session->ends >= 0 && session->running < MOST_JOBS;
    session->running += good;
    pthread_mutex_unlock(&session->lock);
    return good || fail(error, LAROD_ERROR_JOB, "a connection can have %d jobs at most", MOST_JOBS);
}

bool start_job(struct session *session, const struct ask_run *ask, struct line_message *request, larodError **error)
{
    struct job *job = has_power(error) ? new_job(session, ask, request, error) : NULL;
    if (!job)
        return false;
    pthread_attr_t attributes;
    pthread_t thread;
    bool noted = note_start(session, error), good = false;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, ENGINE_STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (noted) {
        good = pthread_create(&thread, &attributes, run_started, job) == 0;
        if (!good) {
            fail(error, LAROD_ERROR_JOB, "no thread for the job");
            pthread_mutex_lock(&session->lock);
            session->running--;
            pthread_mutex_unlock(&session->lock);
        }
    }
    pthread_attr_destroy(&attributes);
    if (!good)
        free_job(job);
    return good;
}

/* Let the session's jobs come to their ends, of which nobody will be told. */
void end_jobs(struct session *session)
{
    __atomic_store_n(&session->ended, true, __ATOMIC_RELEASE);
    pthread_mutex_lock(&session->lock);
    if (session->ends >= 0)
        shutdown(session->ends, SHUT_RDWR);
    while (session->running)
        pthread_cond_wait(&session->idle, &session->lock);
    if (session->ends >= 0)
        close(session->ends);
    session->ends = -1;
    pthread_mutex_unlock(&session->lock);
}
