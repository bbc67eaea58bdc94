/*
 * The app's parameters, and those of the camera that it may see. AXParameter, in the camera since
 * AXIS OS 9.80. Made by incamera from data/axparameter.toml.
 */
#ifndef INCAMERA_AXSDK_AXPARAMETER_H
#define INCAMERA_AXSDK_AXPARAMETER_H

#include "../incamera-axis-os.h"
#include <glib.h>
#include "ax_parameter_error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One in a process. */
typedef struct _AXParameter AXParameter;

/* Must not call functions of AXParameter: they would wait for ever. NAME is always the full name, root.<app>.<name>. */
typedef void (*AXParameterCallback)(const gchar *name, const gchar *value, gpointer data);

/* APP_NAME: the app's name in its manifest. */
AXParameter *ax_parameter_new(const gchar *app_name, GError **error);
void ax_parameter_free(AXParameter *parameter);
/*
 * INITIAL_VALUE NULL: "". TYPE NULL: "string". Neither is checked. Fails with
 * AX_PARAMETER_PARAM_ADDED_ERROR when there is one.
 */
gboolean ax_parameter_add(AXParameter *parameter, const gchar *name, const gchar *initial_value,
    const gchar *type, GError **error);
gboolean ax_parameter_remove(AXParameter *parameter, const gchar *name, GError **error);
/* DO_SYNC FALSE: it is written, and told of, by a later call with TRUE. */
gboolean ax_parameter_set(AXParameter *parameter, const gchar *name, const gchar *value, gboolean
    do_sync, GError **error);
/*
 * NAME: of the app's own (Speed), or a full one (root.Properties.System.SerialNumber). Free *VALUE
 * with g_free.
 */
gboolean ax_parameter_get(AXParameter *parameter, const gchar *name, gchar **value, GError **error);
/* Free the list with g_list_free_full (list, g_free). */
GList *ax_parameter_list(AXParameter *parameter, GError **error);
/* Needs a running GLib main loop. The parameter need not exist yet. */
gboolean ax_parameter_register_callback(AXParameter *parameter, const gchar *name,
    AXParameterCallback callback, gpointer userdata, GError **error);
void ax_parameter_unregister_callback(AXParameter *parameter, const gchar *name);

#ifdef __cplusplus
}
#endif

#endif
