/*
 * Neural networks and conversions of pictures on the camera's accelerators. larod, in the camera
 * since AXIS OS 9.80. Made by incamera from data/larod.toml.
 */
#ifndef INCAMERA_LAROD_H
#define INCAMERA_LAROD_H

#include "incamera-axis-os.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A function that fails returns false, NULL, LAROD_INVALID_FD or LAROD_INVALID_MODEL_ID, and makes *ERROR point to a new
 * error, which larodClearError frees. ERROR may be NULL, and *ERROR must be NULL before the call. The library is not
 * thread safe: use it from one thread, or with a lock.
 */

/* All are opaque. */
typedef struct larodConnection larodConnection;
typedef struct larodDevice larodDevice;
typedef struct larodModel larodModel;
typedef struct larodTensor larodTensor;
typedef struct larodJobRequest larodJobRequest;
typedef struct larodMap larodMap;

#define LAROD_TENSOR_MAX_LEN 12
#define LAROD_INVALID_MODEL_ID UINT64_MAX
#define LAROD_INVALID_FD INT_MIN

/* What can be done with the file descriptor of a tensor. One that the device supports is enough; 0: larod chooses. */
#define LAROD_FD_PROP_READWRITE (1u << 0)
#define LAROD_FD_PROP_MAP (1u << 1)
#define LAROD_FD_PROP_DMABUF (1u << 2)
#define LAROD_FD_TYPE_DMA (LAROD_FD_PROP_DMABUF | LAROD_FD_PROP_MAP)
#define LAROD_FD_TYPE_DISK (LAROD_FD_PROP_READWRITE | LAROD_FD_PROP_MAP)

typedef enum _larodAccess {
    LAROD_ACCESS_INVALID = 0,
    LAROD_ACCESS_PRIVATE = 1,
    /* Deprecated. */
    LAROD_ACCESS_PUBLIC = 2,
} larodAccess;

/* Codes of errors; a positive code is one of errno. */
typedef enum _larodErrorCode {
    LAROD_ERROR_NONE = 0,
    LAROD_ERROR_JOB = -1,
    LAROD_ERROR_LOAD_MODEL = -2,
    LAROD_ERROR_FD = -3,
    LAROD_ERROR_MODEL_NOT_FOUND = -4,
    LAROD_ERROR_PERMISSION = -5,
    LAROD_ERROR_CONNECTION = -6,
    LAROD_ERROR_CREATE_SESSION = -7,
    LAROD_ERROR_KILL_SESSION = -8,
    LAROD_ERROR_INVALID_CHIP_ID = -9,
    LAROD_ERROR_INVALID_ACCESS = -10,
    LAROD_ERROR_DELETE_MODEL = -11,
    LAROD_ERROR_TENSOR_MISMATCH = -12,
    LAROD_ERROR_VERSION_MISMATCH = -13,
    LAROD_ERROR_ALLOC = -14,
    /* Passes: try again. */
    LAROD_ERROR_POWER_NOT_AVAILABLE = -15,
    LAROD_ERROR_MAX_ERRNO = 1024,
} larodErrorCode;

typedef enum _larodTensorDataType {
    LAROD_TENSOR_DATA_TYPE_INVALID = 0,
    LAROD_TENSOR_DATA_TYPE_UNSPECIFIED = 1,
    LAROD_TENSOR_DATA_TYPE_BOOL = 2,
    LAROD_TENSOR_DATA_TYPE_UINT8 = 3,
    LAROD_TENSOR_DATA_TYPE_INT8 = 4,
    LAROD_TENSOR_DATA_TYPE_UINT16 = 5,
    LAROD_TENSOR_DATA_TYPE_INT16 = 6,
    LAROD_TENSOR_DATA_TYPE_UINT32 = 7,
    LAROD_TENSOR_DATA_TYPE_INT32 = 8,
    LAROD_TENSOR_DATA_TYPE_UINT64 = 9,
    LAROD_TENSOR_DATA_TYPE_INT64 = 10,
    LAROD_TENSOR_DATA_TYPE_FLOAT16 = 11,
    LAROD_TENSOR_DATA_TYPE_FLOAT32 = 12,
    LAROD_TENSOR_DATA_TYPE_FLOAT64 = 13,
    LAROD_TENSOR_DATA_TYPE_MAX = 14,
} larodTensorDataType;

/* 420SP is NV12. */
typedef enum _larodTensorLayout {
    LAROD_TENSOR_LAYOUT_INVALID = 0,
    LAROD_TENSOR_LAYOUT_UNSPECIFIED = 1,
    LAROD_TENSOR_LAYOUT_NHWC = 2,
    LAROD_TENSOR_LAYOUT_NCHW = 3,
    LAROD_TENSOR_LAYOUT_420SP = 4,
    LAROD_TENSOR_LAYOUT_MAX = 5,
} larodTensorLayout;

typedef struct {
    larodErrorCode code;
    const char *msg;
} larodError;

