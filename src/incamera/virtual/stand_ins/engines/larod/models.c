/* Models: neural networks, and conversions of pictures. A client sees its own, and those of others that are public. */
#include "objects.h"

#include <sys/stat.h>

#include "faults.h"

#define MOST_MODEL_BYTES (256u << 20)
#define MOST_MODELS 64 /* of a session */

static pthread_mutex_t models_lock = PTHREAD_MUTEX_INITIALIZER;
static struct loaded *models;
static uint64_t last_id;
static unsigned refused_models;

/* In a process that was forked: a thread that is not there may have held the lock. */
void renew_models_lock(void)
{
    pthread_mutex_init(&models_lock, NULL);
    models = NULL;
}

void hold(struct loaded *model)
{
    __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
}

void let_go(struct loaded *model)
{
    if (__atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    free_network(model->network);
    remote_unload(model->remote);
    free(model->conversion);
    pthread_mutex_destroy(&model->lock);
    free(model);
}

/* Read the file from its start. Its position does not matter. */
static uint8_t *read_file(int fd, size_t *size, larodError **error)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        fail(error, LAROD_ERROR_FD, "the descriptor is not that of a model file");
        return NULL;
    }
    *size = (size_t)status.st_size;
    uint8_t *data = *size <= MOST_MODEL_BYTES ? malloc(*size + 1) : NULL;
    size_t done = 0;
    while (data && done < *size) {
        ssize_t count = pread(fd, data + done, *size - done, (off_t)done);
        if (count <= 0)
            break;
        done += (size_t)count;
    }
    if (data && done == *size)
        return data;
    free(data);
    fail(error, LAROD_ERROR_LOAD_MODEL, "the model file cannot be read");
    return NULL;
}

/* Read what the interpreter can run, or have LiteRT read it. */
static bool read_tflite(struct loaded *model, uint8_t *data, larodError **error)
{
    larodError *why = NULL;
    model->network = read_network(data, model->size, model, &why);
    if (model->network)
        return true;
    if (model->size >= 8 && memcmp(data + 4, "TFL3", 4) == 0 && remote_exists()) {
        clear_error(&why);
        model->input_count = model->output_count = 0;
        model->remote = remote_load(data, model->size, model, &why);
    }
    if (model->remote)
        return true;
    free(data);
    if (error)
        *error = why;
    else
        clear_error(&why);
    return false;
}

static uint64_t hash_of(const uint8_t *data, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t at = 0; at < size; at++)
        hash = (hash ^ data[at]) * 0x100000001b3u;
    return hash;
}

static bool read_model(struct loaded *model, const struct ask_load *ask, int fd, larodError **error)
{
    const char *device = model->device.name;
    if (model->device.known->kind == CONVERTS) {
        if (fd >= 0)
            return fail(error, LAROD_ERROR_LOAD_MODEL, "%s runs no model files", device);
        model->conversion = read_conversion(ask, model, error);
        return model->conversion;
    }
    if (fd < 0)
        return fail(error, LAROD_ERROR_FD, "%s needs a model file", device);
    uint8_t *data = read_file(fd, &model->size, error);
    if (!data)
        return false;
    uint64_t hash = hash_of(data, model->size);
    if (model->device.known->kind == RUNS_TFLITE) {
        if (!read_tflite(model, data, error))
            return false;
        wait_for_first_load(&model->device, hash);
        return true;
    }
    free(data);
    return fail(error, LAROD_ERROR_LOAD_MODEL, "this is no model for %s", device);
}

static const struct device *find_device(const struct session *session, const char *name)
{
    for (size_t number = 0; number < session->device_count; number++)
        if (strncmp(session->devices[number].name, name, DEVICE_NAME) == 0)
            return &session->devices[number];
    return NULL;
}

static bool may_load(const struct session *session, int fd, larodError **error)
{
    bool faults = faults_exist();
    if (!has_power(error))
        return false;
    if (session->model_count >= MOST_MODELS || (faults && fault_is_set("no-memory", NULL)))
        return fail(error, LAROD_ERROR_ALLOC, "the device has no memory for the model");
    bool refused = faults && fault_is_set("model-refused", NULL);
    if (fd >= 0 && (refused || take_one("INCAMERA_LAROD_REFUSE_MODELS", &refused_models)))
        return fail(error, LAROD_ERROR_LOAD_MODEL, "the device refuses the model");
    return true;
}

