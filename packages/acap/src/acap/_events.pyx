# cython: language_level=3, binding=False
"""The camera's events: sets of keys and values from tuples, and queues for what comes.

A pair is (key, name space, type, value, marks, nice name, mark of its own). The marks are letters: s for source, d for
data. A value that is None matches any, or comes later.
"""

cimport cython

from .axevent cimport *

from ._context import serve
from .errors import EventFailed, LibraryMissing, NotSupported, UseAfterFork, event_error

cdef extern from "unistd.h" nogil:
    int getpid()

# AXEventValueType
cdef int INT = 0, BOOL = 1, DOUBLE = 2, STRING = 3
cdef AXEventHandler *handler = NULL
cdef int opened_by = 0


def open_library():
    """Open the camera's library, and serve its callbacks. Raises LibraryMissing, NotSupported, UseAfterFork."""
    global handler, opened_by
    cdef const char *message
    cdef const char *since = b""
    if opened_by == getpid():
        return
    if opened_by:
        raise UseAfterFork("the camera's events were used before a fork", hint="use them in one process only")
    message = axevent_open(b"libaxevent.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the library for events libaxevent.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
            hint="run the app in a camera or a virtual one, or set ACAP_EVENTS=stderr",
        )
    message = axevent_lacks(&since)
    if message != NULL:
        raise NotSupported(
            f"the camera's library for events has no {message.decode()}", hint=f"AXIS OS {since.decode()} has it"
        )
    serve("events")
    with nogil:
        handler = axevent.ax_event_handler_new()
    if handler == NULL:
        raise EventFailed("cannot use the camera's events: the library does not say why", domain="axevent")
    opened_by = getpid()


