/* Loads a model file with some bytes changed, many times, and runs what can be loaded. Arguments: the file, rounds, seed. */
#include <larod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static uint64_t state;

static uint64_t next(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static bool try_model(larodConnection *conn, const larodDevice *device, const uint8_t *data, size_t size)
{
    int fd = memfd_create("model", 0);
    size_t inputs = 0, outputs = 0;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    larodModel *model = larodLoadModel(conn, fd, device, LAROD_ACCESS_PRIVATE, "model", NULL, NULL);
    close(fd);
    if (!model)
        return false;
    larodTensor **in = larodAllocModelInputs(conn, model, 0, &inputs, NULL, NULL);
    larodTensor **out = larodAllocModelOutputs(conn, model, 0, &outputs, NULL, NULL);
    larodJobRequest *job = in && out ? larodCreateJobRequest(model, in, inputs, out, outputs, NULL, NULL) : NULL;
    bool good = job && larodRunJob(conn, job, NULL);
    larodDestroyJobRequest(&job);
    larodDestroyTensors(conn, &in, inputs, NULL);
    larodDestroyTensors(conn, &out, outputs, NULL);
    larodDeleteModel(conn, model, NULL);
    larodDestroyModel(&model);
    return good;
}

int main(int count, char **words)
{
    static uint8_t whole[1 << 20], data[1 << 20];
    FILE *file = count == 4 ? fopen(words[1], "rb") : NULL;
    if (!file)
        return 2;
    size_t size = fread(whole, 1, sizeof whole, file);
    fclose(file);
    state = 88172645463325252u + (uint64_t)atoi(words[3]);
    larodConnection *conn = NULL;
    if (!larodConnect(&conn, NULL))
        return 1;
    const larodDevice *device = larodGetDevice(conn, "cpu-tflite", 0, NULL);
    int ran = 0, rounds = atoi(words[2]);
    for (int round = 0; round < rounds; round++) {
        memcpy(data, whole, size);
        for (uint64_t changes = 1 + next(6); changes > 0; changes--)
            data[8 + next(size - 8)] = (uint8_t)(next(3) ? next(256) : next(2) * 255);
        ran += try_model(conn, device, data, next(20) ? size : next(size));
    }
    larodDisconnect(&conn, NULL);
    printf("%d of %d ran\n", ran, rounds);
    return 0;
}
