# What acap uses of the camera's library for parameters, as axparameter.h declares it.

cdef extern from "axparameter.h" nogil:
    ctypedef struct GError:
        int code
        char *message

    ctypedef struct GList:
        void *data
        GList *next

    ctypedef struct AXParameter

    ctypedef struct queue_item:
        queue_item *next
        char *name
        char *value

    ctypedef struct acap_queue:
        int fd

    ctypedef struct parameter_name

    acap_queue *queue_new()
    queue_item *queue_take(acap_queue *queue)
    queue_item *queue_next(queue_item *item)
    void queue_close(acap_queue *queue)

    const char *axparameter_open(const char *soname)
    const char *axparameter_lacks(const char **since)
    parameter_name *parameter_find(const char *name)
    bint parameter_watch(AXParameter *, parameter_name *, acap_queue *, GError **)
    void parameter_unwatch(AXParameter *, parameter_name *, acap_queue *)

    struct axparameter_functions "":
        AXParameter *(*ax_parameter_new)(const char *, GError **) noexcept nogil
        bint (*ax_parameter_add)(AXParameter *, const char *, const char *, const char *, GError **) noexcept nogil
        bint (*ax_parameter_remove)(AXParameter *, const char *, GError **) noexcept nogil
        bint (*ax_parameter_set)(AXParameter *, const char *, const char *, bint, GError **) noexcept nogil
        bint (*ax_parameter_get)(AXParameter *, const char *, char **, GError **) noexcept nogil
        GList *(*ax_parameter_list)(AXParameter *, GError **) noexcept nogil
        void (*g_error_free)(GError *) noexcept nogil
        void (*g_free)(void *) noexcept nogil
        void (*g_list_free)(GList *) noexcept nogil

    axparameter_functions axparameter
