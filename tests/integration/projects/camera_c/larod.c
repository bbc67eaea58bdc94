/* Runs a model once on a file that has its input, and prints the first bytes of each output. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <larod.h>

enum { ATTEMPTS = 5 };

static bool print_output(const larodTensor *tensor, larodError **error)
{
    size_t size = 0;
    const larodTensorDims *dims = larodGetTensorDims(tensor, error);
    int fd = larodGetTensorFd(tensor, error);
    if (!dims || fd == LAROD_INVALID_FD || !larodGetTensorFdSize(tensor, &size, error))
        return false;
    unsigned char *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, larodGetTensorFdOffset(tensor, error));
    if (data == MAP_FAILED)
        return false;
    printf("%zu dimensions, type %d, layout %d: %d\n", dims->len, larodGetTensorDataType(tensor, error),
           larodGetTensorLayout(tensor, error), data[0]);
    return !munmap(data, size);
}

static bool run(larodConnection *conn, const larodJobRequest *job, larodError **error)
{
    for (int attempt = 1; !larodRunJob(conn, job, error); attempt++) {
        if (!*error || (*error)->code != LAROD_ERROR_POWER_NOT_AVAILABLE || attempt == ATTEMPTS)
            return false;
        larodClearError(error);
        usleep(250000 * attempt);
    }
    return true;
}

int main(int argc, char **argv)
{
    larodError *error = NULL;
    larodConnection *conn = NULL;
    larodModel *model = NULL;
    larodMap *params = NULL;
    larodJobRequest *job = NULL;
    larodTensor **inputs = NULL, **outputs = NULL;
    size_t devices = 0, numInputs = 0, numOutputs = 0;
    int modelFd = argc > 1 ? open(argv[1], O_RDONLY) : -1, inputFd = argc > 2 ? open(argv[2], O_RDWR) : -1;
    bool done = false;

    if (!larodConnect(&conn, &error))
        goto end;
    const larodDevice **all = larodListDevices(conn, &devices, &error);
    for (size_t n = 0; all && n < devices; n++)
        puts(larodGetDeviceName(all[n], &error));
    free(all);
    const larodDevice *device = larodGetDevice(conn, "cpu-tflite", 0, &error);
    if (!device || !(params = larodCreateMap(&error)) || !larodMapSetInt(params, "disable-winograd", 1, &error))
        goto end;
    model = larodLoadModel(conn, modelFd, device, LAROD_ACCESS_PRIVATE, "first", params, &error);
    if (!model)
        goto end;
    inputs = larodCreateModelInputs(model, &numInputs, &error);
    outputs = larodAllocModelOutputs(conn, model, LAROD_FD_TYPE_DISK, &numOutputs, NULL, &error);
    if (!inputs || !outputs || !larodSetTensorFd(inputs[0], inputFd, &error) ||
        !larodSetTensorFdProps(inputs[0], LAROD_FD_PROP_MAP | LAROD_FD_PROP_READWRITE, &error) ||
        !larodTrackTensor(conn, inputs[0], &error))
        goto end;
    job = larodCreateJobRequest(model, inputs, numInputs, outputs, numOutputs, NULL, &error);
    done = job && run(conn, job, &error);
    for (size_t n = 0; done && n < numOutputs; n++)
        done = print_output(outputs[n], &error);
end:
    if (!done)
        fprintf(stderr, "%d: %s\n", error ? error->code : 0, error ? error->msg : "no error was set");
    larodClearError(&error);
    larodDestroyJobRequest(&job);
    larodDestroyTensors(conn, &inputs, numInputs, NULL);
    larodDestroyTensors(conn, &outputs, numOutputs, NULL);
    larodDestroyModel(&model);
    larodDestroyMap(&params);
    larodDisconnect(&conn, NULL);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}