cdef object error_of(GError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return EventFailed(f"cannot {doing}: the library does not say why", domain="axevent")
    cdef int code = error.code
    text = error.message.decode("utf-8", "replace") if error.message != NULL else "unknown error"
    axevent.g_error_free(error)
    return event_error(code, text, doing)


cdef const char *text_of(object text) except? NULL:
    return NULL if text is None else <const char *><bytes>text


cdef AXEventKeyValueSet *make_set(object pairs, str doing) except NULL:
    """Return a new set of keys and values."""
    cdef GError *error = NULL
    cdef AXEventKeyValueSet *keys = axevent.ax_event_key_value_set_new()
    cdef int number
    cdef double real
    cdef unsigned type
    cdef const void *at
    cdef const char *name
    cdef const char *space
    cdef bint done
    if keys == NULL:
        raise EventFailed(f"cannot {doing}: no memory", domain="axevent")
    try:
        for key, name_space, type, value, marks, nice_name, tag in pairs:
            name, space, at = key, text_of(name_space), NULL
            if value is not None:
                if type == DOUBLE:
                    real = value
                    at = &real
                elif type == STRING:
                    at = <const char *><bytes>value
                else:
                    number = value
                    at = &number
            done = axevent.ax_event_key_value_set_add_key_value(keys, name, space, at, type, &error)
            if done and "s" in marks:
                done = axevent.ax_event_key_value_set_mark_as_source(keys, name, space, &error)
            if done and "d" in marks:
                done = axevent.ax_event_key_value_set_mark_as_data(keys, name, space, &error)
            if done and tag is not None:
                done = axevent.ax_event_key_value_set_mark_as_user_defined(keys, name, space, tag, &error)
            if done and nice_name is not None:
                # The nice name of a topic is that of its value.
                if key.startswith(b"topic"):
                    done = axevent.ax_event_key_value_set_add_nice_names(keys, name, space, NULL, nice_name, &error)
                else:
                    done = axevent.ax_event_key_value_set_add_nice_names(keys, name, space, nice_name, NULL, &error)
            if not done:
                raise error_of(error, doing)
    except:
        axevent.ax_event_key_value_set_free(keys)
        raise
    return keys


@cython.no_gc_clear
cdef class Declaration:
    """An event of the app. It can be sent once it is declared, which the file descriptor tells."""

    cdef acap_queue *queue
    cdef unsigned number
    cdef int pid
    cdef bint declared

    def __cinit__(self, pairs, bint stateless):
        cdef GError *error = NULL
        cdef AXEventKeyValueSet *keys
        cdef bint done
        open_library()
        self.pid = getpid()
        keys = make_set(pairs, "declare the event")
        self.queue = queue_new()
        if self.queue == NULL:
            axevent.ax_event_key_value_set_free(keys)
            raise EventFailed("cannot declare the event: no memory, or no file descriptor")
        with nogil:
            done = event_declare(handler, keys, stateless, &self.number, self.queue, &error)
            axevent.ax_event_key_value_set_free(keys)
        if not done:
            self.number = 0
            event_end_queue(self.queue)
            self.queue = NULL
            raise error_of(error, "declare the event")

    @property
    def fd(self):
        return -1 if self.queue == NULL else self.queue.fd

    def is_declared(self):
        """Return whether the event may be sent."""
        cdef queue_item *item
        if self.queue != NULL:
            item = queue_take(self.queue)
            while item != NULL:
                self.declared = True
                item = queue_next(item)
        return self.declared

    def send(self, pairs):
        """Send the event. Raises EventError."""
        cdef GError *error = NULL
        cdef AXEventKeyValueSet *keys
        cdef AXEvent *event
        cdef bint done
        if self.pid != getpid():
            raise UseAfterFork("the event was declared before a fork", hint="declare it in the process that sends it")
        keys = make_set(pairs, "send the event")
        with nogil:
            event = axevent.ax_event_new2(keys, NULL)
            axevent.ax_event_key_value_set_free(keys)
            done = axevent.ax_event_handler_send_event(handler, self.number, event, &error)
            axevent.ax_event_free(event)
        if not done:
            raise error_of(error, "send the event")

    def close(self):
        """Take the declaration back."""
        cdef acap_queue *queue = self.queue
        self.queue = NULL
        self.declared = False
        if queue == NULL or self.pid != getpid():
            return
        with nogil:
            axevent.ax_event_handler_undeclare(handler, self.number, NULL)
            event_end_queue(queue)

    def __dealloc__(self):
        self.close()


cdef object value_of(const AXEventKeyValueSet *keys, const char *name, const char *space):
    """Return the value of a key, or None if there is none."""
    cdef unsigned type
    cdef int number
    cdef double real
    cdef char *text = NULL
    if not axevent.ax_event_key_value_set_get_value_type(keys, name, space, &type, NULL):
        return None
    if type == INT and axevent.ax_event_key_value_set_get_integer(keys, name, space, &number, NULL):
        return number
    if type == BOOL and axevent.ax_event_key_value_set_get_boolean(keys, name, space, &number, NULL):
        return number != 0
    if type == DOUBLE and axevent.ax_event_key_value_set_get_double(keys, name, space, &real, NULL):
        return real
    if type == STRING and axevent.ax_event_key_value_set_get_string(keys, name, space, &text, NULL) and text != NULL:
        value = text.decode("utf-8", "replace")
        axevent.g_free(text)
        return value
    return None


cdef list topic_of(const AXEventKeyValueSet *keys):
    """Return the parts of an event's topic, each with its name space."""
    parts = []
    for number in range(16):
        key = b"topic%d" % number
        for name_space in (b"tns1", b"tnsaxis"):
            value = value_of(keys, key, name_space)
            if value is not None:
                parts.append((name_space.decode(), value))
                break
        else:
            break
    return parts


@cython.no_gc_clear
cdef class Subscription:
    """Events that come. The file descriptor is readable when there are some."""

    cdef acap_queue *queue
    cdef unsigned number
    cdef int pid

    def __cinit__(self, pairs):
        cdef GError *error = NULL
        cdef AXEventKeyValueSet *keys
        cdef bint done
        open_library()
        self.pid = getpid()
        keys = make_set(pairs, "subscribe to events")
        self.queue = queue_new()
        if self.queue == NULL:
            axevent.ax_event_key_value_set_free(keys)
            raise EventFailed("cannot subscribe to events: no memory, or no file descriptor")
        with nogil:
            done = event_subscribe(handler, keys, &self.number, self.queue, &error)
            axevent.ax_event_key_value_set_free(keys)
        if not done:
            event_end_queue(self.queue)
            self.queue = NULL
            raise error_of(error, "subscribe to events")

    @property
    def fd(self):
        return -1 if self.queue == NULL else self.queue.fd

    def take(self, keys):
        """Return the events that have come: time in microseconds, topic, and the values of *keys* that they have."""
        cdef queue_item *item
        cdef AXEvent *event
        cdef const AXEventKeyValueSet *found
        if self.queue == NULL:
            return []
        events = []
        item = queue_take(self.queue)
        while item != NULL:
            event = <AXEvent *>item.event
            item = queue_next(item)
            found = axevent.ax_event_get_key_value_set(event)
            data = {}
            for key, name_space in keys:
                value = value_of(found, key, text_of(name_space))
                if value is not None:
                    data[key.decode()] = value
            events.append((event_time(event), topic_of(found), data))
            axevent.ax_event_free(event)
        return events

    def close(self):
        cdef acap_queue *queue = self.queue
        self.queue = NULL
        if queue == NULL or self.pid != getpid():
            return
        with nogil:
            axevent.ax_event_handler_unsubscribe(handler, self.number, NULL)
            event_end_queue(queue)

    def __dealloc__(self):
        self.close()
