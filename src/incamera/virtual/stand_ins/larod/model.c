/* Models: neural networks, and conversions of pictures. */
#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

#define MOST_MODEL_BYTES (256u << 20)

static uint64_t last_id;
static unsigned refused_models;

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
    free(model->name);
    pthread_mutex_destroy(&model->lock);
    free(model);
}

/* Read the file from its start. Its position does not matter. */
static uint8_t *read_all(int fd, size_t *size, larodError **error)
{
    struct stat status;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        fail(error, LAROD_ERROR_FD, "the descriptor %d is not that of a model file", fd);
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
        larodClearError(&why);
        model->input_count = model->output_count = 0;
        model->remote = remote_load(data, model->size, model, &why);
    }
    if (model->remote)
        return true;
    free(data);
    if (error)
        *error = why;
    else
        larodClearError(&why);
    return false;
}

static bool read_model(struct loaded *model, int fd, const larodMap *params, larodError **error)
{
    if (model->device->kind == CONVERTS) {
        if (fd >= 0)
            return fail(error, LAROD_ERROR_LOAD_MODEL, "%s runs no model files", model->device->name);
        model->conversion = read_conversion(params, model, error);
        return model->conversion;
    }
    if (fd < 0)
        return fail(error, LAROD_ERROR_FD, "%s needs a model file", model->device->name);
    uint8_t *data = read_all(fd, &model->size, error);
    if (!data)
        return false;
    if (model->device->kind == RUNS_TFLITE)
        return read_tflite(model, data, error);
    free(data);
    return fail(error, LAROD_ERROR_LOAD_MODEL, "this is no model for %s", model->device->name);
}

larodModel *larodLoadModel(larodConnection *conn, int fd, const larodDevice *dev, larodAccess access, const char *name,
                           const larodMap *params, larodError **error)
{
    larodModel *handle = NULL;
    if (!is_connected(conn, error) || !has_power(error))
        return NULL;
    if (!dev || access <= LAROD_ACCESS_INVALID || access > LAROD_ACCESS_PUBLIC) {
        fail(error, dev ? LAROD_ERROR_INVALID_ACCESS : LAROD_ERROR_INVALID_CHIP_ID, "a model needs a device and an access");
        return NULL;
    }
    if (faults_exist() && fault_is_set("no-memory", NULL)) {
        fail(error, LAROD_ERROR_ALLOC, "the device has no memory for the model");
        return NULL;
    }
    bool refused = faults_exist() && fault_is_set("model-refused", NULL);
    if (fd >= 0 && (refused || take_one("INCAMERA_LAROD_REFUSE_MODELS", &refused_models))) {
        fail(error, LAROD_ERROR_LOAD_MODEL, "the device refuses the model");
        return NULL;
    }
    struct loaded *model = calloc(1, sizeof *model);
    handle = calloc(1, sizeof *handle);
    if (!model || !handle) {
        free(model);
        free(handle);
        fail(error, ENOMEM, "no memory for a model");
        return NULL;
    }
    pthread_mutex_init(&model->lock, NULL);
    model->references = 1;
    model->device = dev;
    model->access = access;
    model->generation = service_generation;
    model->name = strdup(name ? name : "");
    if (!model->name || !read_model(model, fd, params, error)) {
        let_go(model);
        free(handle);
        return NULL;
    }
    if (fd >= 0)
        usleep(1000 * setting("INCAMERA_LAROD_LOAD_MS", 0));
    model->id = ++last_id;
    model->next = conn->models;
    conn->models = model;
    hold(model);
    handle->loaded = model;
    return handle;
}

bool larodExportModel(larodConnection *conn, int modelFd, int outputFd, const larodDevice *dev, const larodMap *params,
                      larodError **error)
{
    (void)conn, (void)modelFd, (void)outputFd, (void)dev, (void)params;
    return fail(error, LAROD_ERROR_LOAD_MODEL, "the stand-in exports no models");
}

static larodModel *new_handle(struct loaded *model)
{
    larodModel *handle = calloc(1, sizeof *handle);
    if (handle) {
        handle->loaded = model;
        hold(model);
    }
    return handle;
}

larodModel *larodGetModel(larodConnection *conn, uint64_t modelId, larodError **error)
{
    if (!is_connected(conn, error))
        return NULL;
    for (struct loaded *model = conn->models; model; model = model->next)
        if (model->id == modelId)
            return new_handle(model);
    fail(error, LAROD_ERROR_MODEL_NOT_FOUND, "there is no such model");
    return NULL;
}

