/* The stand-in of the library for license keys. Its keys are files of text, since none of the vendor's can be made:

       application_id = 12345
       min_version = 1.0
       max_version = 2.99
       expires = 2027-12-31
       device_id = ACCC8E000000
       signature = incamera

   Without `expires` a key is valid for ever, without `device_id` in each camera. The key of the app NAME is in
   INCAMERA_LICENSE_KEYS/NAME.key, or for the functions that take a path, there. */
#include <licensekey.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

int licensekey_dyn_verify(const char *app_name, int app_id, int major_version, int minor_version);
int licensekey_dyn_verify_ex(const char *app_name, int app_id, int major_version, int minor_version, const char *path);
char *licensekey_dyn_get_exp_date(const char *app_name, const char *path);

enum field { APPLICATION_ID, MIN_VERSION, MAX_VERSION, EXPIRES, DEVICE_ID, SIGNATURE, FIELDS };
static const char *const field_names[FIELDS] = {
    "application_id", "min_version", "max_version", "expires", "device_id", "signature",
};

struct key {
    char values[FIELDS][64];
    bool decoded;
};

static const char *setting(const char *name, const char *def)
{
    const char *text = getenv(name);
    return text && *text ? text : def;
}

static void read_line(struct key *key, const char *line)
{
    char name[32], value[64];
    if (sscanf(line, " %31[a-z_] = %63s", name, value) != 2)
        return;
    for (enum field field = 0; field < FIELDS; field++)
        if (strcmp(name, field_names[field]) == 0) {
            strcpy(key->values[field], value);
            key->decoded = true;
        }
}

static bool read_key(struct key *key, const char *app_name, const char *path)
{
    char name[512], line[256];
    memset(key, 0, sizeof *key);
    if (!path) {
        const char *folder = setting("INCAMERA_LICENSE_KEYS", "/usr/local/packages/licenses");
        if (!app_name || strchr(app_name, '/') || snprintf(name, sizeof name, "%s/%s.key", folder, app_name) >= (int)sizeof name)
            return false;
        path = name;
    }
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file))
        read_line(key, line);
    fclose(file);
    return true;
}

static bool parse_version(const char *text, long *version)
{
    unsigned major, minor;
    char rest;
    if (sscanf(text, "%5u.%5u%c", &major, &minor, &rest) != 2)
        return false;
    *version = (long)major * 100000 + minor;
    return true;
}

static bool is_over(const char *expires)
{
    char today[16];
    time_t now = time(NULL);
    struct tm day;
    gmtime_r(&now, &day);
    strftime(today, sizeof today, "%Y-%m-%d", &day);
    return strcmp(today, expires) > 0;
}

static int state_of(const struct key *key, int app_id, int major, int minor)
{
    char *end;
    long least, most, version = (long)major * 100000 + minor;
    if (!key->decoded)
        return STATE_ILLEGAL_KEY_DECODING_FAILS;
    if (!*key->values[APPLICATION_ID] || !*key->values[MIN_VERSION] || !*key->values[MAX_VERSION] || !*key->values[SIGNATURE])
        return STATE_ILLEGAL_MISSING_FIELDS;
    if (strcmp(key->values[SIGNATURE], "incamera") != 0)
        return STATE_ILLEGAL_INVALID_SIGNATURE;
    long id = strtol(key->values[APPLICATION_ID], &end, 10);
    if (*end)
        return STATE_ILLEGAL_INVALID_ENTRY_APPLICATION_ID;
    if (!parse_version(key->values[MIN_VERSION], &least))
        return STATE_ILLEGAL_INVALID_ENTRY_MIN_MAJOR;
    if (!parse_version(key->values[MAX_VERSION], &most))
        return STATE_ILLEGAL_INVALID_ENTRY_MAX_MAJOR;
    if (id != app_id)
        return STATE_ILLEGAL_APPLICATION_ID_MISMATCH;
    const char *device = key->values[DEVICE_ID];
    if (*device && strcmp(device, setting("INCAMERA_DEVICE_ID", "ACCC8E000000")) != 0)
        return STATE_ILLEGAL_DEVICE_ID_MISMATCH;
    if (version < least || version > most)
        return STATE_INVALID_VERSION;
    if (*key->values[EXPIRES] && is_over(key->values[EXPIRES]))
        return STATE_EXPIRED_DATE;
    return STATE_VALID;
}

int licensekey_dyn_verify_ex(const char *app_name, int app_id, int major_version, int minor_version, const char *path)
{
    struct key key;
    if (!read_key(&key, app_name, path))
        return STATE_VALIDATION_ERROR;
    return state_of(&key, app_id, major_version, minor_version);
}

int licensekey_dyn_verify(const char *app_name, int app_id, int major_version, int minor_version)
{
    return licensekey_dyn_verify_ex(app_name, app_id, major_version, minor_version, NULL) == STATE_VALID;
}

char *licensekey_dyn_get_exp_date(const char *app_name, const char *path)
{
    struct key key;
    if (!read_key(&key, app_name, path) || !*key.values[EXPIRES])
        return NULL;
    return strdup(key.values[EXPIRES]);
}
