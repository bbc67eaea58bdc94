# cython: language_level=3, binding=False
"""Connections, models, tensors and jobs over the camera's inference library: one class for each pointer, one check for
every error, one lock for all, since the library is not thread safe."""

import os
import threading

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE
from cpython.exc cimport PyErr_CheckSignals
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .larod cimport *

from .errors import AfterFork, InferenceFailed, LibraryMissing, ModelError, NotSupported, model_error

cdef extern from "poll.h" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout)
    short POLLIN

cdef extern from "unistd.h" nogil:
    int getpid()

cdef extern from "sys/mman.h" nogil:
    void *mmap(void *start, size_t size, int protection, int flags, int fd, long offset)
    int munmap(void *start, size_t size)
    int PROT_READ, PROT_WRITE, MAP_SHARED
    void *MAP_FAILED

# Of LAROD_FD_PROP_…
READWRITE, MAP, DMABUF = 1, 2, 4
# How many tensors of a connection the service tracks.
MOST_TRACKED = 32

# larod's data types, as characters of `struct`, and their bytes.
FORMATS = {
    2: ("?", 1), 3: ("B", 1), 4: ("b", 1), 5: ("H", 2), 6: ("h", 2), 7: ("I", 4), 8: ("i", 4), 9: ("Q", 8), 10: ("q", 8),
    11: ("e", 2), 12: ("f", 4), 13: ("d", 8),
}
LAYOUTS = {2: "nhwc", 3: "nchw", 4: "nv12"}

# The header of the library says that it is not thread safe: one lock for all connections of this process.
LOCK = threading.RLock()
cdef bint opened = False


def open_library():
    """Open the camera's inference library, once in a process. Raises LibraryMissing, NotSupported."""
    global opened
    if opened:
        return
    cdef const char *message = larod_open(b"liblarod.so.1")
    if message != NULL:
        raise LibraryMissing(
            f"the inference library liblarod.so.1 cannot be opened ({message.decode('utf-8', 'replace')})",
            hint="run the app in a camera, or in a virtual one",
        )
    message = larod_missing()
    if message != NULL:
        raise NotSupported(
            f"the camera's inference library has no {message.decode()}", hint="AXIS OS 10.9 and newer have it"
        )
    opened = True


cdef object error_of(larodError *error, str doing):
    """Return the exception for *error*, and free it."""
    if error == NULL:
        return InferenceFailed(f"cannot {doing}: the library does not say why", domain="larod")
    text = error.msg.decode("utf-8", "replace") if error.msg != NULL else "unknown error"
    cdef int code = error.code
    larod.larodClearError(&error)
    return model_error(code, text, doing)


