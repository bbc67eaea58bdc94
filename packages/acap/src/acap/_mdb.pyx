# cython: language_level=3, binding=False
"""The message broker: what other parts of the camera publish."""

cimport cython
from cpython.exc cimport PyErr_CheckSignals
from libc.stdlib cimport calloc, free

from .mdb cimport *

from .errors import LibraryMissing, MessageTimeout, NotSupported, UseAfterFork, message_error

cdef extern from "unistd.h" nogil:
    int getpid()

cdef mdb_connection_t *connection = NULL
cdef int opened_by = 0

# How long the broker may take for an answer.
cdef unsigned ANSWER_SECONDS = 10


def open_library():
    """Open the camera's library, and connect. Raises LibraryMissing, NotSupported, UseAfterFork, MessageError."""
    global connection, opened_by
    cdef const char *message = NULL
    cdef const char *since = b""
    cdef mdb_error_t *error = NULL
    if opened_by == getpid() and mdb_is_connected():
        return
    if opened_by and opened_by != getpid():
        raise UseAfterFork("messages were used before a fork", hint="use them in one process only")
    if not opened_by:
        for name in (b"libmdb.so.0", b"libmdb.so"):
            message = mdb_open(name)
            if message == NULL:
                break
        else:
            raise LibraryMissing(
                f"the library for messages libmdb.so.0 cannot be opened ({message.decode('utf-8', 'replace')})"
            )
        message = mdb_lacks(&since)
        if message != NULL:
            raise NotSupported(
                f"the camera's library for messages has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
            )
    # After a loss, subscriptions of the old connection may still be there: it is not destroyed.
    with nogil:
        connection = mdb_connect(&error)
    if connection == NULL:
        raise error_of(error, "connect to the message broker")
    opened_by = getpid()


def close_library():
    """End the connection, after all subscriptions."""
    global opened_by
    if opened_by == getpid() and mdb_is_connected():
        opened_by = 0
        with nogil:
            mdb.mdb_connection_destroy(&connection)


cdef object error_of(mdb_error_t *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return message_error(0, "the library does not say why", doing, "mdb")
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    exception = message_error(error.code, text, doing, "mdb")
    mdb.mdb_error_destroy(&error)
    return exception


@cython.no_gc_clear
cdef class Subscription:
    """Messages that come. The file descriptor is readable when there are some, or the connection is gone."""

    cdef message_queue *queue
    cdef mdb_subscriber_t **subscribers
    cdef unsigned count
    cdef int pid

    def __cinit__(self, topics, bytes source not None, bint history, unsigned most):
        cdef mdb_error_t *error = NULL
        cdef const char *topic
        cdef const char *from_source = source
        cdef unsigned tries = 0
        cdef bint done = False
        open_library()
        self.pid = getpid()
        self.queue = message_queue_new(most)
        self.subscribers = <mdb_subscriber_t **>calloc(len(topics), sizeof(mdb_subscriber_t *))
        if self.queue == NULL or self.subscribers == NULL:
            raise MemoryError
        for name in topics:
            topic = name
            with nogil:
                self.subscribers[self.count] = mdb_subscribe(connection, topic, from_source, self.queue, &error)
            if self.subscribers[self.count] == NULL:
                raise error_of(error, f"subscribe to {name.decode()}")
            self.count += 1
        while not done and tries < 10 * ANSWER_SECONDS:
            with nogil:
                done = message_wait(self.queue, self.count, 100)
            PyErr_CheckSignals()
            tries += 1
        if not done:
            raise MessageTimeout(f"the message broker did not answer within {ANSWER_SECONDS} s", domain="mdb")
        self.check("subscribe to messages")

    cdef int check(self, str doing) except -1:
        if self.queue != NULL and self.queue.failed:
            text = self.queue.text.decode("utf-8", "replace")
            raise message_error(self.queue.code, text, doing, "mdb")
        return 0

    @property
    def fd(self):
        return -1 if self.queue == NULL else self.queue.fd

    @property
    def dropped(self):
        return 0 if self.queue == NULL else self.queue.dropped

    def take(self):
        """Return the messages that have come: topic, JSON, when they came, the broker's own time, and False.

        Raises MessagesDown when there are none, and the connection is gone.
        """
        cdef message_item *item
        messages = []
        if self.queue == NULL:
            return messages
        item = message_take(self.queue)
        while item != NULL:
            topic = item.topic.decode("utf-8", "replace")
            messages.append((topic, item.data[:item.size], item.time, None if item.stamp < 0 else item.stamp, False))
            item = message_next(item)
        if not messages:
            self.check("receive messages")
        return messages

    def close(self):
        cdef message_queue *queue = self.queue
        cdef unsigned number
        self.queue = NULL
        if queue == NULL:
            return
        if self.pid == getpid() and opened_by == self.pid:
            with nogil:
                for number in range(self.count):
                    mdb.mdb_subscriber_destroy(&self.subscribers[number])
        free(self.subscribers)
        self.subscribers = NULL
        if self.pid == getpid():
            message_close(queue)

    def __dealloc__(self):
        self.close()
