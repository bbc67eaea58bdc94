# What acap uses of the camera's library for events, as axevent.h declares it.

from libc.stdint cimport int64_t

cdef extern from "axevent.h" nogil:
    ctypedef struct GError:
        int code
        char *message

    ctypedef struct AXEvent
    ctypedef struct AXEventHandler
    ctypedef struct AXEventKeyValueSet

    ctypedef struct queue_item:
        queue_item *next
        void *event

    ctypedef struct acap_queue:
        int fd

    acap_queue *queue_new()
    queue_item *queue_take(acap_queue *queue)
    queue_item *queue_next(queue_item *item)

    const char *axevent_open(const char *soname)
    const char *axevent_lacks(const char **since)
    void event_end_queue(acap_queue *queue)
    int64_t event_time(AXEvent *event)
    bint event_subscribe(AXEventHandler *, AXEventKeyValueSet *, unsigned *number, acap_queue *, GError **)
    bint event_declare(AXEventHandler *, AXEventKeyValueSet *, bint stateless, unsigned *number, acap_queue *, GError **)

    struct axevent_functions "":
        AXEventKeyValueSet *(*ax_event_key_value_set_new)() noexcept nogil
        void (*ax_event_key_value_set_free)(AXEventKeyValueSet *) noexcept nogil
        bint (*ax_event_key_value_set_add_key_value)(
            AXEventKeyValueSet *, const char *, const char *, const void *, unsigned, GError **) noexcept nogil
        bint (*ax_event_key_value_set_mark_as_source)(
            AXEventKeyValueSet *, const char *, const char *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_mark_as_data)(
            AXEventKeyValueSet *, const char *, const char *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_mark_as_user_defined)(
            AXEventKeyValueSet *, const char *, const char *, const char *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_add_nice_names)(
            AXEventKeyValueSet *, const char *, const char *, const char *, const char *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_get_value_type)(
            const AXEventKeyValueSet *, const char *, const char *, unsigned *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_get_integer)(
            const AXEventKeyValueSet *, const char *, const char *, int *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_get_boolean)(
            const AXEventKeyValueSet *, const char *, const char *, int *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_get_double)(
            const AXEventKeyValueSet *, const char *, const char *, double *, GError **) noexcept nogil
        bint (*ax_event_key_value_set_get_string)(
            const AXEventKeyValueSet *, const char *, const char *, char **, GError **) noexcept nogil
        AXEvent *(*ax_event_new2)(AXEventKeyValueSet *, void *) noexcept nogil
        void (*ax_event_free)(AXEvent *) noexcept nogil
        const AXEventKeyValueSet *(*ax_event_get_key_value_set)(AXEvent *) noexcept nogil
        AXEventHandler *(*ax_event_handler_new)() noexcept nogil
        bint (*ax_event_handler_undeclare)(AXEventHandler *, unsigned, GError **) noexcept nogil
        bint (*ax_event_handler_send_event)(AXEventHandler *, unsigned, AXEvent *, GError **) noexcept nogil
        bint (*ax_event_handler_unsubscribe)(AXEventHandler *, unsigned, GError **) noexcept nogil
        void (*g_error_free)(GError *) noexcept nogil
        void (*g_free)(void *) noexcept nogil

    axevent_functions axevent
