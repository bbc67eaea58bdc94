/* Jobs: a model with the tensors that it reads and writes. */
#include "objects.h"

#include <fcntl.h>

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
    hold_loaded(model->loaded);
    let_go_loaded(jobReq->model);
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
    hold_loaded(request->model);
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
    let_go_loaded((*jobReq)->model);
    free(*jobReq);
    *jobReq = NULL;
}

static bool add_tensor(const larodTensor *tensor, struct ask_tensor *ask, int *fds, unsigned *count, larodError **error)
{
    *ask = (struct ask_tensor){.tracked = tensor->tracked};
    if (tensor->tracked)
        return true;
    if (tensor->fd < 0)
        return fail(error, LAROD_ERROR_FD, "a tensor has no file descriptor");
    if (fcntl(tensor->fd, F_GETFD) < 0)
        return fail(error, LAROD_ERROR_FD, "%d is no open file descriptor", tensor->fd);
    *ask = (struct ask_tensor){.properties = tensor->properties, .size = tensor->size, .offset = tensor->offset};
    fds[(*count)++] = tensor->fd;
    return true;
}

/* Have the service run a job, or start it under NUMBER. */
static bool ask_for_job(larodConnection *conn, const larodJobRequest *job, uint32_t kind, uint64_t number, larodError **error)
{
    struct ask_run ask = {.model = job->model->id, .number = number, .priority = job->priority, .is_cropped = job->cropped,
                          .input_count = (uint32_t)job->input_count, .output_count = (uint32_t)job->output_count};
    int fds[2 * MOST_TENSORS];
    unsigned fd_count = 0;
    bool good = true;
    memcpy(ask.crop, job->crop, sizeof ask.crop);
    for (size_t n = 0; good && n < job->input_count; n++)
        good = add_tensor(job->inputs[n], &ask.tensors[n], fds, &fd_count, error);
    for (size_t n = 0; good && n < job->output_count; n++)
        good = add_tensor(job->outputs[n], &ask.tensors[job->input_count + n], fds, &fd_count, error);
    return good && call_service(conn, kind, &ask, sizeof ask, fds, fd_count, 0, error);
}

bool larodRunJob(larodConnection *conn, const larodJobRequest *jobReq, larodError **error)
{
    if (!jobReq)
        return fail(error, EINVAL, "there is no job request");
    return ask_for_job(conn, jobReq, ASK_RUN, 0, error);
}

static struct started *take_started(larodConnection *conn, uint64_t number)
{
    pthread_mutex_lock(&conn->lock);
    struct started **place = &conn->started;
    while (*place && (*place)->number != number)
        place = &(*place)->next;
    struct started *found = *place;
    if (found) {
        *place = found->next;
        conn->calling++;
    }
    pthread_mutex_unlock(&conn->lock);
    return found;
}

/* Tell the program of the end of a job, then whoever waits for all of them. */
static void end_started(larodConnection *conn, struct started *started, larodError *error)
{
    started->callback(started->user_data, error);
    clear_error(&error);
    free(started);
    pthread_mutex_lock(&conn->lock);
    conn->calling--;
    pthread_cond_broadcast(&conn->idle);
    pthread_mutex_unlock(&conn->lock);
}

static struct started *take_any(larodConnection *conn)
{
    pthread_mutex_lock(&conn->lock);
    struct started *found = conn->started;
    if (found) {
        conn->started = found->next;
        conn->calling++;
    }
    pthread_mutex_unlock(&conn->lock);
    return found;
}

/* The thread that calls back. When the service ends, so do all jobs. */
static void *listen_to_service(void *data)
{
    larodConnection *conn = data;
    struct line_message *message = calloc(1, sizeof *message);
    for (;;) {
        enum line_result got = message ? line_receive(conn->ends, 0, message) : LINE_ENDED;
        if (got == LINE_INTERRUPTED || got == LINE_NOTHING)
            continue;
        const struct told_end *told = got == LINE_GOT ? line_content(message, sizeof *told) : NULL;
        if (!told)
            break;
        struct started *started = take_started(conn, told->number);
        larodError *error = NULL;
        if (told->code)
            fail(&error, told->code, "%.*s", (int)sizeof told->text, told->text);
        if (started)
            end_started(conn, started, error);
        else
            clear_error(&error);
    }
    if (message)
        line_clear(message);
    free(message);
    pthread_mutex_lock(&conn->lock);
    conn->ends_lost = true;
    pthread_mutex_unlock(&conn->lock);
    for (struct started *started; (started = take_any(conn));) {
        larodError *error = NULL;
        fail(&error, LAROD_ERROR_CONNECTION, "the connection to the larod service is lost");
        end_started(conn, started, error);
    }
    return NULL;
}

bool listen_for_ends(larodConnection *conn, larodError **error)
{
    if (conn->ends >= 0)
        return true;
    if (!call_service(conn, ASK_ENDS, NULL, 0, NULL, 0, 0, error))
        return false;
    sigset_t all, before;
    conn->ends = line_take_fd(conn->answer, 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool good = conn->ends >= 0 && pthread_create(&conn->listener, NULL, listen_to_service, conn) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (good)
        return true;
    if (conn->ends >= 0)
        close(conn->ends);
    conn->ends = -1;
    return fail(error, LAROD_ERROR_JOB, "no thread for the ends of jobs");
}

/* Wait until the program has been told of the end of each job. */
void stop_listening(larodConnection *conn)
{
    if (conn->ends < 0)
        return;
    if (!line_is_own(conn->line)) { /* the thread is that of the process which was forked */
        close(conn->ends);
        return;
    }
    pthread_mutex_lock(&conn->lock);
    while (conn->started || conn->calling)
        pthread_cond_wait(&conn->idle, &conn->lock);
    pthread_mutex_unlock(&conn->lock);
    shutdown(conn->ends, SHUT_RDWR);
    pthread_join(conn->listener, NULL);
    close(conn->ends);
}

bool larodRunJobAsync(larodConnection *conn, const larodJobRequest *jobReq, larodRunJobCallback callback, void *userData,
                      larodError **error)
{
    if (!jobReq || !callback)
        return fail(error, EINVAL, "there is no %s", jobReq ? "callback" : "job request");
    if (!conn || !listen_for_ends(conn, error))
        return conn ? false : fail(error, EINVAL, "there is no connection");
    struct started *started = malloc(sizeof *started);
    if (!started)
        return fail(error, ENOMEM, "no memory for a job");
    pthread_mutex_lock(&conn->lock);
    uint64_t number = ++conn->last_number;
    *started = (struct started){conn->started, number, callback, userData};
    conn->started = started;
    bool is_lost = conn->ends_lost;
    pthread_mutex_unlock(&conn->lock);
    bool good = is_lost ? fail(error, LAROD_ERROR_CONNECTION, "the connection to the larod service is lost")
                        : ask_for_job(conn, jobReq, ASK_START, number, error);
    if (good)
        return true;
    started = take_started(conn, number);
    free(started);
    pthread_mutex_lock(&conn->lock);
    conn->calling--;
    pthread_mutex_unlock(&conn->lock);
    if (started)
        return false;
    /* The callback was called already: the service has ended. */
    if (error)
        clear_error(error);
    return true;
}
