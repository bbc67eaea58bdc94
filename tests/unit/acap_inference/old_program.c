/* What programs for larod's first generation do: the calls, in their order, of those that are public. */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>

typedef struct larodConnection larodConnection;
typedef struct larodModel larodModel;
typedef struct larodTensor larodTensor;
typedef struct larodInferenceRequest larodInferenceRequest;
typedef struct {
    int code;
    const char *msg;
} larodError;

bool larodConnect(larodConnection **, larodError **);
bool larodDisconnect(larodConnection **, larodError **);
void larodClearError(larodError **);
bool larodSetChip(larodConnection *, int, larodError **);
larodModel *larodLoadModel_API_VERSION_1(larodConnection *, int, int, const char *, larodError **);
larodTensor **larodCreateModelInputs(const larodModel *, size_t *, larodError **);
larodTensor **larodCreateModelOutputs(const larodModel *, size_t *, larodError **);
bool larodSetTensorFd(larodTensor *, int, larodError **);
larodInferenceRequest *larodCreateInferenceRequest(const larodModel *, larodTensor **, size_t, larodTensor **, size_t,
                                                   larodError **);
bool larodRunInference(larodConnection *, const larodInferenceRequest *, larodError **);
void larodDestroyInferenceRequest(larodInferenceRequest **);
void larodDestroyTensors_API_VERSION_1(larodTensor ***, size_t);
void larodDestroyModel(larodModel **);

static larodError *error;

static void check(bool good)
{
    if (good)
        return;
    printf("%d %s\n", error ? error->code : 0, error ? error->msg : "no error");
    exit(1);
}

/* Arguments: the model, and a file for the input and for each output. */
int main(int count, char **words)
{
    larodConnection *conn = NULL;
    size_t inputs = 0, outputs = 0;
    check(larodConnect(&conn, &error));
    check(!larodSetChip(conn, 99, &error) && error->code == -9);
    larodClearError(&error);
    check(larodSetChip(conn, 2, &error));
    larodModel *model = larodLoadModel_API_VERSION_1(conn, open(words[1], O_RDONLY), 1, "model", &error);
    check(model);
    larodTensor **in = larodCreateModelInputs(model, &inputs, &error), **out = larodCreateModelOutputs(model, &outputs, &error);
    check(in && out && count == (int)(2 + inputs + outputs));
    check(larodSetTensorFd(in[0], open(words[2], O_RDONLY), &error));
    for (size_t n = 0; n < outputs; n++) {
        int fd = open(words[3 + n], O_RDWR | O_CREAT, 0600);
        check(ftruncate(fd, 4096) == 0 && larodSetTensorFd(out[n], fd, &error));
    }
    larodInferenceRequest *request = larodCreateInferenceRequest(model, in, inputs, out, outputs, &error);
    check(request);
    check(larodRunInference(conn, request, &error));
    larodDestroyInferenceRequest(&request);
    larodDestroyModel(&model);
    check(larodDisconnect(&conn, &error));
    larodDestroyTensors_API_VERSION_1(&in, inputs);
    larodDestroyTensors_API_VERSION_1(&out, outputs);
    puts("done");
    return 0;
}
