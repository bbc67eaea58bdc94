/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define LAROD_FUNCTIONS(FUNCTION) \
    FUNCTION(void, larodClearError, (larodError **error), "9.80") \
    FUNCTION(bool, larodConnect, (larodConnection **conn, larodError **error), "9.80") \
    FUNCTION(bool, larodDisconnect, (larodConnection **conn, larodError **error), "9.80") \
    FUNCTION(const larodDevice **, larodListDevices, (larodConnection *conn, size_t *numDevices, larodError **error), "10.9") \
    FUNCTION(const char *, larodGetDeviceName, (const larodDevice *dev, larodError **error), "10.9") \
    FUNCTION(larodModel *, larodLoadModel, (larodConnection *conn, int fd, const larodDevice *dev, larodAccess access, const char *name, const larodMap *params, larodError **error), "10.9") \
    FUNCTION(void, larodDestroyModel, (larodModel **model), "9.80") \
    FUNCTION(bool, larodDeleteModel, (larodConnection *conn, larodModel *model, larodError **error), "10.9") \
    FUNCTION(larodTensor **, larodAllocModelInputs, (larodConnection *conn, const larodModel *model, uint32_t fdPropFlags, size_t *numTensors, larodMap *params, larodError **error), "10.9") \
    FUNCTION(larodTensor **, larodAllocModelOutputs, (larodConnection *conn, const larodModel *model, uint32_t fdPropFlags, size_t *numTensors, larodMap *params, larodError **error), "10.9") \
    FUNCTION(larodTensor **, larodCreateModelInputs, (const larodModel *model, size_t *numTensors, larodError **error), "9.80") \
    FUNCTION(larodTensor **, larodCreateModelOutputs, (const larodModel *model, size_t *numTensors, larodError **error), "9.80") \
    FUNCTION(bool, larodDestroyTensors, (larodConnection *conn, larodTensor ***tensors, size_t numTensors, larodError **error), "10.9") \
    FUNCTION(bool, larodTrackTensor, (larodConnection *conn, larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(const char *, larodGetTensorName, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(bool, larodGetTensorByteSize, (const larodTensor *tensor, size_t *byteSize, larodError **error), "10.9") \
    FUNCTION(const larodTensorDims *, larodGetTensorDims, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(const larodTensorPitches *, larodGetTensorPitches, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(larodTensorDataType, larodGetTensorDataType, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(larodTensorLayout, larodGetTensorLayout, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(bool, larodSetTensorFd, (larodTensor *tensor, int fd, larodError **error), "9.80") \
    FUNCTION(int, larodGetTensorFd, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(bool, larodSetTensorFdSize, (larodTensor *tensor, size_t size, larodError **error), "10.9") \
    FUNCTION(bool, larodGetTensorFdSize, (const larodTensor *tensor, size_t *size, larodError **error), "10.9") \
    FUNCTION(bool, larodSetTensorFdOffset, (larodTensor *tensor, int64_t offset, larodError **error), "10.9") \
    FUNCTION(int64_t, larodGetTensorFdOffset, (const larodTensor *tensor, larodError **error), "10.9") \
    FUNCTION(bool, larodSetTensorFdProps, (larodTensor *tensor, uint32_t fdPropFlags, larodError **error), "10.9") \
    FUNCTION(bool, larodGetTensorFdProps, (const larodTensor *tensor, uint32_t *fdPropFlags, larodError **error), "10.9") \
    FUNCTION(larodMap *, larodCreateMap, (larodError **error), "10.9") \
    FUNCTION(void, larodDestroyMap, (larodMap **map), "10.9") \
    FUNCTION(bool, larodMapSetStr, (larodMap *map, const char *key, const char *value, larodError **error), "10.9") \
    FUNCTION(bool, larodMapSetInt, (larodMap *map, const char *key, int64_t value, larodError **error), "10.9") \
    FUNCTION(bool, larodMapSetIntArr2, (larodMap *map, const char *key, int64_t value0, int64_t value1, larodError **error), "10.9") \
    FUNCTION(bool, larodMapSetIntArr4, (larodMap *map, const char *key, int64_t value0, int64_t value1, int64_t value2, int64_t value3, larodError **error), "10.9") \
    FUNCTION(larodJobRequest *, larodCreateJobRequest, (const larodModel *model, larodTensor **inputTensors, size_t numInputs, larodTensor **outputTensors, size_t numOutputs, larodMap *params, larodError **error), "10.9") \
    FUNCTION(void, larodDestroyJobRequest, (larodJobRequest **jobReq), "10.5") \
    FUNCTION(bool, larodSetJobRequestInputs, (larodJobRequest *jobReq, larodTensor **tensors, size_t numTensors, larodError **error), "10.9") \
    FUNCTION(bool, larodSetJobRequestParams, (larodJobRequest *jobReq, const larodMap *params, larodError **error), "10.9") \
    FUNCTION(bool, larodRunJob, (larodConnection *conn, const larodJobRequest *jobReq, larodError **error), "10.9") \
    FUNCTION(bool, larodRunJobAsync, (larodConnection *conn, const larodJobRequest *jobReq, larodRunJobCallback callback, void *userData, larodError **error), "10.9")