@cython.no_gc_clear
cdef class Connection:
    """A session with the camera's inference service."""

    cdef larodConnection *conn
    cdef int pid
    cdef readonly int tracked

    def __cinit__(self):
        open_library()
        self.pid = getpid()
        cdef larodError *error = NULL
        cdef bint good
        with LOCK:
            with nogil:
                good = larod.larodConnect(&self.conn, &error)
        if not good:
            self.conn = NULL
            raise error_of(error, "connect to the camera's inference service")

    cdef int check(self) except -1:
        if self.pid != getpid():
            raise AfterFork("this model was loaded before a fork", hint="load it in the new process")
        if self.conn == NULL:
            raise InferenceFailed("the connection is closed", domain="larod")
        return 0

    def devices(self):
        """Return the names of the camera's devices, of neural networks and of conversions."""
        self.check()
        cdef larodError *error = NULL
        cdef size_t count = 0
        cdef const larodDevice **found
        with LOCK:
            found = larod.larodListDevices(self.conn, &count, &error)
            if found == NULL:
                raise error_of(error, "list the camera's devices")
            names = [larod.larodGetDeviceName(found[n], NULL).decode() for n in range(count)]
            free(found)
        return names

    def load(self, int fd, str device, str name, dict settings):
        """Load the model file *fd*, or for -1 the conversion of pictures that *settings* describe."""
        self.check()
        cdef larodError *error = NULL
        cdef size_t count = 0, n
        cdef const larodDevice **found
        cdef const larodDevice *chosen = NULL
        cdef larodMap *map = NULL
        cdef larodModel *model
        cdef bytes label = name.encode(), wanted = device.encode()
        cdef const char *c_name = label
        with LOCK:
            found = larod.larodListDevices(self.conn, &count, &error)
            if found == NULL:
                raise error_of(error, "list the camera's devices")
            for n in range(count):
                if larod.larodGetDeviceName(found[n], NULL) == wanted and chosen == NULL:
                    chosen = found[n]
            free(found)
            if settings:
                map = make_map(settings)
            with nogil:
                model = larod.larodLoadModel(self.conn, fd, chosen, 1, c_name, map, &error)
            larod.larodDestroyMap(&map)
        if model == NULL:
            raise error_of(error, f"load {name} on {device}")
        cdef Program program = Program.__new__(Program)
        program.connection = self
        program.model = model
        return program

    def close(self):
        """End the session. Models and tensors of it must be gone."""
        cdef larodConnection *conn = self.conn
        self.conn = NULL
        if conn == NULL or self.pid != getpid():
            return
        with LOCK:
            with nogil:
                larod.larodDisconnect(&conn, NULL)

    def __dealloc__(self):
        self.close()


cdef larodMap *make_map(dict settings) except NULL:
    cdef larodError *error = NULL
    cdef larodMap *map = larod.larodCreateMap(&error)
    cdef bytes text
    cdef bint good
    if map == NULL:
        raise error_of(error, "make a map")
    for key, value in settings.items():
        name = key.encode()
        if isinstance(value, str):
            text = value.encode()
            good = larod.larodMapSetStr(map, name, text, &error)
        elif isinstance(value, int):
            good = larod.larodMapSetInt(map, name, value, &error)
        elif len(value) == 2:
            good = larod.larodMapSetIntArr2(map, name, value[0], value[1], &error)
        else:
            good = larod.larodMapSetIntArr4(map, name, value[0], value[1], value[2], value[3], &error)
        if not good:
            larod.larodDestroyMap(&map)
            raise error_of(error, f"set {key}")
    return map


@cython.no_gc_clear
cdef class Program:
    """A loaded model, or a conversion of pictures."""

    cdef Connection connection
    cdef larodModel *model

    def allocate(self, bint outputs):
        """Return tensors with buffers of the device's choice, which the service tracks."""
        self.connection.check()
        cdef larodError *error = NULL
        cdef size_t count = 0
        cdef larodTensor **tensors
        with LOCK:
            with nogil:
                if outputs:
                    tensors = larod.larodAllocModelOutputs(self.connection.conn, self.model, 0, &count, NULL, &error)
                else:
                    tensors = larod.larodAllocModelInputs(self.connection.conn, self.model, 0, &count, NULL, &error)
        if tensors == NULL:
            raise error_of(error, "allocate tensors")
        self.connection.tracked += count
        made = wrap_tensors(self, tensors, count)
        (<Tensors>made).tracked = count
        return made

    def create(self, bint outputs, int fd, int64_t offset, size_t size, uint32_t properties):
        """Return the model's one tensor of this kind over the buffer *fd*, tracked while that is possible."""
        self.connection.check()
        cdef larodError *error = NULL
        cdef size_t count = 0
        cdef larodTensor **tensors
        cdef Tensors made
        with LOCK:
            if outputs:
                tensors = larod.larodCreateModelOutputs(self.model, &count, &error)
            else:
                tensors = larod.larodCreateModelInputs(self.model, &count, &error)
            if tensors == NULL:
                raise error_of(error, "make tensors")
            made = wrap_tensors(self, tensors, count)
            # The library may close it, or may not.
            made.fd = os.dup(fd)
            if not (
                larod.larodSetTensorFd(tensors[0], made.fd, &error)
                and (size == 0 or larod.larodSetTensorFdSize(tensors[0], size, &error))
                and larod.larodSetTensorFdOffset(tensors[0], offset, &error)
                and larod.larodSetTensorFdProps(tensors[0], properties, &error)
            ):
                raise error_of(error, "use a buffer as a tensor")
            if self.connection.tracked < MOST_TRACKED:
                if not larod.larodTrackTensor(self.connection.conn, tensors[0], &error):
                    raise error_of(error, "track a tensor")
                made.tracked = 1
                self.connection.tracked += 1
        return made

    def __dealloc__(self):
        if self.model == NULL or self.connection.pid != getpid():
            return
        with LOCK:
            with nogil:
                if self.connection.conn != NULL:
                    larod.larodDeleteModel(self.connection.conn, self.model, NULL)
                larod.larodDestroyModel(&self.model)


