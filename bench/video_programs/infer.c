/* The baseline of bench/inference.py: a network on COUNT frames of the camera, converted by cpu-proc. Buffers go to larod by
   file descriptor, and are tracked.

   Prints the processor's microseconds for each frame, and the bytes of the outputs' sum. */
#include <larod.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <vdo-stream.h>

enum { WIDTH = 320, HEIGHT = 240, MOST = 16 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static void *need(void *what, const char *name, const larodError *error)
{
    if (!what) {
        fprintf(stderr, "%s: %s\n", name, error ? error->msg : "failed");
        exit(1);
    }
    return what;
}

/* The conversion of a buffer: its tensor is made once. */
struct source {
    int fd;
    int64_t offset;
    larodJobRequest *job;
};

static larodConnection *conn;
static larodModel *converter;
static larodTensor **converted;
static struct source sources[MOST];
static int source_count;

static larodJobRequest *conversion_of(int fd, int64_t offset)
{
    for (int n = 0; n < source_count; n++)
        if (sources[n].fd == fd && sources[n].offset == offset)
            return sources[n].job;
    size_t count;
    larodError *error = NULL;
    larodTensor **inputs = need(larodCreateModelInputs(converter, &count, &error), "inputs", error);
    bool good = larodSetTensorFd(inputs[0], fd, &error) && larodSetTensorFdOffset(inputs[0], offset, &error) &&
                larodSetTensorFdSize(inputs[0], WIDTH * HEIGHT * 3 / 2, &error) &&
                larodSetTensorFdProps(inputs[0], LAROD_FD_PROP_MAP, &error) && larodTrackTensor(conn, inputs[0], &error);
    need(good ? inputs : NULL, "track", error);
    larodJobRequest *job = need(larodCreateJobRequest(converter, inputs, 1, converted, 1, NULL, &error), "job", error);
    if (source_count < MOST)
        sources[source_count++] = (struct source){fd, offset, job};
    return job;
}

int main(int argc, char **words)
{
    if (argc != 3)
        return 2;
    int frames = atoi(words[1]);
    size_t count, output_count;
    larodError *error = NULL;
    if (!larodConnect(&conn, &error))
        return 1;
    const larodDevice *runs = larodGetDevice(conn, "cpu-tflite", 0, &error), *converts = larodGetDevice(conn, "cpu-proc", 0, &error);
    int file = open(words[2], O_RDONLY);
    larodModel *model = need(larodLoadModel(conn, file, runs, LAROD_ACCESS_PRIVATE, "", NULL, &error), "model", error);
    larodTensor **inputs = need(larodAllocModelInputs(conn, model, LAROD_FD_TYPE_DISK, &count, NULL, &error), "inputs", error);
    larodTensor **outputs = need(larodAllocModelOutputs(conn, model, LAROD_FD_TYPE_DISK, &output_count, NULL, &error), "outputs", error);
    larodJobRequest *job = need(larodCreateJobRequest(model, inputs, count, outputs, output_count, NULL, &error), "job", error);
    const larodTensorDims *dims = larodGetTensorDims(inputs[0], &error);
    bool flip = larodGetTensorDataType(inputs[0], &error) == LAROD_TENSOR_DATA_TYPE_INT8;
    size_t bytes, height = dims->dims[1], width = dims->dims[2];
    larodGetTensorByteSize(inputs[0], &bytes, &error);
    unsigned char *pixels = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, larodGetTensorFd(inputs[0], &error), 0);

    larodMap *map = larodCreateMap(&error);
    bool good = larodMapSetStr(map, "image.input.format", "nv12", &error) &&
                larodMapSetIntArr2(map, "image.input.size", WIDTH, HEIGHT, &error) &&
                larodMapSetInt(map, "image.input.row-pitch", WIDTH, &error) &&
                larodMapSetStr(map, "image.output.format", "rgb-interleaved", &error) &&
                larodMapSetIntArr2(map, "image.output.size", width, height, &error) &&
                larodMapSetInt(map, "image.output.row-pitch", 3 * width, &error);
    need(good ? map : NULL, "map", error);
    converter = need(larodLoadModel(conn, -1, converts, LAROD_ACCESS_PRIVATE, "", map, &error), "converter", error);
    converted = need(larodCreateModelOutputs(converter, &count, &error), "outputs", error);
    good = larodSetTensorFd(converted[0], larodGetTensorFd(inputs[0], &error), &error) &&
           larodSetTensorFdSize(converted[0], bytes, &error) &&
           larodSetTensorFdProps(converted[0], LAROD_FD_TYPE_DISK, &error);
    need(good ? converted : NULL, "outputs", error);

    VdoMap *settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", VDO_FORMAT_YUV);
    vdo_map_set_uint32(settings, "width", WIDTH);
    vdo_map_set_uint32(settings, "height", HEIGHT);
    vdo_map_set_double(settings, "framerate", 20000);
    vdo_map_set_boolean(settings, "socket.blocking", FALSE);
    vdo_map_set_uint32(settings, "buffer.count", 3);
    VdoStream *stream = vdo_stream_new(settings, NULL, NULL);
    if (!stream || !vdo_stream_start(stream, NULL))
        return 1;
    struct pollfd ready = {.fd = vdo_stream_get_fd(stream, NULL), .events = POLLIN};
    double busy = 0;
    for (int n = -10; n < frames;) {
        GError *failed = NULL;
        VdoBuffer *buffer = vdo_stream_get_buffer(stream, &failed);
        if (!buffer) {
            poll(&ready, 1, -1);
            continue;
        }
        if (n == 0)
            busy = 0;
        double start = seconds();
        larodJobRequest *conversion = conversion_of(vdo_buffer_get_fd(buffer), vdo_buffer_get_offset(buffer));
        if (!larodRunJob(conn, conversion, &error))
            need(NULL, "convert", error);
        for (size_t at = 0; flip && at < bytes; at++)
            pixels[at] ^= 0x80;
        if (!larodRunJob(conn, job, &error))
            need(NULL, "run", error);
        busy += seconds() - start;
        vdo_stream_buffer_unref(stream, &buffer, NULL);
        n++;
    }
    printf("[%f]\n", busy / frames * 1e6);
    return 0;
}
