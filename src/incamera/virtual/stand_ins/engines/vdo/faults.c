/* What goes wrong with video, because `incamera virtual fault` or a test has said so. It is met when a program asks. */
#include "objects.h"

static unsigned long long restarts; /* of the fault video-restart */
static guint dropped_frames;        /* after each frame that is captured, so many are lost */
static guint creations_to_fail;

guint frames_to_drop(void)
{
    return __atomic_load_n(&dropped_frames, __ATOMIC_RELAXED);
}

/* Do what is set for the whole camera. Returns whether the service is down. */
static bool meet_faults(void)
{
    guint count = 0;
    bool exist = faults_exist();
    if (exist)
        fault_is_set("dropped-frames", &count);
    __atomic_store_n(&dropped_frames, count, __ATOMIC_RELAXED);
    if (fault_restarted("video-restart", &restarts))
        end_all_streams();
    return exist && fault_is_set("video-down", NULL);
}

/* Whether a new stream is made. */
bool is_possible(struct stream *stream)
{
    if (meet_faults())
        return refuse(stream, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
    if (fault_is_set("device-busy", NULL))
        return refuse(stream, VDO_ERROR_BUSY, "other programs use all streams of the camera");
    if (fault_is_set("no-memory", NULL))
        return refuse(stream, VDO_ERROR_OOM, "the camera has no memory for a stream");
    guint left = __atomic_load_n(&creations_to_fail, __ATOMIC_RELAXED);
    if (left > 0 && camera_setting("INCAMERA_VDO_DOWN_FOR", 0)) {
        __atomic_store_n(&creations_to_fail, left - 1, __ATOMIC_RELAXED);
        return refuse(stream, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
    }
    return true;
}

/* The service restarts after INCAMERA_VDO_RESTART_AFTER frames of a stream, when the camera is turned, and when a fault
   says so. DELIVERED: how many frames the program has taken. False: the stream has ended. */
bool goes_on(const struct stream *stream, guint delivered)
{
    bool down = meet_faults();
    guint limit = camera_setting("INCAMERA_VDO_RESTART_AFTER", 0);
    bool turned = stream->facts.camera_rotation != camera_rotation();
    if (stream->listed && (down || turned || (limit && delivered >= limit))) {
        __atomic_store_n(&creations_to_fail, camera_setting("INCAMERA_VDO_DOWN_FOR", 0), __ATOMIC_RELAXED);
        end_all_streams();
    }
    return stream->listed;
}
