# What acap uses of the camera's library for the message broker, as mdb.h declares it.

cdef extern from "mdb.h" nogil:
    ctypedef struct mdb_error_t:
        int code
        char *message

    ctypedef struct mdb_connection_t
    ctypedef struct mdb_subscriber_t

    const char *mdb_open(const char *soname)
    const char *mdb_lacks(const char **since)
    mdb_connection_t *mdb_connect(mdb_error_t **error)
    bint mdb_is_connected()
    mdb_subscriber_t *mdb_subscribe(
        mdb_connection_t *, const char *topic, const char *source, message_queue *, mdb_error_t **)

    ctypedef struct message_item:
        message_item *next
        char *topic
        double time
        double stamp
        bint historical
        size_t size
        char *data

    ctypedef struct message_queue:
        int fd
        unsigned dropped
        bint failed
        int code
        char *text

    message_queue *message_queue_new(unsigned most)
    message_item *message_take(message_queue *queue)
    message_item *message_next(message_item *item)
    bint message_wait(message_queue *queue, unsigned count, unsigned milliseconds)
    void message_close(message_queue *queue)

    struct mdb_functions "":
        void (*mdb_error_destroy)(mdb_error_t **) noexcept nogil
        void (*mdb_connection_destroy)(mdb_connection_t **) noexcept nogil
        void (*mdb_subscriber_destroy)(mdb_subscriber_t **) noexcept nogil

    mdb_functions mdb