/* Load the file FD, or for -1 a conversion. The model belongs to the session. */
struct loaded *load_model(struct session *session, const struct ask_load *ask, int fd, larodError **error)
{
    const struct device *device = find_device(session, ask->device);
    if (!device || ask->access <= LAROD_ACCESS_INVALID || ask->access > LAROD_ACCESS_PUBLIC) {
        fail(error, device ? LAROD_ERROR_INVALID_ACCESS : LAROD_ERROR_INVALID_CHIP_ID, "a model needs a device and an access");
        return NULL;
    }
    if (!may_load(session, fd, error))
        return NULL;
    struct loaded *model = calloc(1, sizeof *model);
    if (!model) {
        fail(error, ENOMEM, "no memory for a model");
        return NULL;
    }
    pthread_mutex_init(&model->lock, NULL);
    *model = (struct loaded){.owner = session, .references = 1, .device = *device, .access = (larodAccess)ask->access,
                             .generation = current_generation(), .lock = model->lock};
    snprintf(model->name, sizeof model->name, "%.*s", (int)sizeof ask->name - 1, ask->name);
    if (!read_model(model, ask, fd, error)) {
        let_go(model);
        return NULL;
    }
    if (fd >= 0)
        wait_milliseconds("INCAMERA_LAROD_LOAD_MS", NULL);
    pthread_mutex_lock(&models_lock);
    model->id = ++last_id;
    model->next = models;
    models = model;
    session->model_count++;
    pthread_mutex_unlock(&models_lock);
    return model;
}

static bool is_seen(const struct loaded *model, const struct session *session)
{
    return (model->owner == session || model->access == LAROD_ACCESS_PUBLIC) && model->generation == current_generation();
}

/* The model ID, which the caller holds then. */
struct loaded *find_model(struct session *session, uint64_t id, larodError **error)
{
    struct loaded *found = NULL;
    pthread_mutex_lock(&models_lock);
    for (struct loaded *model = models; model && !found; model = model->next)
        if (model->id == id && is_seen(model, session))
            found = model;
    if (found)
        hold(found);
    pthread_mutex_unlock(&models_lock);
    if (!found)
        fail(error, LAROD_ERROR_MODEL_NOT_FOUND, "there is no such model, or it is no longer loaded");
    return found;
}

static void tell_tensor(const struct description *is, struct told_tensor *told)
{
    memcpy(told->name, is->name, sizeof told->name);
    told->type = is->type;
    told->layout = is->layout;
    told->dim_count = (uint32_t)is->dims.len;
    told->pitch_count = (uint32_t)is->pitches.len;
    for (size_t axis = 0; axis < is->dims.len; axis++)
        told->dims[axis] = is->dims.dims[axis];
    for (size_t axis = 0; axis < is->pitches.len; axis++)
        told->pitches[axis] = is->pitches.pitches[axis];
}

void tell_model(const struct loaded *model, struct told_model *told)
{
    *told = (struct told_model){.id = model->id, .size = model->size, .access = model->access,
                                .input_count = (uint32_t)model->input_count, .output_count = (uint32_t)model->output_count};
    memcpy(told->device, model->device.name, sizeof told->device);
    memcpy(told->name, model->name, sizeof told->name);
    for (size_t number = 0; number < model->input_count; number++)
        tell_tensor(&model->inputs[number], &told->tensors[number]);
    for (size_t number = 0; number < model->output_count; number++)
        tell_tensor(&model->outputs[number], &told->tensors[model->input_count + number]);
}

void list_models(struct session *session, struct told_models *told)
{
    told->count = 0;
    pthread_mutex_lock(&models_lock);
    for (struct loaded *model = models; model; model = model->next)
        if (is_seen(model, session) && told->count < sizeof told->ids / sizeof *told->ids)
            told->ids[told->count++] = model->id;
    pthread_mutex_unlock(&models_lock);
}

/* Only its owner deletes a model. Jobs that have it end first. */
bool delete_model(struct session *session, uint64_t id, larodError **error)
{
    struct loaded *found = NULL;
    bool is_public = false;
    pthread_mutex_lock(&models_lock);
    for (struct loaded **place = &models; *place && !found; place = &(*place)->next) {
        is_public = is_public || ((*place)->id == id && is_seen(*place, session));
        if ((*place)->id == id && (*place)->owner == session) {
            found = *place;
            *place = found->next;
            session->model_count--;
            break;
        }
    }
    pthread_mutex_unlock(&models_lock);
    if (found)
        let_go(found);
    else if (is_public)
        fail(error, LAROD_ERROR_PERMISSION, "the model is that of another connection");
    else
        fail(error, LAROD_ERROR_DELETE_MODEL, "there is no such model");
    return found;
}

/* All models of the session, at its end. */
void delete_models(struct session *session)
{
    for (;;) {
        struct loaded *found = NULL;
        pthread_mutex_lock(&models_lock);
        for (struct loaded **place = &models; *place; place = &(*place)->next)
            if ((*place)->owner == session) {
                found = *place;
                *place = found->next;
                break;
            }
        pthread_mutex_unlock(&models_lock);
        if (!found)
            return;
        let_go(found);
    }
}
