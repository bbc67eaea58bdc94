/* Tensors: what they are, and where their values are. */
#include "objects.h"

#include <fcntl.h>

larodTensor **new_tensors(const struct description *are, size_t count)
{
    larodTensor **tensors = calloc(count + 1, sizeof *tensors);
    for (size_t number = 0; tensors && number < count; number++) {
        larodTensor *tensor = tensors[number] = calloc(1, sizeof *tensor);
        if (!tensor) {
            larodDestroyTensors(NULL, &tensors, number, NULL);
            return NULL;
        }
        if (are)
            tensor->is = are[number];
        else
            tensor->is = (struct description){.type = LAROD_TENSOR_DATA_TYPE_UNSPECIFIED,
                                              .layout = LAROD_TENSOR_LAYOUT_UNSPECIFIED};
        tensor->fd = LAROD_INVALID_FD;
        tensor->properties = LAROD_FD_TYPE_DISK;
    }
    return tensors;
}

larodTensor **larodCreateTensors(size_t numTensors, larodError **error)
{
    larodTensor **tensors = numTensors && numTensors <= 1024 ? new_tensors(NULL, numTensors) : NULL;
    if (!tensors)
        fail(error, EINVAL, "cannot make %zu tensors", numTensors);
    return tensors;
}

/* Programs have been seen that do this after larodDisconnect, without a connection. */
bool larodDestroyTensors(larodConnection *conn, larodTensor ***tensors, size_t numTensors, larodError **error)
{
    if (!tensors || !*tensors)
        return fail(error, EINVAL, "there are no tensors");
    struct ask_forget ask = {0};
    for (size_t number = 0; number < numTensors; number++) {
        larodTensor *tensor = (*tensors)[number];
        if (!tensor)
            continue;
        if (tensor->tracked && ask.count < MOST_TRACKED)
            ask.tracked[ask.count++] = tensor->tracked;
        if (tensor->owns_fd)
            close(tensor->fd);
        free(tensor);
    }
    if (conn && ask.count)
        call_service(conn, ASK_FORGET, &ask, sizeof ask, NULL, 0, 0, NULL);
    free(*tensors);
    *tensors = NULL;
    return true;
}

bool larodTrackTensor(larodConnection *conn, larodTensor *tensor, larodError **error)
{
    if (!tensor || tensor->fd < 0)
        return fail(error, LAROD_ERROR_FD, "a tensor without a file descriptor cannot be tracked");
    if (tensor->tracked)
        return fail(error, EINVAL, "the tensor is tracked already");
    const struct ask_tensor ask = {.properties = tensor->properties, .size = tensor->size, .offset = tensor->offset};
    if (fcntl(tensor->fd, F_GETFD) < 0)
        return fail(error, LAROD_ERROR_FD, "%d is no open file descriptor", tensor->fd);
    if (!call_service(conn, ASK_TRACK, &ask, sizeof ask, &tensor->fd, 1, sizeof(struct told_tracked), error))
        return false;
    tensor->tracked = ((const struct told_tracked *)(const void *)conn->answer->data)->tracked;
    return true;
}

static bool may_set(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        return fail(error, EINVAL, "there is no tensor");
    if (tensor->tracked)
        return fail(error, EINVAL, "the buffer of a tracked tensor cannot be changed");
    return true;
}

bool larodSetTensorFd(larodTensor *tensor, int fd, larodError **error)
{
    if (!may_set(tensor, error))
        return false;
    if (fd < 0)
        return fail(error, LAROD_ERROR_FD, "%d is no file descriptor", fd);
    tensor->fd = fd;
    return true;
}

int larodGetTensorFd(const larodTensor *tensor, larodError **error)
{
    if (!tensor || tensor->fd < 0)
        fail(error, LAROD_ERROR_FD, "the tensor has no file descriptor");
    return tensor ? tensor->fd : LAROD_INVALID_FD;
}

bool larodSetTensorFdSize(larodTensor *tensor, size_t size, larodError **error)
{
    if (!may_set(tensor, error))
        return false;
    tensor->size = size;
    return true;
}

bool larodGetTensorFdSize(const larodTensor *tensor, size_t *size, larodError **error)
{
    if (!tensor || !size)
        return fail(error, EINVAL, "there is no tensor");
    *size = tensor->size;
    return true;
}

bool larodSetTensorFdOffset(larodTensor *tensor, int64_t offset, larodError **error)
{
    if (!may_set(tensor, error))
        return false;
    if (offset < 0)
        return fail(error, EINVAL, "an offset cannot be negative");
    tensor->offset = offset;
    return true;
}

int64_t larodGetTensorFdOffset(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? tensor->offset : -1;
}