/* LEN 0: not known, and not checked. */
typedef struct {
    size_t dims[LAROD_TENSOR_MAX_LEN];
    size_t len;
} larodTensorDims;

/* In bytes, each with its padding; pitches[0] is the size of the tensor. */
typedef struct {
    size_t pitches[LAROD_TENSOR_MAX_LEN];
    size_t len;
} larodTensorPitches;

/*
 * Called in a thread of the library. They must not run jobs, load or delete models, or allocate or destroy tensors. The
 * library frees ERROR. The model belongs to the one that is called.
 */
typedef void (*larodLoadModelCallback)(larodModel *model, void *userData, larodError *error);
typedef void (*larodRunJobCallback)(void *userData, larodError *error);

/* Frees *ERROR and sets it to NULL. */
void larodClearError(larodError **error);
/* Opens a session with the larod service. */
bool larodConnect(larodConnection **conn, larodError **error);
bool larodDisconnect(larodConnection **conn, larodError **error);

#if INCAMERA_AXIS_OS >= 1009
bool larodGetNumSessions(larodConnection *conn, uint64_t *numSessions, larodError **error);
/*
 * NAME as in larodGetDeviceName ("cpu-tflite"), INSTANCE 0 for the first. The device belongs to the
 * connection.
 */
const larodDevice *larodGetDevice(const larodConnection *conn, const char *name, uint32_t instance,
    larodError **error);
/* The string belongs to the device. */
const char *larodGetDeviceName(const larodDevice *dev, larodError **error);
bool larodGetDeviceInstance(const larodDevice *dev, uint32_t *instance, larodError **error);
/* Free the array with free(). The devices belong to the connection. */
const larodDevice **larodListDevices(larodConnection *conn, size_t *numDevices, larodError **error);
/*
 * FD: a model file, or -1 for a conversion of pictures, which PARAMS describe. The first load may
 * take minutes. Free it with larodDestroyModel.
 */
larodModel *larodLoadModel(larodConnection *conn, int fd, const larodDevice *dev, larodAccess
    access, const char *name, const larodMap *params, larodError **error);
bool larodLoadModelAsync(larodConnection *conn, int inFd, const larodDevice *dev, larodAccess
    access, const char *name, const larodMap *params, larodLoadModelCallback callback, void
    *userData, larodError **error);
larodModel *larodGetModel(larodConnection *conn, uint64_t modelId, larodError **error);
/* Free them with larodDestroyModels. */
larodModel **larodGetModels(larodConnection *conn, size_t *numModels, larodError **error);
#endif

void larodDestroyModel(larodModel **model);

#if INCAMERA_AXIS_OS >= 1009
void larodDestroyModels(larodModel ***models, size_t numModels);
bool larodDeleteModel(larodConnection *conn, larodModel *model, larodError **error);
uint64_t larodGetModelId(const larodModel *model, larodError **error);
const larodDevice *larodGetModelDevice(const larodModel *model, larodError **error);
size_t larodGetModelSize(const larodModel *model, larodError **error);
const char *larodGetModelName(const larodModel *model, larodError **error);
larodAccess larodGetModelAccess(const larodModel *model, larodError **error);
size_t larodGetModelNumInputs(const larodModel *model, larodError **error);
size_t larodGetModelNumOutputs(const larodModel *model, larodError **error);
/* Free the array with free(). */
size_t *larodGetModelInputByteSizes(const larodModel *model, size_t *numInputs, larodError **error);
/* Free the array with free(). */
size_t *larodGetModelOutputByteSizes(const larodModel *model, size_t *numOutputs, larodError
    **error);
#endif

/* Tensors without buffers: set their file descriptors. Free them with larodDestroyTensors. */
larodTensor **larodCreateModelInputs(const larodModel *model, size_t *numTensors, larodError
    **error);
/* As larodCreateModelInputs. */
larodTensor **larodCreateModelOutputs(const larodModel *model, size_t *numTensors, larodError
    **error);

#if INCAMERA_AXIS_OS >= 1009
/* Tensors with buffers. Free them with larodDestroyTensors. */
larodTensor **larodAllocModelInputs(larodConnection *conn, const larodModel *model, uint32_t
    fdPropFlags, size_t *numTensors, larodMap *params, larodError **error);
/* As larodAllocModelInputs. */
larodTensor **larodAllocModelOutputs(larodConnection *conn, const larodModel *model, uint32_t
    fdPropFlags, size_t *numTensors, larodMap *params, larodError **error);
larodTensor **larodCreateTensors(size_t numTensors, larodError **error);
/* CONN may be NULL for tensors that are not tracked. */
bool larodDestroyTensors(larodConnection *conn, larodTensor ***tensors, size_t numTensors,
    larodError **error);