cdef Tensors wrap_tensors(Program program, larodTensor **tensors, size_t count):
    cdef Tensors made = Tensors.__new__(Tensors)
    made.program = program
    made.tensors = tensors
    made.count = count
    made.fd = -1
    return made


@cython.no_gc_clear
cdef class Tensors:
    """All inputs or all outputs of a model."""

    cdef Program program
    cdef larodTensor **tensors
    cdef readonly size_t count
    cdef int tracked
    cdef int fd  # a copy of the caller's, or -1

    def describe(self, size_t number):
        """Return (name, shape, pitches, format, itemsize, layout) of a tensor; pitches in bytes, from the whole to the row."""
        cdef larodError *error = NULL
        cdef const larodTensorDims *dims
        cdef const larodTensorPitches *pitches
        with LOCK:
            dims = larod.larodGetTensorDims(self.tensors[number], &error)
            pitches = larod.larodGetTensorPitches(self.tensors[number], &error) if dims != NULL else NULL
            if pitches == NULL:
                raise error_of(error, "describe a tensor")
            name = larod.larodGetTensorName(self.tensors[number], NULL)
            text = name.decode("utf-8", "replace") if name != NULL else ""
            format, itemsize = FORMATS.get(larod.larodGetTensorDataType(self.tensors[number], NULL), ("", 0))
            layout = LAYOUTS.get(larod.larodGetTensorLayout(self.tensors[number], NULL), "")
            shape = tuple([dims.dims[n] for n in range(dims.len)])
            return text, shape, tuple([pitches.pitches[n] for n in range(pitches.len)]), format, itemsize, layout

    def place(self, size_t number):
        """Return (descriptor, offset, size, properties) of a tensor's buffer."""
        cdef larodError *error = NULL
        cdef size_t size = 0
        cdef uint32_t properties = 0
        with LOCK:
            fd = larod.larodGetTensorFd(self.tensors[number], &error)
            if fd < 0 or not larod.larodGetTensorFdSize(self.tensors[number], &size, &error):
                raise error_of(error, "find a tensor's buffer")
            if size == 0 and not larod.larodGetTensorByteSize(self.tensors[number], &size, &error):
                raise error_of(error, "find a tensor's size")
            larod.larodGetTensorFdProps(self.tensors[number], &properties, NULL)
            return fd, larod.larodGetTensorFdOffset(self.tensors[number], NULL), size, properties

    def __dealloc__(self):
        cdef larodConnection *conn
        if self.tensors != NULL and self.program.connection.pid == getpid():
            self.program.connection.tracked -= self.tracked
            conn = self.program.connection.conn
            with LOCK:
                with nogil:
                    larod.larodDestroyTensors(conn, &self.tensors, self.count, NULL)
        if self.fd >= 0:
            try:
                os.close(self.fd)
            except OSError:
                pass  # the library has closed it


