/* Handles of models. The models themselves are in the service. */
#include "objects.h"

#include <fcntl.h>

void hold_loaded(struct loaded *model)
{
    __atomic_add_fetch(&model->references, 1, __ATOMIC_RELAXED);
}

void let_go_loaded(struct loaded *model)
{
    if (__atomic_sub_fetch(&model->references, 1, __ATOMIC_ACQ_REL) == 0)
        free(model);
}

static void read_tensor(const struct told_tensor *told, struct description *is)
{
    memcpy(is->name, told->name, sizeof is->name - 1);
    is->type = (larodTensorDataType)told->type;
    is->layout = (larodTensorLayout)told->layout;
    is->dims.len = told->dim_count <= LAROD_TENSOR_MAX_LEN ? told->dim_count : 0;
    is->pitches.len = told->pitch_count <= LAROD_TENSOR_MAX_LEN ? told->pitch_count : 0;
    for (size_t axis = 0; axis < is->dims.len; axis++)
        is->dims.dims[axis] = (size_t)told->dims[axis];
    for (size_t axis = 0; axis < is->pitches.len; axis++)
        is->pitches.pitches[axis] = (size_t)told->pitches[axis];
}

/* A new handle of the model that the service has just told of. */
static larodModel *read_told(larodConnection *conn, larodError **error)
{
    const struct told_model *told = (const void *)conn->answer->data;
    larodModel *handle = calloc(1, sizeof *handle);
    struct loaded *loaded = calloc(1, sizeof *loaded);
    if (!handle || !loaded || told->input_count > MOST_TENSORS || told->output_count > MOST_TENSORS) {
        free(handle);
        free(loaded);
        fail(error, ENOMEM, "no memory for a model");
        return NULL;
    }
    loaded->references = 1;
    loaded->id = told->id;
    loaded->size = (size_t)told->size;
    loaded->access = (larodAccess)told->access;
    loaded->input_count = told->input_count;
    loaded->output_count = told->output_count;
    memcpy(loaded->name, told->name, sizeof loaded->name - 1);
    memcpy(loaded->device.name, told->device, sizeof loaded->device.name - 1);
    for (size_t number = 0; number < loaded->input_count; number++)
        read_tensor(&told->tensors[number], &loaded->inputs[number]);
    for (size_t number = 0; number < loaded->output_count; number++)
        read_tensor(&told->tensors[loaded->input_count + number], &loaded->outputs[number]);
    handle->loaded = loaded;
    return handle;
}

/* Entries that are longer than any that the service knows are left out. */
static void write_entries(const larodMap *map, struct ask_load *ask)
{
    for (const struct map_entry *entry = map ? map->first : NULL; entry && ask->entry_count < MOST_ENTRIES; entry = entry->next) {
        struct ask_entry *written = &ask->entries[ask->entry_count];
        if (strlen(entry->key) >= sizeof written->key)
            continue;
        strcpy(written->key, entry->key);
        if (entry->text)
            snprintf(written->text, sizeof written->text, "%s", entry->text);
        written->kind = entry->kind;
        memcpy(written->values, entry->values, sizeof written->values);
        ask->entry_count++;
    }
}

larodModel *larodLoadModel(larodConnection *conn, int fd, const larodDevice *dev, larodAccess access, const char *name,
                           const larodMap *params, larodError **error)
{
    struct ask_load ask = {.access = access};
    if (fd >= 0 && fcntl(fd, F_GETFD) < 0) {
        fail(error, LAROD_ERROR_FD, "the descriptor %d is not that of a model file", fd);
        return NULL;
    }
    if (dev)
        memcpy(ask.device, dev->name, sizeof ask.device);
    if (name)
        snprintf(ask.name, sizeof ask.name, "%s", name);
    write_entries(params, &ask);
    if (!call_service(conn, ASK_LOAD, &ask, sizeof ask, &fd, fd >= 0, sizeof(struct told_model), error))
        return NULL;
    return read_told(conn, error);
}

