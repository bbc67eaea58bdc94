/* What environment variables and faults ask of the engine, and which devices the camera has. */
#include "objects.h"

#include "faults.h"

static unsigned refused_power;

static const struct {
    const char *name;
    int chip;
} numbers[] = {{"cpu-tflite", 2}, {"google-edge-tpu-tflite", 4}, {"axis-a8-dlpu-tflite", 12}};

unsigned larod_setting(const char *name, unsigned def)
{
    const char *text = getenv(name);
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : def;
}

/* Whether it is still to happen, of the number of times that the variable NAME says. */
bool take_one(const char *name, unsigned *used)
{
    if (__atomic_load_n(used, __ATOMIC_RELAXED) >= larod_setting(name, 0))
        return false;
    __atomic_add_fetch(used, 1, __ATOMIC_RELAXED);
    return true;
}

bool has_power(larodError **error)
{
    bool fault = faults_exist() && fault_is_set("no-power", NULL);
    if (fault || take_one("INCAMERA_LAROD_NO_POWER", &refused_power))
        return fail(error, LAROD_ERROR_POWER_NOT_AVAILABLE, "power is not available now");
    return true;
}

/* Wait as long as the variable NAME or the fault FAULT says. */
void wait_milliseconds(const char *name, const char *fault)
{
    unsigned milliseconds = larod_setting(name, 0), more = 0;
    if (faults_exist() && fault_is_set(fault, &more))
        milliseconds += more;
    struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    while (milliseconds && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), part = strlen(end);
    return length >= part && strcmp(text + length - part, end) == 0;
}

static bool add_device(struct device *device, const char *name, size_t length)
{
    if (length == 0 || length >= sizeof device->name)
        return false;
    *device = (struct device){0};
    memcpy(device->name, name, length);
    device->kind = ends_with(device->name, "-tflite") ? RUNS_TFLITE : ends_with(device->name, "-proc") ? CONVERTS : RUNS_NOTHING;
    for (size_t number = 0; number < sizeof numbers / sizeof *numbers; number++)
        if (strcmp(numbers[number].name, device->name) == 0)
            device->chip = numbers[number].chip;
    return true;
}

/* Fill DEVICES, of which there is room for MOST_DEVICES. Returns their number. */
size_t read_devices(struct device *devices)
{
    const char *names = getenv("INCAMERA_LAROD_DEVICES");
    size_t count = 0;
    if (!names)
        names = "cpu-tflite cpu-proc";
    while (*names) {
        size_t length = strcspn(names, " ");
        if (count < MOST_DEVICES && add_device(&devices[count], names, length))
            count++;
        names += length + (names[length] == ' ');
    }
    return count;
}
