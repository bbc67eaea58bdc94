# cython: language_level=3, binding=False
"""The Device Data Hub: topics that the camera and its apps write and read."""

cimport cython
from libc.stdlib cimport calloc, free

from .datahub cimport *

from .errors import LibraryMissing, MessagesDown, NotSupported, UseAfterFork, message_error

cdef extern from "unistd.h" nogil:
    int getpid()

cdef DHClient *client = NULL
cdef int opened_by = 0
cdef list levels = ["off", "critical", "error", "warning", "info", "debug", "trace"]

# DHErrorCode, DHConnectionState
cdef uint32_t INVALID_TOPIC = 7
cdef uint32_t CONNECTED = 1


def open_library(bytes name not None):
    """Open the camera's library, and connect as *name*.

    Raises LibraryMissing, NotSupported, UseAfterFork, MessageError.
    """
    global client, opened_by
    cdef const char *message = NULL
    cdef const char *since = b""
    cdef const char *own = name
    cdef DHError *error = NULL
    cdef bint done
    if opened_by and opened_by != getpid():
        raise UseAfterFork("messages were used before a fork", hint="use them in one process only")
    if client == NULL:
        for library in (b"libdevice-data-hub-client-c.so.1", b"libdevice-data-hub-client-c.so"):
            message = datahub_open(library)
            if message == NULL:
                break
        else:
            text = message.decode("utf-8", "replace")
            raise LibraryMissing(f"the library for messages libdevice-data-hub-client-c.so.1 cannot be opened ({text})")
        message = datahub_lacks(&since)
        if message != NULL:
            raise NotSupported(
                f"the camera's Data Hub has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
            )
        with nogil:
            client = datahub.dh_client_create(own, &error)
        if client == NULL:
            raise error_of(error, "use the Data Hub")
    opened_by = getpid()
    if datahub.dh_client_get_connection_state(client) == CONNECTED:
        return
    with nogil:
        done = datahub.dh_client_connect(client, &error)
    if not done:
        raise error_of(error, "connect to the Data Hub")


def close_library():
    """End the connection, after all subscriptions and topics."""
    global client, opened_by
    cdef DHError *error = NULL
    if opened_by == getpid() and client != NULL:
        opened_by = 0
        with nogil:
            datahub.dh_client_disconnect(client, &error)
            if error != NULL:
                datahub.dh_error_destroy(error)
            datahub.dh_client_destroy(client)
        client = NULL


def set_logging(str level not None, bint to_syslog):
    """Choose what the library logs."""
    cdef DHError *error = NULL
    if not datahub.dh_client_set_logging(client, levels.index(level), to_syslog, &error):
        raise error_of(error, "set the logging of the Data Hub")


def topics():
    """Return the names of all topics."""
    cdef DHError *error = NULL
    cdef DHTopicList *found
    cdef const char *name
    with nogil:
        found = datahub.dh_client_get_topic_list(client, &error)
    if found == NULL:
        raise error_of(error, "list the topics")
    names = []
    for number in range(datahub.dh_topic_list_get_count(found)):
        name = datahub.dh_topic_list_get_name(found, number)
        if name != NULL:
            names.append(name.decode("utf-8", "replace"))
    datahub.dh_topic_list_destroy(found)
    return names


