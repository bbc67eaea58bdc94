# What acap uses of the camera's inference library, as larod.h declares it.

from libc.stdint cimport int64_t, uint8_t, uint32_t

cdef extern from "larod.h" nogil:
    ctypedef struct larodConnection
    ctypedef struct larodDevice
    ctypedef struct larodModel
    ctypedef struct larodTensor
    ctypedef struct larodJobRequest
    ctypedef struct larodMap

    ctypedef struct larodError:
        int code
        const char *msg

    ctypedef struct larodTensorDims:
        size_t dims[12]
        size_t len

    ctypedef struct larodTensorPitches:
        size_t pitches[12]
        size_t len

    ctypedef struct larod_wait:
        int fd
        int code
        char *message

    const char *larod_open(const char *soname)
    const char *larod_missing()
    larod_wait *larod_new_wait()
    void larod_leave_wait(larod_wait *wait)
    int larod_is_done(const larod_wait *wait)
    bint larod_start(larodConnection *conn, const larodJobRequest *job, larod_wait *wait, larodError **error)
    void larod_sync(int fd, int writes, int ends)
    void larod_flip_signs(uint8_t *data, size_t size)

    struct larod_functions "":
        void (*larodClearError)(larodError **) noexcept nogil
        bint (*larodConnect)(larodConnection **, larodError **) noexcept nogil
        bint (*larodDisconnect)(larodConnection **, larodError **) noexcept nogil
        const larodDevice **(*larodListDevices)(larodConnection *, size_t *, larodError **) noexcept nogil
        const char *(*larodGetDeviceName)(const larodDevice *, larodError **) noexcept nogil
        larodModel *(*larodLoadModel)(larodConnection *, int, const larodDevice *, unsigned, const char *, const larodMap *, larodError **) noexcept nogil
        void (*larodDestroyModel)(larodModel **) noexcept nogil
        bint (*larodDeleteModel)(larodConnection *, larodModel *, larodError **) noexcept nogil
        larodTensor **(*larodAllocModelInputs)(larodConnection *, const larodModel *, uint32_t, size_t *, larodMap *, larodError **) noexcept nogil
        larodTensor **(*larodAllocModelOutputs)(larodConnection *, const larodModel *, uint32_t, size_t *, larodMap *, larodError **) noexcept nogil
        larodTensor **(*larodCreateModelInputs)(const larodModel *, size_t *, larodError **) noexcept nogil
        larodTensor **(*larodCreateModelOutputs)(const larodModel *, size_t *, larodError **) noexcept nogil
        bint (*larodDestroyTensors)(larodConnection *, larodTensor ***, size_t, larodError **) noexcept nogil
        bint (*larodTrackTensor)(larodConnection *, larodTensor *, larodError **) noexcept nogil
        const char *(*larodGetTensorName)(const larodTensor *, larodError **) noexcept nogil
        bint (*larodGetTensorByteSize)(const larodTensor *, size_t *, larodError **) noexcept nogil
        const larodTensorDims *(*larodGetTensorDims)(const larodTensor *, larodError **) noexcept nogil
        const larodTensorPitches *(*larodGetTensorPitches)(const larodTensor *, larodError **) noexcept nogil
        unsigned (*larodGetTensorDataType)(const larodTensor *, larodError **) noexcept nogil
        unsigned (*larodGetTensorLayout)(const larodTensor *, larodError **) noexcept nogil
        bint (*larodSetTensorFd)(larodTensor *, int, larodError **) noexcept nogil
        int (*larodGetTensorFd)(const larodTensor *, larodError **) noexcept nogil
        bint (*larodSetTensorFdSize)(larodTensor *, size_t, larodError **) noexcept nogil
        bint (*larodGetTensorFdSize)(const larodTensor *, size_t *, larodError **) noexcept nogil
        bint (*larodSetTensorFdOffset)(larodTensor *, int64_t, larodError **) noexcept nogil
        int64_t (*larodGetTensorFdOffset)(const larodTensor *, larodError **) noexcept nogil
        bint (*larodSetTensorFdProps)(larodTensor *, uint32_t, larodError **) noexcept nogil
        bint (*larodGetTensorFdProps)(const larodTensor *, uint32_t *, larodError **) noexcept nogil
        larodMap *(*larodCreateMap)(larodError **) noexcept nogil
        void (*larodDestroyMap)(larodMap **) noexcept nogil
        bint (*larodMapSetStr)(larodMap *, const char *, const char *, larodError **) noexcept nogil
        bint (*larodMapSetInt)(larodMap *, const char *, int64_t, larodError **) noexcept nogil
        bint (*larodMapSetIntArr2)(larodMap *, const char *, int64_t, int64_t, larodError **) noexcept nogil
        bint (*larodMapSetIntArr4)(larodMap *, const char *, int64_t, int64_t, int64_t, int64_t, larodError **) noexcept nogil
        larodJobRequest *(*larodCreateJobRequest)(const larodModel *, larodTensor **, size_t, larodTensor **, size_t, larodMap *, larodError **) noexcept nogil
        void (*larodDestroyJobRequest)(larodJobRequest **) noexcept nogil
        bint (*larodSetJobRequestInputs)(larodJobRequest *, larodTensor **, size_t, larodError **) noexcept nogil
        bint (*larodSetJobRequestParams)(larodJobRequest *, const larodMap *, larodError **) noexcept nogil
        bint (*larodRunJob)(larodConnection *, const larodJobRequest *, larodError **) noexcept nogil
        bint (*larodRunJobAsync)(larodConnection *, const larodJobRequest *, void (*)(void *, larodError *) noexcept nogil, void *, larodError **) noexcept nogil

    larod_functions larod
