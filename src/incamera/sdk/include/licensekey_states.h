/*
 * What licensekey_verify_ex answers. License Key, in the camera since AXIS OS 9.80. Made by
 * incamera from data/licensekey.toml.
 */
#ifndef INCAMERA_LICENSEKEY_STATES_H
#define INCAMERA_LICENSEKEY_STATES_H

#include "incamera-axis-os.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    STATE_VALIDATION_ERROR = 0,
    STATE_VALID = 1,
    STATE_INVALID_VERSION = 2,
    STATE_EXPIRED_DATE = 3,
    STATE_ILLEGAL_APPLICATION_ID_MISMATCH = 4,
    STATE_ILLEGAL_DEVICE_ID_MISMATCH = 5,
    STATE_ILLEGAL_MISSING_FIELDS = 6,
    STATE_ILLEGAL_INVALID_ENTRY_APPLICATION_ID = 7,
    STATE_ILLEGAL_INVALID_ENTRY_MIN_MAJOR = 8,
    STATE_ILLEGAL_INVALID_ENTRY_MIN_MINOR = 9,
    STATE_ILLEGAL_INVALID_ENTRY_MAX_MAJOR = 10,
    STATE_ILLEGAL_INVALID_ENTRY_MAX_MINOR = 11,
    STATE_ILLEGAL_KEY_DECODING_FAILS = 12,
    STATE_ILLEGAL_INVALID_SIGNATURE = 13,
} licensekey_state;

#ifdef __cplusplus
}
#endif

#endif
