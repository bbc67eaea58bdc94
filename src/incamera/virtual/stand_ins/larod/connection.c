/* Connections, and the devices that a camera has. */
#include "objects.h"

engine_function engine_larod;

static const struct engine inference_engines[] = {{"larod", engine_larod}, {0}};

static const struct {
    const char *name;
    int chip;
} numbers[] = {{"cpu-tflite", 2}, {"google-edge-tpu-tflite", 4}, {"axis-a8-dlpu-tflite", 12}};

/* Ask the service. Its answer, of WANTED bytes at least, is in `answer` of the connection until the next call. */
bool call_service(larodConnection *conn, uint32_t kind, const void *data, size_t size, const int *fds, unsigned fd_count,
                  size_t wanted, larodError **error)
{
    if (!conn)
        return fail(error, EINVAL, "there is no connection");
    if (conn->is_lost || !line_call(conn->line, kind, data, size, fds, fd_count, conn->answer)) {
        conn->is_lost = conn->is_lost || line_is_own(conn->line);
        return fail(error, LAROD_ERROR_CONNECTION, "the connection to the larod service is lost");
    }
    const struct line_message *answer = conn->answer;
    if (answer->code)
        return fail(error, answer->code, "%.*s", (int)answer->size, (const char *)answer->data);
    if (line_content(answer, wanted))
        return true;
    conn->is_lost = true;
    return fail(error, LAROD_ERROR_CONNECTION, "the larod service's answer cannot be read");
}

static bool open_session(larodConnection *conn, larodError **error)
{
    if (!call_service(conn, ASK_OPEN, NULL, 0, NULL, 0, sizeof(struct told_open), error))
        return false;
    const struct told_open *told = (const void *)conn->answer->data;
    for (uint32_t number = 0; number < told->count && number < MOST_DEVICES; number++) {
        struct larodDevice *device = &conn->devices[conn->device_count++];
        memcpy(device->name, told->devices[number].name, sizeof device->name - 1);
        device->chip = told->devices[number].chip;
    }
    return true;
}

static void free_connection(larodConnection *conn)
{
    line_close(conn->line);
    if (conn->answer)
        line_clear(conn->answer);
    free(conn->answer);
    pthread_mutex_destroy(&conn->lock);
    pthread_cond_destroy(&conn->idle);
    free(conn);
}

bool larodConnect(larodConnection **conn, larodError **error)
{
    if (!conn)
        return fail(error, EINVAL, "there is no place for the connection");
    *conn = NULL;
    larodConnection *made = calloc(1, sizeof *made);
    if (!made)
        return fail(error, ENOMEM, "no memory for a connection");
    made->ends = -1;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->idle, NULL);
    made->answer = calloc(1, sizeof *made->answer);
    made->line = made->answer ? line_open(inference_engines) : NULL;
    if (!made->line)
        fail(error, LAROD_ERROR_CONNECTION, "the larod service does not answer");
    if (!made->line || !open_session(made, error)) {
        free_connection(made);
        return false;
    }
    *conn = made;
    return true;
}

bool larodDisconnect(larodConnection **conn, larodError **error)
{
    if (!conn || !*conn)
        return fail(error, EINVAL, "there is no connection");
    stop_listening(*conn);
    free_connection(*conn);
    *conn = NULL;
    return true;
}

bool larodGetNumSessions(larodConnection *conn, uint64_t *numSessions, larodError **error)
{
    if (!call_service(conn, ASK_SESSIONS, NULL, 0, NULL, 0, sizeof(struct told_sessions), error))
        return false;
    *numSessions = ((const struct told_sessions *)(const void *)conn->answer->data)->count;
    return true;
}

static bool check(const larodConnection *conn, larodError **error)
{
    return call_service((larodConnection *)conn, ASK_CHECK, NULL, 0, NULL, 0, 0, error);
}

const larodDevice *larodGetDevice(const larodConnection *conn, const char *name, uint32_t instance, larodError **error)
{
    if (!check(conn, error))
        return NULL;
    for (size_t number = 0; name && instance == 0 && number < conn->device_count; number++)
        if (strcmp(conn->devices[number].name, name) == 0)
            return &conn->devices[number];
    fail(error, LAROD_ERROR_INVALID_CHIP_ID, "there is no device %s, instance %u", name ? name : "NULL", instance);
    return NULL;
}

const larodDevice **larodListDevices(larodConnection *conn, size_t *numDevices, larodError **error)
{
    if (!check(conn, error))
        return NULL;
    const larodDevice **found = calloc(conn->device_count + 1, sizeof *found);
    if (!found) {
        fail(error, ENOMEM, "no memory for a list");
        return NULL;
    }
    for (size_t number = 0; number < conn->device_count; number++)
        found[number] = &conn->devices[number];
    *numDevices = conn->device_count;
    return found;
}

const char *larodGetDeviceName(const larodDevice *dev, larodError **error)
{
    if (!dev)
        fail(error, EINVAL, "there is no device");
    return dev ? dev->name : NULL;
}

bool larodGetDeviceInstance(const larodDevice *dev, uint32_t *instance, larodError **error)
{
    if (!dev || !instance)
        return fail(error, EINVAL, "there is no device");
    *instance = 0;
    return true;
}

int larodConvertVmemFdToDmabuf(int fd, int64_t offset, larodError **error)
{
    (void)fd, (void)offset;
    fail(error, LAROD_ERROR_FD, "the stand-in has no vmem");
    return LAROD_INVALID_FD;
}