bool larodSetTensorFdProps(larodTensor *tensor, uint32_t fdPropFlags, larodError **error)
{
    if (!may_set(tensor, error))
        return false;
    tensor->properties = fdPropFlags;
    return true;
}

bool larodGetTensorFdProps(const larodTensor *tensor, uint32_t *fdPropFlags, larodError **error)
{
    if (!tensor || !fdPropFlags)
        return fail(error, EINVAL, "there is no tensor");
    *fdPropFlags = tensor->properties;
    return true;
}

bool larodSetTensorDims(larodTensor *tensor, const larodTensorDims *dims, larodError **error)
{
    if (!tensor || !dims || dims->len > LAROD_TENSOR_MAX_LEN)
        return fail(error, EINVAL, "these are no dimensions of a tensor");
    tensor->is.dims = *dims;
    return true;
}

bool larodBuildTensorDims(larodTensor *tensor, larodTensorLayout layout, size_t width, size_t height, size_t num_channels,
                          larodError **error)
{
    larodTensorDims dims = {.len = 4};
    if (layout == LAROD_TENSOR_LAYOUT_NHWC)
        memcpy(dims.dims, (size_t[4]){1, height, width, num_channels}, 4 * sizeof(size_t));
    else if (layout == LAROD_TENSOR_LAYOUT_NCHW)
        memcpy(dims.dims, (size_t[4]){1, num_channels, height, width}, 4 * sizeof(size_t));
    else if (layout == LAROD_TENSOR_LAYOUT_420SP)
        dims = (larodTensorDims){.dims = {3, height, width}, .len = 3};
    else
        return fail(error, EINVAL, "a layout is needed");
    return larodSetTensorDims(tensor, &dims, error);
}

const larodTensorDims *larodGetTensorDims(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? &tensor->is.dims : NULL;
}

bool larodSetTensorPitches(larodTensor *tensor, const larodTensorPitches *pitches, larodError **error)
{
    if (!tensor || !pitches || pitches->len > LAROD_TENSOR_MAX_LEN)
        return fail(error, EINVAL, "these are no pitches of a tensor");
    tensor->is.pitches = *pitches;
    return true;
}

bool larodBuildTensorPitches(larodTensor *tensor, larodTensorLayout layout, size_t pitch, size_t height, size_t num_channels,
                             larodError **error)
{
    size_t plane = height * pitch;
    larodTensorPitches pitches = {.len = 4};
    if (layout == LAROD_TENSOR_LAYOUT_NHWC)
        memcpy(pitches.pitches, (size_t[4]){plane, plane, pitch, num_channels}, 4 * sizeof(size_t));
    else if (layout == LAROD_TENSOR_LAYOUT_NCHW)
        memcpy(pitches.pitches, (size_t[4]){num_channels * plane, num_channels * plane, plane, pitch}, 4 * sizeof(size_t));
    else if (layout == LAROD_TENSOR_LAYOUT_420SP)
        pitches = (larodTensorPitches){.pitches = {plane + plane / 2, plane, pitch}, .len = 3};
    else
        return fail(error, EINVAL, "a layout is needed");
    return larodSetTensorPitches(tensor, &pitches, error);
}

const larodTensorPitches *larodGetTensorPitches(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? &tensor->is.pitches : NULL;
}

bool larodSetTensorDataType(larodTensor *tensor, larodTensorDataType dataType, larodError **error)
{
    if (!tensor || dataType <= LAROD_TENSOR_DATA_TYPE_INVALID || dataType >= LAROD_TENSOR_DATA_TYPE_MAX)
        return fail(error, EINVAL, "%d is no data type", (int)dataType);
    tensor->is.type = dataType;
    return true;
}

larodTensorDataType larodGetTensorDataType(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? tensor->is.type : LAROD_TENSOR_DATA_TYPE_INVALID;
}

bool larodSetTensorLayout(larodTensor *tensor, larodTensorLayout layout, larodError **error)
{
    if (!tensor || layout <= LAROD_TENSOR_LAYOUT_INVALID || layout >= LAROD_TENSOR_LAYOUT_MAX)
        return fail(error, EINVAL, "%d is no layout", (int)layout);
    tensor->is.layout = layout;
    return true;
}

larodTensorLayout larodGetTensorLayout(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? tensor->is.layout : LAROD_TENSOR_LAYOUT_INVALID;
}

const char *larodGetTensorName(const larodTensor *tensor, larodError **error)
{
    if (!tensor)
        fail(error, EINVAL, "there is no tensor");
    return tensor ? tensor->is.name : NULL;
}

bool larodGetTensorByteSize(const larodTensor *tensor, size_t *byteSize, larodError **error)
{
    if (!tensor || !byteSize)
        return fail(error, EINVAL, "there is no tensor");
    *byteSize = byte_size(&tensor->is);
    return true;
}