bool larodSetTensorDims(larodTensor *tensor, const larodTensorDims *dims, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
bool larodBuildTensorDims(larodTensor *tensor, larodTensorLayout layout, size_t width, size_t
    height, size_t num_channels, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1009
/* Belongs to the tensor. */
const larodTensorDims *larodGetTensorDims(const larodTensor *tensor, larodError **error);
bool larodSetTensorPitches(larodTensor *tensor, const larodTensorPitches *pitches, larodError
    **error);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
bool larodBuildTensorPitches(larodTensor *tensor, larodTensorLayout layout, size_t pitch, size_t
    height, size_t num_channels, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1009
/* Belongs to the tensor. */
const larodTensorPitches *larodGetTensorPitches(const larodTensor *tensor, larodError **error);
bool larodSetTensorDataType(larodTensor *tensor, larodTensorDataType dataType, larodError **error);
larodTensorDataType larodGetTensorDataType(const larodTensor *tensor, larodError **error);
bool larodSetTensorLayout(larodTensor *tensor, larodTensorLayout layout, larodError **error);
larodTensorLayout larodGetTensorLayout(const larodTensor *tensor, larodError **error);
#endif

/* Whether larod closes FD is not documented: pass a dup(). */
bool larodSetTensorFd(larodTensor *tensor, int fd, larodError **error);

#if INCAMERA_AXIS_OS >= 1009
int larodGetTensorFd(const larodTensor *tensor, larodError **error);
/* In bytes; 0: not checked. */
bool larodSetTensorFdSize(larodTensor *tensor, size_t size, larodError **error);
bool larodGetTensorFdSize(const larodTensor *tensor, size_t *size, larodError **error);
/* In bytes. */
bool larodSetTensorFdOffset(larodTensor *tensor, int64_t offset, larodError **error);
int64_t larodGetTensorFdOffset(const larodTensor *tensor, larodError **error);
/*
 * Lets the service keep its mapping of the buffer. Afterwards, file descriptor, size and offset are
 * fixed. At most 32 tensors of a connection.
 */
bool larodTrackTensor(larodConnection *conn, larodTensor *tensor, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* For buffers of VDO whose buffer.type is vmem. Newer than AXIS OS 12.1; in 12.11 at the latest. */
int larodConvertVmemFdToDmabuf(int fd, int64_t offset, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1009
bool larodSetTensorFdProps(larodTensor *tensor, uint32_t fdPropFlags, larodError **error);
bool larodGetTensorFdProps(const larodTensor *tensor, uint32_t *fdPropFlags, larodError **error);
const char *larodGetTensorName(const larodTensor *tensor, larodError **error);
bool larodGetTensorByteSize(const larodTensor *tensor, size_t *byteSize, larodError **error);
/* Free it with larodDestroyMap. */
larodMap *larodCreateMap(larodError **error);
void larodDestroyMap(larodMap **map);
bool larodMapSetStr(larodMap *map, const char *key, const char *value, larodError **error);
bool larodMapSetInt(larodMap *map, const char *key, int64_t value, larodError **error);
bool larodMapSetIntArr2(larodMap *map, const char *key, int64_t value0, int64_t value1, larodError
    **error);
bool larodMapSetIntArr4(larodMap *map, const char *key, int64_t value0, int64_t value1, int64_t
    value2, int64_t value3, larodError **error);
const char *larodMapGetStr(larodMap *map, const char *key, larodError **error);
bool larodMapGetInt(larodMap *map, const char *key, int64_t *value, larodError **error);
const int64_t *larodMapGetIntArr2(larodMap *map, const char *key, larodError **error);
const int64_t *larodMapGetIntArr4(larodMap *map, const char *key, larodError **error);
/* Free it with larodDestroyJobRequest. */
larodJobRequest *larodCreateJobRequest(const larodModel *model, larodTensor **inputTensors, size_t
    numInputs, larodTensor **outputTensors, size_t numOutputs, larodMap *params, larodError
    **error);
#endif

#if INCAMERA_AXIS_OS >= 1005
void larodDestroyJobRequest(larodJobRequest **jobReq);
#endif

#if INCAMERA_AXIS_OS >= 1009
bool larodSetJobRequestModel(larodJobRequest *jobReq, const larodModel *model, larodError **error);
bool larodSetJobRequestInputs(larodJobRequest *jobReq, larodTensor **tensors, size_t numTensors,
    larodError **error);
bool larodSetJobRequestOutputs(larodJobRequest *jobReq, larodTensor **tensors, size_t numTensors,
    larodError **error);
/* 0 to 100, the highest; for larodRunJobAsync only. */
bool larodSetJobRequestPriority(larodJobRequest *jobReq, uint8_t priority, larodError **error);
bool larodSetJobRequestParams(larodJobRequest *jobReq, const larodMap *params, larodError **error);
/* Blocks until the job is done. */
bool larodRunJob(larodConnection *conn, const larodJobRequest *jobReq, larodError **error);
bool larodRunJobAsync(larodConnection *conn, const larodJobRequest *jobReq, larodRunJobCallback
    callback, void *userData, larodError **error);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
bool larodExportModel(larodConnection *conn, int modelFd, int outputFd, const larodDevice *dev,
    const larodMap *params, larodError **error);
#endif

#ifdef __cplusplus
}
#endif

#endif