@cython.no_gc_clear
cdef class Job:
    """A model with the tensors that it reads and writes."""

    cdef Program program
    cdef Tensors inputs
    cdef Tensors outputs
    cdef larodJobRequest *job

    def __cinit__(self, Program program, Tensors inputs, Tensors outputs, dict settings):
        self.program = program
        self.inputs = inputs
        self.outputs = outputs
        program.connection.check()
        cdef larodError *error = NULL
        cdef larodMap *map = NULL
        with LOCK:
            if settings:
                map = make_map(settings)
            self.job = larod.larodCreateJobRequest(
                program.model, inputs.tensors, inputs.count, outputs.tensors, outputs.count, map, &error
            )
            larod.larodDestroyMap(&map)
        if self.job == NULL:
            raise error_of(error, "make a job of tensors")

    def change(self, Tensors inputs, dict settings):
        """Use other inputs, and other settings unless there are none."""
        cdef larodError *error = NULL
        cdef larodMap *map = NULL
        cdef bint good = True
        with LOCK:
            if inputs is not self.inputs:
                good = larod.larodSetJobRequestInputs(self.job, inputs.tensors, inputs.count, &error)
                self.inputs = inputs
            if good and settings:
                map = make_map(settings)
                good = larod.larodSetJobRequestParams(self.job, map, &error)
                larod.larodDestroyMap(&map)
        if not good:
            raise error_of(error, "change a job")

    def run(self, str doing):
        """Run the job and wait for its end. Raises ModelError."""
        self.program.connection.check()
        cdef larodError *error = NULL
        cdef bint good
        with LOCK:
            with nogil:
                good = larod.larodRunJob(self.program.connection.conn, self.job, &error)
        if not good:
            raise error_of(error, doing)

    def start(self, str doing):
        """Start the job and return a Wait. Raises ModelError."""
        self.program.connection.check()
        cdef larodError *error = NULL
        cdef bint good
        cdef Wait wait = Wait.__new__(Wait)
        wait.wait = larod_new_wait()
        if wait.wait == NULL:
            raise InferenceFailed(f"cannot {doing}: no memory, or no file descriptor")
        wait.job = self
        wait.doing = doing
        with LOCK:
            with nogil:
                good = larod_start(self.program.connection.conn, self.job, wait.wait, &error)
        if not good:
            raise error_of(error, doing)
        return wait

    def __dealloc__(self):
        if self.job != NULL and self.program.connection.pid == getpid():
            with LOCK:
                with nogil:
                    larod.larodDestroyJobRequest(&self.job)


@cython.no_gc_clear
cdef class Wait:
    """The end of a job that was started. It must be kept until then."""

    cdef larod_wait *wait
    cdef Job job
    cdef str doing

    def fileno(self):
        """The descriptor that is readable once the job is done."""
        return self.wait.fd

    @property
    def done(self):
        return larod_is_done(self.wait) != 0

    def check(self):
        """Raise ModelError if the job has failed."""
        if self.wait.code:
            raise model_error(self.wait.code, self.wait.message.decode("utf-8", "replace"), self.doing)

    def poll(self, int milliseconds):
        """Wait until the job is done, or so long. Returns whether it is done. A signal's handler runs, and may end it."""
        cdef pollfd ready
        cdef int count, code
        ready.fd = self.wait.fd
        ready.events = POLLIN
        with nogil:
            count = poll(&ready, 1, milliseconds)
            code = errno
        if count < 0 and code != EINTR:
            raise InferenceFailed(f"cannot wait for a job: error {code}")
        PyErr_CheckSignals()
        return self.done

    def __dealloc__(self):
        if self.wait != NULL:
            larod_leave_wait(self.wait)


