/* Connections, and the devices that a camera has. The service lives in the program's own process. */
#include "objects.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"

unsigned service_generation = 1;
static unsigned sessions, jobs_done, refused_connections, refused_power;

static const struct {
    const char *name;
    int chip;
} numbers[] = {{"cpu-tflite", 2}, {"google-edge-tpu-tflite", 4}, {"axis-a8-dlpu-tflite", 12}};

const char *name_of_chip(int chip)
{
    for (size_t number = 0; number < sizeof numbers / sizeof *numbers; number++)
        if (numbers[number].chip == chip)
            return numbers[number].name;
    return NULL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), part = strlen(end);
    return length >= part && strcmp(text + length - part, end) == 0;
}

static void add_device(larodConnection *conn, const char *name, size_t length)
{
    struct larodDevice *device = &conn->devices[conn->device_count];
    if (length == 0 || length >= sizeof device->name || conn->device_count == MOST_DEVICES)
        return;
    memcpy(device->name, name, length);
    device->kind = ends_with(device->name, "-tflite") ? RUNS_TFLITE : ends_with(device->name, "-proc") ? CONVERTS : RUNS_NOTHING;
    for (size_t number = 0; number < sizeof numbers / sizeof *numbers; number++)
        if (strcmp(numbers[number].name, device->name) == 0)
            device->chip = numbers[number].chip;
    conn->device_count++;
}

/* A new number of the fault inference-restart is a restart of the service. */
static void meet_restart(void)
{
    static unsigned long long restarts;
    if (fault_restarted("inference-restart", &restarts))
        __atomic_add_fetch(&service_generation, 1, __ATOMIC_RELAXED);
}

bool larodConnect(larodConnection **conn, larodError **error)
{
    if (!conn)
        return fail(error, EINVAL, "there is no place for the connection");
    *conn = NULL;
    meet_restart();
    if (faults_exist() && fault_is_set("inference-down", NULL))
        return fail(error, LAROD_ERROR_CONNECTION, "the larod service does not answer");
    if (faults_exist() && fault_is_set("device-busy", NULL))
        return fail(error, LAROD_ERROR_CREATE_SESSION, "the larod service has no more sessions");
    if (jobs_done && take_one("INCAMERA_LAROD_DOWN_FOR", &refused_connections))
        return fail(error, LAROD_ERROR_CONNECTION, "the larod service does not answer");
    larodConnection *made = calloc(1, sizeof *made);
    if (!made)
        return fail(error, ENOMEM, "no memory for a connection");
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->idle, NULL);
    made->generation = service_generation;
    const char *names = getenv("INCAMERA_LAROD_DEVICES");
    if (!names)
        names = "cpu-tflite cpu-proc";
    while (*names) {
        size_t length = strcspn(names, " ");
        add_device(made, names, length);
        names += length + (names[length] == ' ');
    }
    sessions++;
    *conn = made;
    return true;
}

bool larodDisconnect(larodConnection **conn, larodError **error)
{
    if (!conn || !*conn)
        return fail(error, EINVAL, "there is no connection");
    larodConnection *self = *conn;
    pthread_mutex_lock(&self->lock);
    while (self->running)
        pthread_cond_wait(&self->idle, &self->lock);
    pthread_mutex_unlock(&self->lock);
    while (self->models) {
        struct loaded *model = self->models;
        self->models = model->next;
        model->deleted = true;
        model->device = NULL;
        let_go(model);
    }
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->idle);
    free(self);
    sessions--;
    *conn = NULL;
    return true;
}

/* A restart of the service ends all connections. */
bool is_connected(const larodConnection *conn, larodError **error)
{
    if (!conn)
        return fail(error, EINVAL, "there is no connection");
    meet_restart();
    if (faults_exist() && fault_is_set("inference-down", NULL))
        __atomic_add_fetch(&service_generation, 1, __ATOMIC_RELAXED);
    if (conn->generation != service_generation)
        return fail(error, LAROD_ERROR_CONNECTION, "the connection to the larod service is lost");
    return true;
}

bool has_power(larodError **error)
{
    bool fault = faults_exist() && fault_is_set("no-power", NULL);
    if (fault || take_one("INCAMERA_LAROD_NO_POWER", &refused_power))
        return fail(error, LAROD_ERROR_POWER_NOT_AVAILABLE, "power is not available now");
    return true;
}

/* The service restarts after so many jobs, if INCAMERA_LAROD_RESTART_AFTER says so. */
void service_did_a_job(void)
{
    unsigned limit = setting("INCAMERA_LAROD_RESTART_AFTER", 0);
    if (++jobs_done, limit && jobs_done % limit == 0)
        service_generation++;
}

bool larodGetNumSessions(larodConnection *conn, uint64_t *numSessions, larodError **error)
{
    if (!is_connected(conn, error))
        return false;
    *numSessions = sessions;
    return true;
}

const larodDevice *larodGetDevice(const larodConnection *conn, const char *name, uint32_t instance, larodError **error)
{
    if (!is_connected(conn, error))
        return NULL;
    for (size_t number = 0; name && instance == 0 && number < conn->device_count; number++)
        if (strcmp(conn->devices[number].name, name) == 0)
            return &conn->devices[number];
    fail(error, LAROD_ERROR_INVALID_CHIP_ID, "there is no device %s, instance %u", name ? name : "NULL", instance);
    return NULL;
}

const larodDevice **larodListDevices(larodConnection *conn, size_t *numDevices, larodError **error)
{
    if (!is_connected(conn, error))
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
