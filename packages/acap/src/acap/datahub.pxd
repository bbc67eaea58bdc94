# What acap uses of the camera's library for the Device Data Hub, as datahub.h declares it.

from libc.stdint cimport uint32_t, uint64_t

cdef extern from "datahub.h" nogil:
    ctypedef struct DHClient
    ctypedef struct DHError
    ctypedef struct DHSubscriber
    ctypedef struct DHTopic
    ctypedef struct DHTopicList
    ctypedef struct DHWriter

    ctypedef struct datahub_readers:
        unsigned count

    const char *datahub_open(const char *soname)
    const char *datahub_lacks(const char **since)
    DHSubscriber *datahub_subscribe(
        DHClient *, const char **topics, uint32_t start, message_queue *, DHError **)
    bint datahub_is_read(datahub_readers *)
    DHWriter *datahub_open_writer(DHClient *, const char *topic, datahub_readers *, DHError **)
    bint datahub_write(DHWriter *, const char *keys, const char *json, bint first, DHError **)

    ctypedef struct message_item:
        message_item *next
        char *topic
        double time
        bint historical
        size_t size
        char *data

    ctypedef struct message_queue:
        int fd
        unsigned dropped

    message_queue *message_queue_new(unsigned most)
    message_item *message_take(message_queue *queue)
    message_item *message_next(message_item *item)
    void message_close(message_queue *queue)

    struct datahub_functions "":
        void (*dh_error_destroy)(DHError *) noexcept nogil
        const char *(*dh_error_to_string)(const DHError *) noexcept nogil
        uint32_t (*dh_error_get_code)(const DHError *) noexcept nogil
        DHClient *(*dh_client_create)(const char *, DHError **) noexcept nogil
        void (*dh_client_destroy)(DHClient *) noexcept nogil
        bint (*dh_client_set_logging)(DHClient *, uint32_t, uint32_t, DHError **) noexcept nogil
        bint (*dh_client_connect)(DHClient *, DHError **) noexcept nogil
        bint (*dh_client_disconnect)(DHClient *, DHError **) noexcept nogil
        uint32_t (*dh_client_get_connection_state)(const DHClient *) noexcept nogil
        DHTopic *(*dh_client_create_topic)(DHClient *, const char *, DHError **) noexcept nogil
        DHTopic *(*dh_client_get_topic)(DHClient *, const char *, DHError **) noexcept nogil
        bint (*dh_client_delete_topic)(DHClient *, const char *, DHError **) noexcept nogil
        DHTopicList *(*dh_client_get_topic_list)(DHClient *, DHError **) noexcept nogil
        const char *(*dh_topic_get_name)(const DHTopic *) noexcept nogil
        void (*dh_topic_destroy)(DHTopic *) noexcept nogil
        uint32_t (*dh_topic_list_get_count)(const DHTopicList *) noexcept nogil
        const char *(*dh_topic_list_get_name)(const DHTopicList *, uint32_t) noexcept nogil
        void (*dh_topic_list_destroy)(DHTopicList *) noexcept nogil
        void (*dh_subscriber_destroy)(DHSubscriber *) noexcept nogil
        void (*dh_writer_destroy)(DHWriter *) noexcept nogil

    datahub_functions datahub
