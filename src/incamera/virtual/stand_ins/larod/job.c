/* Jobs: a model with the tensors that it reads and writes. */
#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool same_dims(const larodTensorDims *one, const larodTensorDims *other)
{
    return one->len == other->len && memcmp(one->dims, other->dims, one->len * sizeof *one->dims) == 0;
}

/* What is unspecified is not checked. */
static bool fits(const struct description *given, const struct description *wanted, const char *which, size_t number,
                 larodError **error)
{
    const char *what = NULL;
    larodTensorDims pitches, wanted_pitches;
    memcpy(&pitches, &given->pitches, sizeof pitches);
    memcpy(&wanted_pitches, &wanted->pitches, sizeof wanted_pitches);
    if (given->dims.len && given->pitches.len && given->dims.len != given->pitches.len)
        what = "number of pitches";
    else if (given->type != LAROD_TENSOR_DATA_TYPE_UNSPECIFIED && given->type != wanted->type)
        what = "data type";
    else if (given->layout != LAROD_TENSOR_LAYOUT_UNSPECIFIED && wanted->layout != LAROD_TENSOR_LAYOUT_UNSPECIFIED &&
             given->layout != wanted->layout)
        what = "layout";
    else if (given->dims.len && !same_dims(&given->dims, &wanted->dims))
        what = "dimensions";
    else if (given->pitches.len && !same_dims(&pitches, &wanted_pitches))
        what = "pitches";
    if (what)
        return fail(error, LAROD_ERROR_TENSOR_MISMATCH, "the %s of %s %zu do not fit the model", what, which, number);
    return true;
}

static bool take_tensors(larodTensor **to, size_t *to_count, larodTensor **tensors, size_t count,
                         const struct description *are, size_t wanted, const char *which, larodError **error)
{
    if (!tensors || count != wanted)
        return fail(error, LAROD_ERROR_JOB, "the model has %zu %ss, not %zu", wanted, which, count);
    for (size_t number = 0; number < count; number++) {
        if (!tensors[number])
            return fail(error, EINVAL, "%s %zu is missing", which, number);
        if (!fits(&tensors[number]->is, &are[number], which, number, error))
            return false;
        to[number] = tensors[number];
    }
    *to_count = count;
    return true;
}

bool larodSetJobRequestParams(larodJobRequest *jobReq, const larodMap *params, larodError **error)
{
    if (!jobReq)
        return fail(error, EINVAL, "there is no job request");
    const struct map_entry *crop = find_entry(params, "image.input.crop");
    jobReq->cropped = crop;
    if (crop && crop->kind != IS_QUAD)
        return fail(error, EINVAL, "image.input.crop is four numbers");
    if (crop)
        memcpy(jobReq->crop, crop->values, sizeof jobReq->crop);
    return true;
}

bool larodSetJobRequestInputs(larodJobRequest *jobReq, larodTensor **tensors, size_t numTensors, larodError **error)
{
    if (!jobReq)
        return fail(error, EINVAL, "there is no job request");
    return take_tensors(jobReq->inputs, &jobReq->input_count, tensors, numTensors, jobReq->model->inputs,
                        jobReq->model->input_count, "input", error);
}

bool larodSetJobRequestOutputs(larodJobRequest *jobReq, larodTensor **tensors, size_t numTensors, larodError **error)
{
    if (!jobReq)
        return fail(error, EINVAL, "there is no job request");
    return take_tensors(jobReq->outputs, &jobReq->output_count, tensors, numTensors, jobReq->model->outputs,
                        jobReq->model->output_count, "output", error);
}

bool larodSetJobRequestPriority(larodJobRequest *jobReq, uint8_t priority, larodError **error)
{
    if (!jobReq || priority > 100)
        return fail(error, EINVAL, "a priority is 0 to 100");
    jobReq->priority = priority;
    return true;
}

bool larodSetJobRequestModel(larodJobRequest *jobReq, const larodModel *model, larodError **error)
{
    if (!jobReq || !model)
        return fail(error, EINVAL, "there is no %s", jobReq ? "model" : "job request");
    hold(model->loaded);
    let_go(jobReq->model);
    jobReq->model = model->loaded;
    return true;
}