cdef object error_of(DHError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return message_error(5, "the library does not say why", doing, "datahub")
    cdef const char *message = datahub.dh_error_to_string(error)
    text = message.decode("utf-8", "replace") if message != NULL else "unknown error"
    exception = message_error(datahub.dh_error_get_code(error), text, doing, "datahub")
    datahub.dh_error_destroy(error)
    return exception


@cython.no_gc_clear
cdef class Subscription:
    """Messages that come. The file descriptor is readable when there are some."""

    cdef message_queue *queue
    cdef DHSubscriber *subscriber
    cdef int pid

    def __cinit__(self, topics, bytes source not None, bint history, unsigned most):
        cdef DHError *error = NULL
        cdef const char **names
        self.pid = getpid()
        self.queue = message_queue_new(most)
        names = <const char **>calloc(len(topics) + 1, sizeof(char *))
        if self.queue == NULL or names == NULL:
            raise MemoryError
        for number, name in enumerate(topics):
            names[number] = name
        with nogil:
            self.subscriber = datahub_subscribe(client, names, history, self.queue, &error)
            free(names)
        if self.subscriber == NULL:
            raise error_of(error, "subscribe to " + ", ".join(name.decode() for name in topics))

    @property
    def fd(self):
        return -1 if self.queue == NULL else self.queue.fd

    @property
    def dropped(self):
        return 0 if self.queue == NULL else self.queue.dropped

    def take(self):
        """Return the messages that have come: topic, JSON, when they came, None, and whether it was there before.

        Raises MessagesDown when there are none, and the connection is gone.
        """
        cdef message_item *item
        messages = []
        if self.queue == NULL:
            return messages
        item = message_take(self.queue)
        while item != NULL:
            topic = item.topic.decode("utf-8", "replace")
            messages.append((topic, item.data[:item.size], item.time, None, bool(item.historical)))
            item = message_next(item)
        if not messages and opened_by and datahub.dh_client_get_connection_state(client) != CONNECTED:
            raise MessagesDown("cannot receive messages: the connection to the Data Hub is gone", domain="datahub")
        return messages

    def close(self):
        cdef message_queue *queue = self.queue
        cdef DHSubscriber *subscriber = self.subscriber
        self.queue = NULL
        self.subscriber = NULL
        if queue == NULL or self.pid != getpid():
            return
        if subscriber != NULL and opened_by == self.pid:
            with nogil:
                datahub.dh_subscriber_destroy(subscriber)
        message_close(queue)

    def __dealloc__(self):
        self.close()


@cython.no_gc_clear
cdef class Topic:
    """A topic that is written. *definition*: JSON, by which it is made if it is not there. *anew*: made in any case."""

    cdef DHWriter *writer
    cdef datahub_readers *readers
    cdef bytes name
    cdef set registered
    cdef bint own
    cdef int pid

    def __cinit__(self, bytes name not None, bytes definition not None, bint anew):
        cdef DHError *error = NULL
        cdef DHTopic *topic = NULL
        cdef const char *text = definition
        cdef const char *wanted = name
        self.pid = getpid()
        self.name = name
        self.registered = set()
        if anew:
            with nogil:
                datahub.dh_client_delete_topic(client, wanted, &error)
            self.unless_absent(error, "make the topic")
            error = NULL
        else:
            with nogil:
                topic = datahub.dh_client_get_topic(client, wanted, &error)
            if topic == NULL:
                self.unless_absent(error, "use the topic")
                error = NULL
        if topic == NULL:
            with nogil:
                topic = datahub.dh_client_create_topic(client, text, &error)
            if topic == NULL:
                raise error_of(error, f"make the topic {name.decode()}")
            self.own = True
        self.name = datahub.dh_topic_get_name(topic) or name
        datahub.dh_topic_destroy(topic)
        wanted = self.name
        self.readers = <datahub_readers *>calloc(1, sizeof(datahub_readers))
        if self.readers == NULL:
            raise MemoryError
        with nogil:
            self.writer = datahub_open_writer(client, wanted, self.readers, &error)
        if self.writer == NULL:
            raise error_of(error, f"write to the topic {name.decode()}")

    cdef int unless_absent(self, DHError *error, str doing) except -1:
        """Raise *error*, unless it says that there is no such topic."""
        if error == NULL:
            return 0
        if datahub.dh_error_get_code(error) != INVALID_TOPIC:
            raise error_of(error, f"{doing} {self.name.decode()}")
        datahub.dh_error_destroy(error)
        return 0

    @property
    def is_read(self):
        """Whether somebody subscribes to it."""
        return self.writer != NULL and datahub_is_read(self.readers)

    def write(self, bytes keys, bytes data):
        """Send *data* for the instance *keys*; None for none. Without data, only announce the instance."""
        cdef DHError *error = NULL
        cdef const char *instance = NULL
        cdef const char *json = NULL
        cdef bint done = True
        if self.pid != getpid():
            raise UseAfterFork("the topic was made before a fork", hint="make it in the process that writes it")
        if keys is not None:
            instance = keys
        if keys not in self.registered:
            with nogil:
                done = datahub_write(self.writer, instance, NULL, True, &error)
            if done:
                self.registered.add(keys)
        if done and data is not None:
            json = data
            with nogil:
                done = datahub_write(self.writer, instance, json, False, &error)
        if not done:
            raise error_of(error, f"write to the topic {self.name.decode()}")

    def close(self, bint delete):
        """End writing. *delete*: the topic, too, if it was made here."""
        cdef DHWriter *writer = self.writer
        cdef DHError *error = NULL
        cdef const char *name = self.name
        self.writer = NULL
        if writer == NULL or self.pid != getpid() or opened_by != self.pid:
            return
        with nogil:
            datahub.dh_writer_destroy(writer)
        if delete and self.own:
            with nogil:
                datahub.dh_client_delete_topic(client, name, &error)
            if error != NULL:
                datahub.dh_error_destroy(error)

    def __dealloc__(self):
        if self.name is not None:
            self.close(True)