@cython.no_gc_clear
cdef class Memory:
    """A tensor's buffer, mapped. It stays until the last array of it is gone."""

    cdef void *mapping
    cdef size_t mapping_size
    cdef uint8_t *data
    cdef size_t size
    cdef int fd
    cdef readonly bint is_dmabuf

    def __cinit__(self, int fd, int64_t offset, size_t size, uint32_t properties):
        """A descriptor of -1 stands for memory of the program's own."""
        if fd < 0:
            self.fd = -1
            self.size = size
            self.data = <uint8_t *>malloc(size + 1)
            if self.data == NULL:
                raise MemoryError
            return
        cdef int64_t start = offset // 65536 * 65536  # a multiple of every page size
        self.fd = os.dup(fd)
        self.is_dmabuf = properties & DMABUF != 0
        self.mapping_size = size + <size_t>(offset - start)
        self.size = size
        cdef void *mapping = mmap(NULL, self.mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, <long>start)
        if mapping == MAP_FAILED:
            raise InferenceFailed(f"a tensor's buffer of {size} bytes cannot be mapped into memory: error {errno}")
        self.mapping = mapping
        self.data = <uint8_t *>mapping + (offset - start)

    def copy(self):
        """Return the same values in memory of the program's own."""
        cdef Memory made = Memory(-1, 0, self.size, 0)
        memcpy(made.data, self.data, self.size)
        return made

    def begin(self, bint writes):
        """The processor begins to read or write."""
        if self.is_dmabuf:
            larod_sync(self.fd, writes, 0)

    def end(self, bint writes):
        if self.is_dmabuf:
            larod_sync(self.fd, writes, 1)

    def flip_signs(self):
        """Turn bytes of 0 to 255 into -128 to 127."""
        with nogil:
            larod_flip_signs(self.data, self.size)

    def __dealloc__(self):
        if self.mapping != NULL:
            munmap(self.mapping, self.mapping_size)
        else:
            free(self.data)
        if self.fd >= 0:
            os.close(self.fd)


@cython.no_gc_clear
cdef class Lease:
    """Keeps *item* out of *pool* until the lease is gone."""

    cdef list pool
    cdef object item

    def __cinit__(self, list pool, object item):
        self.pool = pool
        self.item = item

    def __dealloc__(self):
        self.pool.append(self.item)


@cython.no_gc_clear
cdef class Array:
    """Values of a tensor, for the buffer protocol: numpy.asarray(array) has its shape, strides and type."""

    cdef Memory memory
    cdef object keeps
    cdef bytes format
    cdef Py_ssize_t itemsize
    cdef int ndim
    cdef bint writable
    cdef Py_ssize_t c_shape[12]
    cdef Py_ssize_t c_strides[12]

    def __cinit__(self, Memory memory, object keeps, tuple shape, tuple strides, str format, Py_ssize_t itemsize, bint writable):
        cdef size_t end = itemsize
        self.memory = memory
        self.keeps = keeps
        self.format = format.encode()
        self.itemsize = itemsize
        self.ndim = len(shape)
        self.writable = writable
        for n in range(self.ndim):
            self.c_shape[n] = shape[n]
            self.c_strides[n] = strides[n]
            end += (shape[n] - 1) * strides[n]
        if end > memory.size:
            raise InferenceFailed(f"a tensor has {memory.size} bytes, its shape and pitches need {end}", domain="larod")

    @property
    def shape(self):
        return tuple([self.c_shape[n] for n in range(self.ndim)])

    @property
    def strides(self):
        return tuple([self.c_strides[n] for n in range(self.ndim)])

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef Py_ssize_t step = self.itemsize, length = self.itemsize
        cdef bint contiguous = True
        view.obj = None
        for n in range(self.ndim - 1, -1, -1):
            contiguous = contiguous and (self.c_shape[n] == 1 or self.c_strides[n] == step)
            step *= self.c_shape[n]
            length *= self.c_shape[n]
        if flags & PyBUF_WRITABLE and not self.writable:
            raise BufferError("the result of a model is read-only")
        if not contiguous and flags & PyBUF_STRIDES != PyBUF_STRIDES:
            raise BufferError("the rows of this tensor are not contiguous")
        view.buf = self.memory.data
        view.len = length
        view.itemsize = self.itemsize
        view.readonly = not self.writable
        view.ndim = self.ndim
        view.format = <char *>self.format if flags & PyBUF_FORMAT == PyBUF_FORMAT else NULL
        view.shape = self.c_shape if flags & PyBUF_ND == PyBUF_ND else NULL
        view.strides = self.c_strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL
        view.obj = self