larodJobRequest *larodCreateJobRequest(const larodModel *model, larodTensor **inputTensors, size_t numInputs,
                                       larodTensor **outputTensors, size_t numOutputs, larodMap *params, larodError **error)
{
    larodJobRequest *request = model ? calloc(1, sizeof *request) : NULL;
    if (!request) {
        fail(error, model ? ENOMEM : EINVAL, model ? "no memory for a job request" : "there is no model");
        return NULL;
    }
    request->model = model->loaded;
    hold(request->model);
    if (!larodSetJobRequestInputs(request, inputTensors, numInputs, error) ||
        !larodSetJobRequestOutputs(request, outputTensors, numOutputs, error) ||
        !larodSetJobRequestParams(request, params, error))
        larodDestroyJobRequest(&request);
    return request;
}

void larodDestroyJobRequest(larodJobRequest **jobReq)
{
    if (!jobReq || !*jobReq)
        return;
    let_go((*jobReq)->model);
    free(*jobReq);
    *jobReq = NULL;
}

/* The values of a tensor while a job runs. */
struct values {
    uint8_t *data;
    void *mapping;
    size_t mapping_size;
    uint8_t *copy;
};

static bool map(larodTensor *tensor, size_t size, bool writes, struct values *values, larodError **error)
{
    int64_t page = sysconf(_SC_PAGESIZE), start = tensor->offset / page * page;
    size_t skipped = (size_t)(tensor->offset - start);
    if (tensor->mapping) {
        values->data = (uint8_t *)tensor->mapping + skipped;
        return true;
    }
    struct stat status;
    if (fstat(tensor->fd, &status) < 0)
        return fail(error, LAROD_ERROR_FD, "%d is no open file descriptor", tensor->fd);
    if (S_ISREG(status.st_mode) && status.st_size < tensor->offset + (int64_t)size)
        return fail(error, LAROD_ERROR_FD, "the buffer ends before the tensor's %zu bytes", size);
    void *mapping = mmap(NULL, size + skipped, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, tensor->fd, (off_t)start);
    if (mapping == MAP_FAILED)
        return fail(error, LAROD_ERROR_FD, "the buffer cannot be mapped: %s", strerror(errno));
    if (tensor->tracked) {
        tensor->mapping = mapping;
        tensor->mapping_size = size + skipped;
    } else {
        values->mapping = mapping;
        values->mapping_size = size + skipped;
    }
    values->data = (uint8_t *)mapping + skipped;
    return true;
}

static bool read_copy(const larodTensor *tensor, size_t size, bool writes, struct values *values, larodError **error)
{
    values->data = values->copy = calloc(1, size + 1);
    if (!values->copy)
        return fail(error, ENOMEM, "no memory for a tensor");
    if (writes)
        return true;
    size_t done = 0;
    if (lseek(tensor->fd, 0, SEEK_SET) < 0)
        return fail(error, LAROD_ERROR_FD, "the input's position cannot be set: %s", strerror(errno));
    while (done < size) {
        ssize_t count = read(tensor->fd, values->copy + done, size - done);
        if (count <= 0)
            return fail(error, LAROD_ERROR_FD, "the input ends after %zu of %zu bytes", done, size);
        done += (size_t)count;
    }
    return true;
}

static bool open_values(larodTensor *tensor, const struct description *is, bool writes, struct values *values,
                        larodError **error)
{
    size_t size = byte_size(is);
    if (tensor->fd < 0)
        return fail(error, LAROD_ERROR_FD, "a tensor has no file descriptor");
    if (tensor->size && tensor->size < size)
        return fail(error, LAROD_ERROR_FD, "a buffer of %zu bytes is too small for %zu", tensor->size, size);
    if (tensor->properties & LAROD_FD_PROP_MAP)
        return map(tensor, size, writes, values, error);
    if (tensor->properties & LAROD_FD_PROP_READWRITE)
        return read_copy(tensor, size, writes, values, error);
    return fail(error, LAROD_ERROR_FD, "this device can neither map nor read such a buffer");
}

static bool write_copy(const larodTensor *tensor, const struct values *values, size_t size, larodError **error)
{
    for (size_t done = 0; values->copy && done < size;) {
        ssize_t count = write(tensor->fd, values->copy + done, size - done);
        if (count <= 0)
            return fail(error, LAROD_ERROR_FD, "the output cannot be written: %s", strerror(errno));
        done += (size_t)count;
    }
    return true;
}

static void close_values(struct values *values, size_t count)
{
    for (size_t number = 0; number < count; number++) {
        if (values[number].mapping)
            munmap(values[number].mapping, values[number].mapping_size);
        free(values[number].copy);
    }
}