/* The model is loaded before the callback is called, in the program's own thread. */
bool larodLoadModelAsync(larodConnection *conn, int inFd, const larodDevice *dev, larodAccess access, const char *name,
                         const larodMap *params, larodLoadModelCallback callback, void *userData, larodError **error)
{
    if (!callback)
        return fail(error, EINVAL, "there is no callback");
    if (!call_service(conn, ASK_CHECK, NULL, 0, NULL, 0, 0, error))
        return false;
    larodError *failed = NULL;
    larodModel *model = larodLoadModel(conn, inFd, dev, access, name, params, &failed);
    callback(model, userData, failed);
    clear_error(&failed);
    return true;
}

bool larodExportModel(larodConnection *conn, int modelFd, int outputFd, const larodDevice *dev, const larodMap *params,
                      larodError **error)
{
    (void)conn, (void)modelFd, (void)outputFd, (void)dev, (void)params;
    return fail(error, LAROD_ERROR_LOAD_MODEL, "the stand-in exports no models");
}

larodModel *larodGetModel(larodConnection *conn, uint64_t modelId, larodError **error)
{
    const struct ask_model ask = {modelId};
    if (!call_service(conn, ASK_MODEL, &ask, sizeof ask, NULL, 0, sizeof(struct told_model), error))
        return NULL;
    return read_told(conn, error);
}

/* A model that was deleted meanwhile is left out. */
larodModel **larodGetModels(larodConnection *conn, size_t *numModels, larodError **error)
{
    if (!call_service(conn, ASK_MODELS, NULL, 0, NULL, 0, sizeof(struct told_models), error))
        return NULL;
    const struct told_models told = *(const struct told_models *)(const void *)conn->answer->data;
    size_t most = sizeof told.ids / sizeof *told.ids, count = told.count < most ? (size_t)told.count : most;
    larodModel **models = calloc(count + 1, sizeof *models);
    *numModels = 0;
    if (!models)
        fail(error, ENOMEM, "no memory for a list");
    for (size_t number = 0; models && number < count; number++)
        if ((models[*numModels] = larodGetModel(conn, told.ids[number], NULL)))
            ++*numModels;
    return models;
}

void larodDestroyModel(larodModel **model)
{
    if (!model || !*model)
        return;
    let_go_loaded((*model)->loaded);
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
    const struct ask_model ask = {model ? model->loaded->id : LAROD_INVALID_MODEL_ID};
    return call_service(conn, ASK_DELETE, &ask, sizeof ask, NULL, 0, 0, error);
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
    return loaded ? &loaded->device : NULL;
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

/* Have the service make buffers for TENSORS, and track them. */
static bool take_buffers(larodConnection *conn, const larodModel *model, bool outputs, uint32_t properties,
                         larodTensor **tensors, size_t count, larodError **error)
{
    const struct ask_buffers ask = {model->loaded->id, outputs, properties};
    if (!call_service(conn, ASK_BUFFERS, &ask, sizeof ask, NULL, 0, sizeof(struct told_buffers), error))
        return false;
    const struct told_buffers *told = (const void *)conn->answer->data;
    bool good = told->count == count;
    for (size_t number = 0; good && number < count; number++) {
        larodTensor *tensor = tensors[number];
        tensor->fd = line_take_fd(conn->answer, (unsigned)number);
        tensor->owns_fd = tensor->fd >= 0;
        tensor->size = byte_size(&tensor->is);
        tensor->properties = told->properties;
        tensor->tracked = told->tracked[number];
        good = tensor->owns_fd;
    }
    return good || fail(error, LAROD_ERROR_ALLOC, "no file descriptor for a tensor");
}

static larodTensor **allocate(larodConnection *conn, const larodModel *model, bool outputs, uint32_t properties, size_t *count,
                              larodError **error)
{
    larodTensor **tensors = tensors_of(model, outputs, count, error);
    if (tensors && !take_buffers(conn, model, outputs, properties, tensors, *count, error)) {
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
