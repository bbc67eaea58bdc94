/*
 * Errors of AXStorage. AXStorage, in the camera since AXIS OS 9.80. Made by incamera from
 * data/axstorage.toml.
 */
#ifndef INCAMERA_AXSDK_AX_STORAGE_ERROR_H
#define INCAMERA_AXSDK_AX_STORAGE_ERROR_H

#include "../incamera-axis-os.h"
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AX_STORAGE_ERROR (ax_storage_error_quark())

typedef enum _AXStorageErrorCode {
    AX_STORAGE_ERROR_GENERIC = 0,
    AX_STORAGE_ERROR_INVALID_ARGUMENT = 1,
    AX_STORAGE_ERROR_INCOMPATIBLE_VALUE = 2,
    AX_STORAGE_ERROR_SUBSCRIPTION = 3,
    AX_STORAGE_ERROR_UNSUBSCRIBE = 4,
    AX_STORAGE_ERROR_SETUP = 5,
    AX_STORAGE_ERROR_END = 6,
} AXStorageErrorCode;

GQuark ax_storage_error_quark(void);

#ifdef __cplusplus
}
#endif

#endif
