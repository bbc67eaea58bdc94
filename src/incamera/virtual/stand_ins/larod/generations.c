/* The functions of larod's first two generations, of which programs made with an old SDK still have the names.

   No source has their header: the signatures follow from how programs call them. */
#include "objects.h"

bool larodSetChip(larodConnection *conn, int chip, larodError **error);
bool larodListChips(larodConnection *conn, int **chips, size_t *count, larodError **error);
const char *larodGetChipName(int chip);
larodModel *larodLoadModel_API_VERSION_1(larodConnection *conn, int fd, larodAccess access, const char *name,
                                         larodError **error);
void larodDestroyTensors_API_VERSION_1(larodTensor ***tensors, size_t count);
larodJobRequest *larodCreateInferenceRequest(const larodModel *model, larodTensor **inputs, size_t input_count,
                                             larodTensor **outputs, size_t output_count, larodError **error);
void larodDestroyInferenceRequest(larodJobRequest **request);
bool larodRunInference(larodConnection *conn, const larodJobRequest *request, larodError **error);
bool larodRunJob_API_VERSION_2(larodConnection *conn, const larodJobRequest *request, larodError **error);
bool larodRunJobAsync_API_VERSION_2(larodConnection *conn, const larodJobRequest *request, larodRunJobCallback callback,
                                    void *user_data, larodError **error);

bool larodSetChip(larodConnection *conn, int chip, larodError **error)
{
    if (!call_service(conn, ASK_CHECK, NULL, 0, NULL, 0, 0, error))
        return false;
    for (size_t number = 0; number < conn->device_count; number++)
        if (chip && conn->devices[number].chip == chip) {
            conn->chosen = &conn->devices[number];
            return true;
        }
    return fail(error, LAROD_ERROR_INVALID_CHIP_ID, "there is no chip %d", chip);
}

bool larodListChips(larodConnection *conn, int **chips, size_t *count, larodError **error)
{
    if (!call_service(conn, ASK_CHECK, NULL, 0, NULL, 0, 0, error))
        return false;
    int *found = calloc(conn->device_count + 1, sizeof *found);
    if (!found || !chips || !count) {
        free(found);
        return fail(error, EINVAL, "there is no place for the list");
    }
    *count = 0;
    for (size_t number = 0; number < conn->device_count; number++)
        if (conn->devices[number].chip)
            found[(*count)++] = conn->devices[number].chip;
    *chips = found;
    return true;
}

const char *larodGetChipName(int chip)
{
    for (size_t number = 0; number < sizeof numbers / sizeof *numbers; number++)
        if (numbers[number].chip == chip)
            return numbers[number].name;
    return NULL;
}

/* The chip that larodSetChip chose, else the first device. */
larodModel *larodLoadModel_API_VERSION_1(larodConnection *conn, int fd, larodAccess access, const char *name,
                                         larodError **error)
{
    const larodDevice *device = conn && conn->chosen ? conn->chosen : conn && conn->device_count ? conn->devices : NULL;
    return larodLoadModel(conn, fd, device, access, name, NULL, error);
}

void larodDestroyTensors_API_VERSION_1(larodTensor ***tensors, size_t count)
{
    larodDestroyTensors(NULL, tensors, count, NULL);
}

larodJobRequest *larodCreateInferenceRequest(const larodModel *model, larodTensor **inputs, size_t input_count,
                                             larodTensor **outputs, size_t output_count, larodError **error)
{
    return larodCreateJobRequest(model, inputs, input_count, outputs, output_count, NULL, error);
}

void larodDestroyInferenceRequest(larodJobRequest **request)
{
    larodDestroyJobRequest(request);
}

bool larodRunInference(larodConnection *conn, const larodJobRequest *request, larodError **error)
{
    return larodRunJob(conn, request, error);
}

bool larodRunJob_API_VERSION_2(larodConnection *conn, const larodJobRequest *request, larodError **error)
{
    return larodRunJob(conn, request, error);
}

bool larodRunJobAsync_API_VERSION_2(larodConnection *conn, const larodJobRequest *request, larodRunJobCallback callback,
                                    void *user_data, larodError **error)
{
    return larodRunJobAsync(conn, request, callback, user_data, error);
}
