/*
 * Keys and values of events. Not thread safe. AXEvent, in the camera since AXIS OS 9.80. Made by
 * incamera from data/axevent.toml.
 */
#ifndef INCAMERA_AXSDK_AX_EVENT_KEY_VALUE_SET_H
#define INCAMERA_AXSDK_AX_EVENT_KEY_VALUE_SET_H

#include "../incamera-axis-os.h"
#include <glib.h>
#include "ax_event_element_item.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _AXEventValueType {
    AX_VALUE_TYPE_INT = 0,
    AX_VALUE_TYPE_BOOL = 1,
    AX_VALUE_TYPE_DOUBLE = 2,
    AX_VALUE_TYPE_STRING = 3,
    AX_VALUE_TYPE_ELEMENT = 4,
} AXEventValueType;

typedef struct _AXEventKeyValueSet AXEventKeyValueSet;

AXEventKeyValueSet *ax_event_key_value_set_new(void);
void ax_event_key_value_set_free(AXEventKeyValueSet *key_value_set);
/* Key, name space, value and type of each, and NULL after the last. */
gboolean ax_event_key_value_set_add_key_values(AXEventKeyValueSet *key_value_set, GError **error,
    ...);
/*
 * VALUE points to a gint, gboolean or gdouble, or is the string itself. NULL: any value. A second
 * value of a key replaces the first.
 */
gboolean ax_event_key_value_set_add_key_value(AXEventKeyValueSet *key_value_set, const gchar *key,
    const gchar *name_space, gconstpointer value, AXEventValueType value_type, GError **error);
gboolean ax_event_key_value_set_mark_as_source(AXEventKeyValueSet *key_value_set, const gchar *key,
    const gchar *name_space, GError **error);
gboolean ax_event_key_value_set_mark_as_data(AXEventKeyValueSet *key_value_set, const gchar *key,
    const gchar *name_space, GError **error);
gboolean ax_event_key_value_set_mark_as_user_defined(AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, const gchar *user_tag, GError **error);
gboolean ax_event_key_value_set_add_nice_names(AXEventKeyValueSet *key_value_set, const gchar *key,
    const gchar *name_space, const gchar *key_nice_name, const gchar *value_nice_name, GError
    **error);
gboolean ax_event_key_value_set_get_value_type(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, AXEventValueType *value_type, GError **error);
gboolean ax_event_key_value_set_get_integer(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, gint *value, GError **error);
gboolean ax_event_key_value_set_get_boolean(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, gboolean *value, GError **error);
gboolean ax_event_key_value_set_get_double(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, gdouble *value, GError **error);
/* Free *VALUE with g_free. */
gboolean ax_event_key_value_set_get_string(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, gchar **value, GError **error);
gboolean ax_event_key_value_set_get_element(const AXEventKeyValueSet *key_value_set, const gchar
    *key, const gchar *name_space, AXEventElementItem **item, GError **error);
gboolean ax_event_key_value_set_remove_key(AXEventKeyValueSet *key_value_set, const gchar *key,
    const gchar *name_space, GError **error);

#ifdef __cplusplus
}
#endif

#endif