larodModel **larodGetModels(larodConnection *conn, size_t *numModels, larodError **error)
{
    if (!is_connected(conn, error))
        return NULL;
    size_t count = 0;
    for (struct loaded *model = conn->models; model; model = model->next)
        count++;
    larodModel **models = calloc(count + 1, sizeof *models);
    *numModels = models ? count : 0;
    for (struct loaded *model = conn->models; models && model; model = model->next)
        models[--count] = new_handle(model);
    return models;
}

void larodDestroyModel(larodModel **model)
{
    if (!model || !*model)
        return;
    let_go((*model)->loaded);
    free(*model);
    *model = NULL;
}

void larodDestroyModels(larodModel ***models, size_t numModels)
{
    if (!models || !*models)
        return;
    for (size_t number = 0; number < numModels; number++)
        larodDestroyModel(&(*models)[number]);
    free(*models);
    *models = NULL;
}

bool larodDeleteModel(larodConnection *conn, larodModel *model, larodError **error)
{
    if (!is_connected(conn, error))
        return false;
    for (struct loaded **place = &conn->models; model && *place; place = &(*place)->next)
        if (*place == model->loaded) {
            *place = model->loaded->next;
            model->loaded->deleted = true;
            let_go(model->loaded);
            return true;
        }
    return fail(error, LAROD_ERROR_DELETE_MODEL, "there is no such model");
}

static const struct loaded *loaded_of(const larodModel *model, larodError **error)
{
    if (!model)
        fail(error, EINVAL, "there is no model");
    return model ? model->loaded : NULL;
}

uint64_t larodGetModelId(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->id : LAROD_INVALID_MODEL_ID;
}

const larodDevice *larodGetModelDevice(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->device : NULL;
}

size_t larodGetModelSize(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->size : 0;
}

const char *larodGetModelName(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->name : NULL;
}

larodAccess larodGetModelAccess(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->access : LAROD_ACCESS_INVALID;
}

size_t larodGetModelNumInputs(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->input_count : 0;
}

size_t larodGetModelNumOutputs(const larodModel *model, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? loaded->output_count : 0;
}

static size_t *sizes(const struct description *are, size_t count, size_t *number, larodError **error)
{
    size_t *found = calloc(count + 1, sizeof *found);
    if (!found) {
        fail(error, ENOMEM, "no memory for a list");
        return NULL;
    }
    for (size_t n = 0; n < count; n++)
        found[n] = byte_size(&are[n]);
    *number = count;
    return found;
}

size_t *larodGetModelInputByteSizes(const larodModel *model, size_t *numInputs, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? sizes(loaded->inputs, loaded->input_count, numInputs, error) : NULL;
}

size_t *larodGetModelOutputByteSizes(const larodModel *model, size_t *numOutputs, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    return loaded ? sizes(loaded->outputs, loaded->output_count, numOutputs, error) : NULL;
}

static larodTensor **tensors_of(const larodModel *model, bool outputs, size_t *count, larodError **error)
{
    const struct loaded *loaded = loaded_of(model, error);
    if (!loaded)
        return NULL;
    *count = outputs ? loaded->output_count : loaded->input_count;
    larodTensor **tensors = new_tensors(outputs ? loaded->outputs : loaded->inputs, *count);
    if (!tensors)
        fail(error, ENOMEM, "no memory for tensors");
    return tensors;
}

larodTensor **larodCreateModelInputs(const larodModel *model, size_t *numTensors, larodError **error)
{
    return tensors_of(model, false, numTensors, error);
}

larodTensor **larodCreateModelOutputs(const larodModel *model, size_t *numTensors, larodError **error)
{
    return tensors_of(model, true, numTensors, error);
}

static larodTensor **allocate(larodConnection *conn, const larodModel *model, bool outputs, uint32_t properties, size_t *count,
                              larodError **error)
{
    larodTensor **tensors = tensors_of(model, outputs, count, error);
    if (tensors && !allocate_tensors(conn, tensors, *count, properties, error)) {
        larodDestroyTensors(conn, &tensors, *count, NULL);
        return NULL;
    }
    return tensors;
}

larodTensor **larodAllocModelInputs(larodConnection *conn, const larodModel *model, uint32_t fdPropFlags, size_t *numTensors,
                                    larodMap *params, larodError **error)
{
    (void)params;
    return allocate(conn, model, false, fdPropFlags, numTensors, error);
}

larodTensor **larodAllocModelOutputs(larodConnection *conn, const larodModel *model, uint32_t fdPropFlags, size_t *numTensors,
                                     larodMap *params, larodError **error)
{
    (void)params;
    return allocate(conn, model, true, fdPropFlags, numTensors, error);
}