static bool compute(struct loaded *model, const larodJobRequest *job, const struct values *inputs,
                    const struct values *outputs, larodError **error)
{
    uint8_t *in[MOST_TENSORS], *out[MOST_TENSORS];
    for (size_t number = 0; number < model->input_count; number++)
        in[number] = inputs[number].data;
    for (size_t number = 0; number < model->output_count; number++)
        out[number] = outputs[number].data;
    if (model->conversion)
        return run_conversion(model->conversion, job->cropped ? job->crop : NULL, in[0], out[0], error);
    if (model->remote)
        return remote_run(model->remote, model, in, out, error);
    return run_network(model->network, in, out, error);
}

static bool run(const larodJobRequest *job, larodError **error)
{
    struct loaded *model = job->model;
    struct values inputs[MOST_TENSORS] = {0}, outputs[MOST_TENSORS] = {0};
    if (model->deleted || model->generation != service_generation)
        return fail(error, LAROD_ERROR_MODEL_NOT_FOUND, "the model is no longer loaded");
    if (job->input_count != model->input_count || job->output_count != model->output_count)
        return fail(error, LAROD_ERROR_JOB, "the job's tensors are those of another model");
    usleep(1000 * setting("INCAMERA_LAROD_JOB_MS", 0));
    pthread_mutex_lock(&model->lock);
    bool good = true;
    for (size_t number = 0; good && number < job->input_count; number++)
        good = open_values(job->inputs[number], &model->inputs[number], false, &inputs[number], error);
    for (size_t number = 0; good && number < job->output_count; number++)
        good = open_values(job->outputs[number], &model->outputs[number], true, &outputs[number], error);
    good = good && compute(model, job, inputs, outputs, error);
    for (size_t number = 0; good && number < job->output_count; number++)
        good = write_copy(job->outputs[number], &outputs[number], byte_size(&model->outputs[number]), error);
    close_values(inputs, job->input_count);
    close_values(outputs, job->output_count);
    pthread_mutex_unlock(&model->lock);
    return good;
}

bool larodRunJob(larodConnection *conn, const larodJobRequest *jobReq, larodError **error)
{
    if (!jobReq)
        return fail(error, EINVAL, "there is no job request");
    if (!is_connected(conn, error) || !has_power(error) || !run(jobReq, error))
        return false;
    service_did_a_job();
    return true;
}

struct call {
    larodConnection *conn;
    larodJobRequest job;
    larodRunJobCallback callback;
    void *user_data;
};

static void *run_call(void *data)
{
    struct call *call = data;
    larodConnection *conn = call->conn;
    larodError *error = NULL;
    if (run(&call->job, &error))
        service_did_a_job();
    call->callback(call->user_data, error);
    larodClearError(&error);
    let_go(call->job.model);
    free(call);
    pthread_mutex_lock(&conn->lock);
    if (--conn->running == 0)
        pthread_cond_broadcast(&conn->idle);
    pthread_mutex_unlock(&conn->lock);
    return NULL;
}

bool larodRunJobAsync(larodConnection *conn, const larodJobRequest *jobReq, larodRunJobCallback callback, void *userData,
                      larodError **error)
{
    if (!jobReq || !callback)
        return fail(error, EINVAL, "there is no %s", jobReq ? "callback" : "job request");
    if (!is_connected(conn, error) || !has_power(error))
        return false;
    struct call *call = malloc(sizeof *call);
    if (!call)
        return fail(error, ENOMEM, "no memory for a job");
    *call = (struct call){conn, *jobReq, callback, userData};
    hold(call->job.model);
    pthread_mutex_lock(&conn->lock);
    conn->running++;
    pthread_mutex_unlock(&conn->lock);
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_call, call) == 0) {
        pthread_detach(thread);
        return true;
    }
    pthread_mutex_lock(&conn->lock);
    conn->running--;
    pthread_mutex_unlock(&conn->lock);
    let_go(call->job.model);
    free(call);
    return fail(error, LAROD_ERROR_JOB, "no thread for the job");
}

/* The model is loaded before the callback is called, in the program's own thread. */
bool larodLoadModelAsync(larodConnection *conn, int inFd, const larodDevice *dev, larodAccess access, const char *name,
                         const larodMap *params, larodLoadModelCallback callback, void *userData, larodError **error)
{
    if (!callback)
        return fail(error, EINVAL, "there is no callback");
    if (!is_connected(conn, error))
        return false;
    larodError *failed = NULL;
    larodModel *model = larodLoadModel(conn, inFd, dev, access, name, params, &failed);
    callback(model, userData, failed);
    larodClearError(&failed);
    return true;
}
