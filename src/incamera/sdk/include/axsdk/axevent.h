/*
 * All of AXEvent. AXEvent, in the camera since AXIS OS 9.80. Made by incamera from
 * data/axevent.toml.
 */
#ifndef INCAMERA_AXSDK_AXEVENT_H
#define INCAMERA_AXSDK_AXEVENT_H

#include "../incamera-axis-os.h"
#include "ax_event.h"
#include "ax_event_element_item.h"
#include "ax_event_error.h"
#include "ax_event_handler.h"
#include "ax_event_key_value_set.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef __cplusplus
}
#endif

#endif
