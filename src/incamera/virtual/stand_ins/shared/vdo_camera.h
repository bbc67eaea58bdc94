/* The one sensor of the camera, as channel 0 (overview) and 1: what libvdostream tells of it, and the engine keeps to. */
#ifndef STAND_INS_VDO_CAMERA_H
#define STAND_INS_VDO_CAMERA_H

#include <stdlib.h>
#include <vdo-types.h>

#include "faults.h"

static const VdoResolution camera_resolutions[] = {
    {160, 90}, {320, 180}, {320, 240}, {640, 360}, {640, 480}, {800, 600}, {1280, 720}, {1920, 1080},
};
enum { CAMERA_RESOLUTIONS = sizeof camera_resolutions / sizeof *camera_resolutions, CAMERA_CHANNELS = 2 };

/* From the environment: how a test chooses what the stand-in does. */
static inline const char *camera_setting_text(const char *name, const char *def)
{
    const char *text = getenv(name);
    return text && *text ? text : def;
}

static inline unsigned camera_setting(const char *name, unsigned def)
{
    const char *text = camera_setting_text(name, NULL);
    return text ? (unsigned)strtoul(text, NULL, 10) : def;
}

static inline bool camera_has_format(unsigned format)
{
    switch (format) {
    case VDO_FORMAT_YUV:
    case VDO_FORMAT_RGB:
    case VDO_FORMAT_PLANAR_RGB:
    case VDO_FORMAT_JPEG:
    case VDO_FORMAT_H264: return true;
    default: return false;
    }
}

/* How the camera hangs: all its pictures are turned by this angle, unless a stream asks for another. */
static inline unsigned camera_rotation(void)
{
    unsigned angle;
    if (!faults_exist() || !fault_is_set("rotation", &angle))
        angle = camera_setting("INCAMERA_VDO_ROTATION", 0);
    return angle / 90 % 4 * 90;
}

#endif
