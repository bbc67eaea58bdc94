/* Events. AXEvent, in the camera since AXIS OS 9.80. Made by incamera from data/axevent.toml. */
#ifndef INCAMERA_AXSDK_AX_EVENT_H
#define INCAMERA_AXSDK_AX_EVENT_H

#include "../incamera-axis-os.h"
#include <glib.h>
#include "ax_event_key_value_set.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _AXEvent AXEvent;

/* Deprecated with GTimeVal: use ax_event_new2. */
G_GNUC_BEGIN_IGNORE_DEPRECATIONS
AXEvent *ax_event_new(AXEventKeyValueSet *key_value_set, GTimeVal *time_stamp);
G_GNUC_END_IGNORE_DEPRECATIONS
/* TIME_STAMP NULL: now. The set may be freed afterwards. */
AXEvent *ax_event_new2(AXEventKeyValueSet *key_value_set, GDateTime *time_stamp);
void ax_event_free(AXEvent *event);
/* Belongs to the event. */
const AXEventKeyValueSet *ax_event_get_key_value_set(AXEvent *event);
/* Deprecated with GTimeVal: use ax_event_get_time_stamp2. */
G_GNUC_BEGIN_IGNORE_DEPRECATIONS
const GTimeVal *ax_event_get_time_stamp(AXEvent *event);
G_GNUC_END_IGNORE_DEPRECATIONS
GDateTime *ax_event_get_time_stamp2(AXEvent *event);

#ifdef __cplusplus
}
#endif

#endif
