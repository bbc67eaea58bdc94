/* The baseline of bench/video.py: takes FRAMES frames, and adds up the brightness if the last word is "mean".

   Prints the seconds from the first frame to the last, the frames that were missed, and the processor's microseconds for each
   frame. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <poll.h>
#include <vdo-stream.h>

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    int frames = atoi(words[1]);
    int mean = strcmp(words[3], "mean") == 0;
    VdoMap *settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", VDO_FORMAT_YUV);
    vdo_map_set_uint32(settings, "width", 1280);
    vdo_map_set_uint32(settings, "height", 720);
    vdo_map_set_double(settings, "framerate", atof(words[2]));
    vdo_map_set_boolean(settings, "socket.blocking", FALSE);
    vdo_map_set_uint32(settings, "buffer.count", 3);
    VdoStream *stream = vdo_stream_new(settings, NULL, NULL);
    if (!stream || !vdo_stream_start(stream, NULL))
        return 1;
    struct pollfd ready = {.fd = vdo_stream_get_fd(stream, NULL), .events = POLLIN};
    double start = 0, busy = 0, total = 0;
    unsigned first = 0, last = 0;
    for (int n = 0; n < frames;) {
        GError *error = NULL;
        VdoBuffer *buffer = vdo_stream_get_buffer(stream, &error);
        if (!buffer) {
            poll(&ready, 1, -1);
            continue;
        }
        const unsigned char *data = vdo_buffer_get_data(buffer);
        last = vdo_frame_get_sequence_nbr(buffer);
        if (n == 0) {
            start = seconds(CLOCK_MONOTONIC);
            busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
            first = last;
        }
        if (mean) {
            unsigned long sum = 0;
            for (size_t pixel = 0; pixel < 1280 * 720; pixel++)
                sum += data[pixel];
            total += sum / (1280. * 720);
        }
        vdo_stream_buffer_unref(stream, &buffer, NULL);
        n++;
    }
    printf("[%f, %u, %f]\n", seconds(CLOCK_MONOTONIC) - start, last - first + 1 - frames,
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - busy) / (frames - 1) * 1e6);
    vdo_stream_stop(stream);
    return total < 0;
}
