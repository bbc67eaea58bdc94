/*
 * Errors of VDO. A function that fails returns FALSE, NULL or -1, and sets its GError. VDO, in the
 * camera since AXIS OS 9.80. Made by incamera from data/vdo.toml.
 */
#ifndef INCAMERA_VDO_ERROR_H
#define INCAMERA_VDO_ERROR_H

#include "incamera-axis-os.h"
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VDO_ERROR (vdo_error_quark())

/* Codes of a GError whose domain is VDO_ERROR. */
enum {
    VDO_ERROR_NOT_FOUND = 1,
    VDO_ERROR_EXISTS = 2,
    VDO_ERROR_INVALID_ARGUMENT = 3,
    VDO_ERROR_PERMISSION_DENIED = 4,
    VDO_ERROR_NOT_SUPPORTED = 5,
    VDO_ERROR_CLOSED = 6,
    VDO_ERROR_BUSY = 7,
    VDO_ERROR_IO = 8,
    VDO_ERROR_HAL = 9,
    VDO_ERROR_DBUS = 10,
    VDO_ERROR_OOM = 11,
    VDO_ERROR_IDLE = 12,
    VDO_ERROR_NO_DATA = 13,
    VDO_ERROR_NO_BUFFER_SPACE = 14,
    VDO_ERROR_BUFFER_FAILURE = 15,
    VDO_ERROR_INTERFACE_DOWN = 16,
    VDO_ERROR_FAILED = 17,
    VDO_ERROR_FATAL = 18,
    VDO_ERROR_NOT_CONTROLLED = 19,
    VDO_ERROR_NO_EVENT = 20,
    VDO_ERROR_NO_VIDEO = 21,
};

GQuark vdo_error_quark(void);
/* Whether the service was stopped, or its settings have changed: make the stream again. */
gboolean vdo_error_is_expected(GError **error);
gboolean vdo_error_is_resource_limitation(GError **error);

#ifdef __cplusplus
}
#endif

#endif
