/*
 * Elements: values with a structure. AXEvent, in the camera since AXIS OS 9.80. Made by incamera
 * from data/axevent.toml.
 */
#ifndef INCAMERA_AXSDK_AX_EVENT_ELEMENT_ITEM_H
#define INCAMERA_AXSDK_AX_EVENT_ELEMENT_ITEM_H

#include "../incamera-axis-os.h"
#include <glib.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _AXEventElementItem AXEventElementItem;

AXEventElementItem *ax_event_element_item_new(const gchar *name, const gchar *name_space);
void ax_event_element_item_free(AXEventElementItem *node);
gboolean ax_event_element_item_get_name(AXEventElementItem *node, gchar **name, GError **error);
gboolean ax_event_element_item_get_name_space(AXEventElementItem *node, gchar **name_space, GError
    **error);
gboolean ax_event_element_item_set_attributes(AXEventElementItem *node, GHashTable *attributes,
    GError **error);
gboolean ax_event_element_item_get_attributes(AXEventElementItem *node, GHashTable **attributes,
    GError **error);
gboolean ax_event_element_item_set_body(AXEventElementItem *node, const gchar *body, GError
    **error);
gboolean ax_event_element_item_get_body(AXEventElementItem *node, gchar **body, GError **error);
gboolean ax_event_element_item_add_child(AXEventElementItem *node, AXEventElementItem *child, GError
    **error);
gboolean ax_event_element_item_get_first_child(AXEventElementItem *parent, AXEventElementItem
    **child, GError **error);
gboolean ax_event_element_item_get_next_child(AXEventElementItem *child, AXEventElementItem
    **sibling, GError **error);

#ifdef __cplusplus
}
#endif

#endif
