/* A video of the computer that the virtual camera is on, instead of the known scene.

   `incamera virtual scene` writes a number into a file, another one each time. While it is there, pictures come over a
   virtio port from video_service.py, which says what goes over the line: it decodes, scales and cuts. All streams share
   the line. Where no picture comes, as when that process has ended, the known scene is shown, and after a while the
   line is tried anew. */
#include "objects.h"

#include <fcntl.h>

#include "client.h"
#include "host_line.h"

#define SCENE_FILE SERVICE_FOLDER "/scene"
#define VIDEO_PORT "incamera.video"

/* The first picture may take longer: the process has to start. */
enum { WRITE_MILLISECONDS = 2000, FIRST_MILLISECONDS = 10000, PICTURE_MILLISECONDS = 3000, RETRY_SECONDS = 5, MOST_REASON = 1024 };

static const char video_greeting[] = "incamera video 1";

struct picture_request {
    uint32_t scene, format;
    uint64_t time; /* microseconds */
    uint32_t across, left, width, height, pitch, reserved;
};

struct picture_answer { /* a picture, or without one the reason */
    uint32_t failed, reserved;
    uint64_t size;
};

/* JPEG is made of NV12 whose brightness has the full range. */
enum picture_format { AS_NV12, AS_Y800, AS_RGB, AS_PLANAR_RGB, AS_FULL_NV12 };

static pthread_mutex_t video_lock = PTHREAD_MUTEX_INITIALIZER;
static struct host_line video_line = {-1, WRITE_MILLISECONDS, FIRST_MILLISECONDS};
static guint64 retry_at;    /* microseconds of CLOCK_MONOTONIC; before, the line is not tried */
static unsigned failed_scene; /* the one that failed then */

/* The number of the video, or 0 for the known scene. */
unsigned video_scene(void)
{
    char text[24];
    int fd = open(SCENE_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = 0;
    return (unsigned)strtoul(text, NULL, 10);
}

static bool open_video_line(void)
{
    char path[512];
    if (host_line_is_stale(&video_line))
        host_line_close(&video_line);
    if (video_line.fd >= 0)
        return true;
    if (!host_line_find_port(VIDEO_PORT, path, sizeof path))
        return false;
    video_line.fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    video_line.read_milliseconds = FIRST_MILLISECONDS;
    return video_line.fd >= 0 && host_line_greet(&video_line, video_greeting, sizeof video_greeting);
}

static uint32_t format_of(const struct geometry *geometry, bool for_jpeg)
{
    if (for_jpeg)
        return AS_FULL_NV12;
    if (geometry->format == VDO_FORMAT_RGB)
        return AS_RGB;
    if (geometry->format == VDO_FORMAT_PLANAR_RGB)
        return AS_PLANAR_RGB;
    return geometry->y800 ? AS_Y800 : AS_NV12;
}

/* The reason why there is no picture is for the user of the computer, where it is known, too. */
static bool skip_reason(uint64_t size)
{
    char text[MOST_REASON];
    return size <= sizeof text && host_line_receive(&video_line, text, size);
}

/* Whether there was an answer. *GOOD: with a picture. */
static bool fetch_picture(guint8 *data, const struct geometry *geometry, unsigned scene, guint64 when, bool for_jpeg,
                          bool *good)
{
    const struct picture_request request = {
        .scene = scene,
        .format = format_of(geometry, for_jpeg),
        .time = when,
        .across = geometry->across,
        .left = geometry->left,
        .width = geometry->width,
        .height = geometry->height,
        .pitch = geometry->pitch,
    };
    struct picture_answer answer;
    if (!open_video_line() || !host_line_send(&video_line, &request, sizeof request) ||
        !host_line_receive(&video_line, &answer, sizeof answer) || answer.failed > 1)
        return false;
    video_line.read_milliseconds = PICTURE_MILLISECONDS;
    if (answer.failed)
        return skip_reason(answer.size);
    *good = answer.size == geometry->size && host_line_receive(&video_line, data, answer.size);
    return *good;
}

/* Draw the picture of the video SCENE at the time WHEN. False where there is none. */
bool draw_video(struct drawing *drawing, const struct geometry *geometry, unsigned scene, guint64 when, bool for_jpeg)
{
    pthread_mutex_lock(&video_lock);
    bool good = false;
    if (failed_scene != scene || microseconds_now() >= retry_at) {
        drawing->drawn = false; /* of the known scene, nothing is left */
        if (!fetch_picture(drawing->data, geometry, scene, when, for_jpeg, &good))
            host_line_close(&video_line);
        failed_scene = good ? 0 : scene;
        retry_at = microseconds_now() + RETRY_SECONDS * 1000000ull;
    }
    pthread_mutex_unlock(&video_lock);
    return good;
}
