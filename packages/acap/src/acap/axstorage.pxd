# What acap uses of the camera's library for storage, as axstorage.h declares it.

cdef extern from "axstorage.h" nogil:
    ctypedef struct GError:
        int code
        char *message

    ctypedef struct GList:
        void *data
        GList *next

    ctypedef struct AXStorage

    ctypedef struct storage_wait:
        int fd
        int code
        AXStorage *storage
        char *message

    const char *axstorage_open(const char *soname)
    const char *axstorage_lacks(const char **since)
    storage_wait *storage_new_wait()
    void storage_leave(storage_wait *wait)
    void storage_end_watch(storage_wait *wait)
    void storage_forget(AXStorage *storage)
    bint storage_leave_setup(storage_wait *wait)
    bint storage_is_done(const storage_wait *wait)
    bint storage_set_up_async(char *id, storage_wait *wait, GError **error)
    bint storage_release_async(AXStorage *storage, storage_wait *wait, GError **error)
    unsigned storage_subscribe(char *id, storage_wait *wait, GError **error)

    struct axstorage_functions "":
        GList *(*ax_storage_list)(GError **) noexcept nogil
        bint (*ax_storage_get_status)(char *, int, GError **) noexcept nogil
        bint (*ax_storage_unsubscribe)(unsigned, GError **) noexcept nogil
        char *(*ax_storage_get_path)(AXStorage *, GError **) noexcept nogil
        int (*ax_storage_get_type)(AXStorage *, GError **) noexcept nogil
        void (*g_error_free)(GError *) noexcept nogil
        void (*g_free)(void *) noexcept nogil
        void (*g_list_free)(GList *) noexcept nogil

    axstorage_functions axstorage
