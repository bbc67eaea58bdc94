/* What environment variables and faults ask of the engine, and which devices the camera has. */
#include "objects.h"

#include <time.h>

#include "faults.h"

#include "devices.h"

#define CHOSEN_DEVICES "/run/incamera-camera/devices" /* those of the camera's chip */

static unsigned refused_power;

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

static void wait_for(unsigned milliseconds)
{
    struct timespec left = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000L};
    while (milliseconds && nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* Wait as long as the variable NAME or the fault FAULT says. */
void wait_milliseconds(const char *name, const char *fault)
{
    unsigned milliseconds = larod_setting(name, 0), more = 0;
    if (fault && faults_exist() && fault_is_set(fault, &more))
        milliseconds += more;
    wait_for(milliseconds);
}
static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), part = strlen(end);
    return length >= part && strcmp(text + length - part, end) == 0;
}

/* A device that is in no list runs what its name says, as the processor does. */
static const struct known *find_known(const char *name)
{
    for (size_t number = 0; number < sizeof known_devices / sizeof *known_devices; number++)
        if (strcmp(known_devices[number].name, name) == 0)
            return &known_devices[number];
    return ends_with(name, "-tflite") ? find_known("cpu-tflite")
           : ends_with(name, "-proc") ? find_known("cpu-proc")
                                      : find_known("axis-a8-dlpu-native");
}

static bool add_device(struct device *device, const char *name, size_t length)
{
    if (length == 0 || length >= sizeof device->name)
        return false;
    *device = (struct device){0};
    memcpy(device->name, name, length);
    device->known = find_known(device->name);
    return true;
}

/* The devices that `virtual start --chip` has chosen, in TEXT. */
static bool read_chosen(char *text, size_t size)
{
    int fd = open(CHOSEN_DEVICES, O_RDONLY | O_CLOEXEC);
    ssize_t count = fd < 0 ? -1 : read(fd, text, size - 1);
    if (fd >= 0)
        close(fd);
    text[count > 0 ? count : 0] = 0;
    return count > 0;
}

/* Fill DEVICES, of which there is room for MOST_DEVICES. Returns their number. */
size_t read_devices(struct device *devices)
{
    char chosen[MOST_DEVICES * DEVICE_NAME];
    const char *names = getenv("INCAMERA_LAROD_DEVICES");
    size_t count = 0;
    if (!names)
        names = read_chosen(chosen, sizeof chosen) ? chosen : "cpu-tflite cpu-proc";
    while (*names) {
        size_t length = strcspn(names, " ,\n");
        if (count < MOST_DEVICES && add_device(&devices[count], names, length))
            count++;
        names += length + (names[length] != 0);
    }
    return count;
}

/* Chips keep what they have made of a model. So only the first load of a model by a device is slow. */
void wait_for_first_load(const struct device *device, uint64_t hash)
{
    static uint64_t seen[256];
    static unsigned next;
    unsigned milliseconds = 0;
    if (!faults_exist() || !fault_is_set("slow-first-load", &milliseconds))
        return;
    for (const char *letter = device->name; *letter; letter++)
        hash = (hash ^ (uint8_t)*letter) * 0x100000001b3u;
    for (size_t number = 0; number < sizeof seen / sizeof *seen; number++)
        if (__atomic_load_n(&seen[number], __ATOMIC_RELAXED) == hash)
            return;
    wait_for(milliseconds);
    unsigned place = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % (sizeof seen / sizeof *seen);
    __atomic_store_n(&seen[place], hash, __ATOMIC_RELAXED);
}
