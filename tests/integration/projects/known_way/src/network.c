/* A neural network on one frame: cpu-proc converts it, cpu-tflite runs the network. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <larod.h>

#include "camera.h"

struct program {
    larodModel *model;
    larodTensor **inputs, **outputs;
    size_t input_count, output_count;
    larodJobRequest *job;
};

static larodMap *conversion(const struct picture *from, const size_t *to, larodError **error)
{
    larodMap *map = larodCreateMap(error);
    bool good = map && larodMapSetStr(map, "image.input.format", "nv12", error) &&
                larodMapSetIntArr2(map, "image.input.size", from->width, from->height, error) &&
                larodMapSetInt(map, "image.input.row-pitch", from->pitch, error) &&
                larodMapSetStr(map, "image.output.format", "rgb-interleaved", error) &&
                larodMapSetIntArr2(map, "image.output.size", to[2], to[1], error) &&
                larodMapSetInt(map, "image.output.row-pitch", 3 * to[2], error);
    if (!good)
        larodDestroyMap(&map);
    return map;
}

static bool load(larodConnection *conn, struct program *program, int fd, const char *device, const larodMap *map,
                 larodError **error)
{
    const larodDevice *found = larodGetDevice(conn, device, 0, error);
    program->model = found ? larodLoadModel(conn, fd, found, LAROD_ACCESS_PRIVATE, device, map, error) : NULL;
    return program->model != NULL;
}

static bool allocate(larodConnection *conn, struct program *program, larodError **error)
{
    program->inputs =
        larodAllocModelInputs(conn, program->model, LAROD_FD_TYPE_DISK, &program->input_count, NULL, error);
    program->outputs =
        larodAllocModelOutputs(conn, program->model, LAROD_FD_TYPE_DISK, &program->output_count, NULL, error);
    if (!program->inputs || !program->outputs || program->input_count != 1)
        return false;
    program->job = larodCreateJobRequest(program->model, program->inputs, 1, program->outputs, program->output_count,
                                         NULL, error);
    return program->job != NULL;
}

static void *map_tensor(const larodTensor *tensor, size_t *size, larodError **error)
{
    int fd = larodGetTensorFd(tensor, error);
    if (fd == LAROD_INVALID_FD || !larodGetTensorByteSize(tensor, size, error))
        return MAP_FAILED;
    return mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, larodGetTensorFdOffset(tensor, error));
}

static bool write_tensor(const larodTensor *tensor, const void *data, size_t count, larodError **error)
{
    size_t size;
    void *memory = map_tensor(tensor, &size, error);
    if (memory == MAP_FAILED)
        return false;
    memcpy(memory, data, count < size ? count : size);
    return munmap(memory, size) == 0;
}

static bool read_tensor(const larodTensor *tensor, uint8_t *data, size_t most, size_t *used, larodError **error)
{
    size_t size;
    void *memory = map_tensor(tensor, &size, error);
    if (memory == MAP_FAILED)
        return false;
    bool fits = *used + size <= most;
    if (fits)
        memcpy(data + *used, memory, size);
    *used += fits ? size : 0;
    return munmap(memory, size) == 0 && fits;
}

static void free_program(larodConnection *conn, struct program *program)
{
    larodDestroyJobRequest(&program->job);
    larodDestroyTensors(conn, &program->inputs, program->input_count, NULL);
    larodDestroyTensors(conn, &program->outputs, program->output_count, NULL);
    larodDestroyModel(&program->model);
}

const char *infer(int model, const struct picture *nv12, uint8_t *outputs, size_t most, size_t *size)
{
    static char message[256];
    larodError *error = NULL;
    larodConnection *conn = NULL;
    larodMap *map = NULL;
    struct program network = {0}, converter = {0};
    size_t bytes = 0;
    uint8_t *rgb = NULL;
    *size = 0;
    bool good = larodConnect(&conn, &error) && load(conn, &network, model, "cpu-tflite", NULL, &error) &&
                allocate(conn, &network, &error);
    const larodTensorDims *dims = good ? larodGetTensorDims(network.inputs[0], &error) : NULL;
    good = dims && dims->len == 4 && (map = conversion(nv12, dims->dims, &error)) &&
           load(conn, &converter, -1, "cpu-proc", map, &error) && allocate(conn, &converter, &error) &&
           write_tensor(converter.inputs[0], nv12->data, nv12->size, &error) &&
           larodRunJob(conn, converter.job, &error) &&
           larodGetTensorByteSize(network.inputs[0], &bytes, &error) && (rgb = malloc(bytes));
    size_t read = 0;
    good = good && read_tensor(converter.outputs[0], rgb, bytes, &read, &error);
    /* From 0 to 255 to what a model for int8 takes. */
    bool flip = good && larodGetTensorDataType(network.inputs[0], &error) == LAROD_TENSOR_DATA_TYPE_INT8;
    for (size_t n = 0; flip && n < bytes; n++)
        rgb[n] ^= 0x80;
    good = good && write_tensor(network.inputs[0], rgb, bytes, &error) && larodRunJob(conn, network.job, &error);
    for (size_t n = 0; good && n < network.output_count; n++)
        good = read_tensor(network.outputs[n], outputs, most, size, &error);
    strncpy(message, error ? error->msg : "there is no room", sizeof message - 1);
    larodClearError(&error);
    free(rgb);
    free_program(conn, &converter);
    free_program(conn, &network);
    larodDestroyMap(&map);
    if (conn)
        larodDisconnect(&conn, NULL);
    return good ? NULL : message;
}
