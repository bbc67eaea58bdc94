/* Errors, and small helpers. */
#include "objects.h"

GQuark vdo_error_quark(void)
{
    return g_quark_from_static_string("vdo-error-quark");
}

static bool is_one_of(GError **error, const gint *codes)
{
    if (!error || !*error || (*error)->domain != vdo_error_quark())
        return false;
    while (*codes && *codes != (*error)->code)
        codes++;
    return *codes != 0;
}

gboolean vdo_error_is_expected(GError **error)
{
    return is_one_of(error, (const gint[]){VDO_ERROR_INTERFACE_DOWN, VDO_ERROR_CLOSED, 0});
}

gboolean vdo_error_is_resource_limitation(GError **error)
{
    return is_one_of(error, (const gint[]){VDO_ERROR_BUSY, VDO_ERROR_OOM, VDO_ERROR_NO_BUFFER_SPACE, 0});
}

void fail(GError **error, gint code, const char *message)
{
    g_set_error_literal(error, vdo_error_quark(), code, message);
}

/* An app that lacks the group `video`. */
bool is_denied(GError **error)
{
    if (!camera_setting("INCAMERA_VDO_DENIED", 0))
        return false;
    fail(error, VDO_ERROR_PERMISSION_DENIED, "the program is not in the group video");
    return true;
}
