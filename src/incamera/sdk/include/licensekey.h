/*
 * The app's license key. License Key, in the camera since AXIS OS 9.80. Made by incamera from
 * data/licensekey.toml.
 */
#ifndef INCAMERA_LICENSEKEY_H
#define INCAMERA_LICENSEKEY_H

#include "incamera-axis-os.h"
#include <stdlib.h>
#include <string.h>
#include "licensekey_states.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What the camera's library has. The functions below call it. In the vendor's SDK they are in a
 * static library.
 */
int licensekey_dyn_verify(const char *app_name, int app_id, int major_version, int minor_version);
int licensekey_dyn_verify_ex(const char *app_name, int app_id, int major_version, int minor_version,
    const char *licensekey_path);
char *licensekey_dyn_get_exp_date(const char *app_name, const char *licensekey_path);
/* 1: there is a valid key. */
static inline int licensekey_verify(const char *app_name, int app_id, int major_version, int
    minor_version)
{
    return licensekey_dyn_verify(app_name, app_id, major_version, minor_version);
}
/* One of licensekey_states.h. */
static inline int licensekey_verify_ex(const char *app_name, int app_id, int major_version, int
    minor_version, const char *licensekey_path)
{
    return licensekey_dyn_verify_ex(app_name, app_id, major_version, minor_version, licensekey_path);
}
/* YYYY-MM-DD, or NULL. Free it with free(). */
static inline char *licensekey_get_exp_date(const char *app_name, const char *licensekey_path)
{
    return licensekey_dyn_get_exp_date(app_name, licensekey_path);
}
/* The name of the state. Free it with free() or g_free(). */
static inline char *licensekey_get_state_string(int state_code)
{
    static const char *const names[] = {
        "STATE_VALIDATION_ERROR",
        "STATE_VALID",
        "STATE_INVALID_VERSION",
        "STATE_EXPIRED_DATE",
        "STATE_ILLEGAL_APPLICATION_ID_MISMATCH",
        "STATE_ILLEGAL_DEVICE_ID_MISMATCH",
        "STATE_ILLEGAL_MISSING_FIELDS",
        "STATE_ILLEGAL_INVALID_ENTRY_APPLICATION_ID",
        "STATE_ILLEGAL_INVALID_ENTRY_MIN_MAJOR",
        "STATE_ILLEGAL_INVALID_ENTRY_MIN_MINOR",
        "STATE_ILLEGAL_INVALID_ENTRY_MAX_MAJOR",
        "STATE_ILLEGAL_INVALID_ENTRY_MAX_MINOR",
        "STATE_ILLEGAL_KEY_DECODING_FAILS",
        "STATE_ILLEGAL_INVALID_SIGNATURE",
    };
    int known = state_code >= 0 && state_code < (int)(sizeof names / sizeof *names);
    const char *name = known ? names[state_code] : "unknown state";
    char *copy = (char *)malloc(strlen(name) + 1);
    return copy ? strcpy(copy, name) : NULL;
}

#ifdef __cplusplus
}
#endif

#endif
