/*
 * Errors of AXEvent. AXEvent, in the camera since AXIS OS 9.80. Made by incamera from
 * data/axevent.toml.
 */
#ifndef INCAMERA_AXSDK_AX_EVENT_ERROR_H
#define INCAMERA_AXSDK_AX_EVENT_ERROR_H

#include "../incamera-axis-os.h"
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AX_EVENT_ERROR (ax_event_error_quark())

typedef enum _AXEventErrorCode {
    AX_EVENT_ERROR_GENERIC = 0,
    AX_EVENT_ERROR_INVALID_ARGUMENT = 1,
    AX_EVENT_ERROR_INCOMPATIBLE_VALUE = 2,
    AX_EVENT_ERROR_DECLARATION = 3,
    AX_EVENT_ERROR_UNDECLARE = 4,
    AX_EVENT_ERROR_SEND = 5,
    AX_EVENT_ERROR_SUBSCRIPTION = 6,
    AX_EVENT_ERROR_UNSUBSCRIBE = 7,
    AX_EVENT_ERROR_KEY_NOT_FOUND = 8,
    AX_EVENT_ERROR_END = 9,
} AXEventErrorCode;

GQuark ax_event_error_quark(void);

#ifdef __cplusplus
}
#endif

#endif
