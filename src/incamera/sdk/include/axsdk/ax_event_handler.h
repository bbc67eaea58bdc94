/*
 * Sending and receiving events. Callbacks need a running GLib main loop of the default context.
 * AXEvent, in the camera since AXIS OS 9.80. Made by incamera from data/axevent.toml.
 */
#ifndef INCAMERA_AXSDK_AX_EVENT_HANDLER_H
#define INCAMERA_AXSDK_AX_EVENT_HANDLER_H

#include "../incamera-axis-os.h"
#include "ax_event.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct _AXEventHandler AXEventHandler;

/* Free EVENT with ax_event_free. */
typedef void (*AXSubscriptionCallback)(guint subscription, AXEvent *event, gpointer user_data);
typedef void (*AXDeclarationCompleteCallback)(guint declaration, gpointer user_data);
typedef void (*AXUnsubscribeCompleteCallback)(guint declaration, gpointer user_data, GError *error);

AXEventHandler *ax_event_handler_new(void);
/*
 * Cancels callbacks that are pending, as ax_event_handler_undeclare and
 * ax_event_handler_unsubscribe do.
 */
void ax_event_handler_free(AXEventHandler *event_handler);
/* STATELESS TRUE: a pulse. Send only after the callback. The set may be freed afterwards. */
gboolean ax_event_handler_declare(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set,
    gboolean stateless, guint *declaration, AXDeclarationCompleteCallback callback, gpointer
    user_data, GError **error);
/* PROPERTY_NAME: the key that is the property. */
gboolean ax_event_handler_declare2(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set,
    gboolean stateless, gchar *property_name, guint *declaration, AXDeclarationCompleteCallback
    callback, gpointer user_data, GError **error);
/* Does not work since AXIS OS 12.0. */
gboolean ax_event_handler_declare_from_template(AXEventHandler *event_handler, const char
    *event_template, AXEventKeyValueSet *key_value_set, guint *declaration,
    AXDeclarationCompleteCallback callback, gpointer user_data, GError **error);
gboolean ax_event_handler_undeclare(AXEventHandler *event_handler, guint declaration, GError
    **error);
gboolean ax_event_handler_send_event(AXEventHandler *event_handler, guint declaration, AXEvent
    *event, GError **error);
/* The set is the filter. The state of a property is told at once. */
gboolean ax_event_handler_subscribe(AXEventHandler *event_handler, AXEventKeyValueSet
    *key_value_set, guint *subscription, AXSubscriptionCallback callback, gpointer user_data, GError
    **error);
gboolean ax_event_handler_unsubscribe(AXEventHandler *event_handler, guint subscription, GError
    **error);
gboolean ax_event_handler_unsubscribe_and_notify(AXEventHandler *event_handler, guint subscription,
    AXUnsubscribeCompleteCallback callback, gpointer user_data, GError **error);

#ifdef __cplusplus
}
#endif

#endif
