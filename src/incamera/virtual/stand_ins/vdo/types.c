/* The enumerations as GTypes, with the values that programs ask for by number only. */
#include "objects.h"

const char *vdo_format_to_str(VdoFormat format)
{
    static const char *const names[] = {"h264", "h265", "jpeg", "yuv", "bayer", "ivs", "raw", "rgba", "rgb",
                                        "planar_rgb", "av1", "avif"};
    return format >= 0 && (gsize)format < sizeof names / sizeof *names ? names[format] : "unknown";
}

static GType enumeration(GType *type, const char *name)
{
    static const GEnumValue none[] = {{-1, "NONE", "none"}, {0, NULL, NULL}};
    if (*type == 0)
        *type = g_enum_register_static(name, none);
    return *type;
}

#define ENUMERATION(name, Type) \
    GType vdo_##name##_get_type(void) \
    { \
        static GType type; \
        return enumeration(&type, #Type); \
    }

ENUMERATION(format, VdoFormat)
ENUMERATION(frame_type, VdoFrameType)
ENUMERATION(h264_profile, VdoH264Profile)
ENUMERATION(h265_profile, VdoH265Profile)
ENUMERATION(av1_profile, VdoAV1Profile)
ENUMERATION(wdr_mode, VdoWdrMode)
ENUMERATION(rate_control_mode, VdoRateControlMode)
ENUMERATION(rate_control_priority, VdoRateControlPriority)
ENUMERATION(zipstream_profile, VdoZipStreamProfile)
ENUMERATION(zipstream_gdr, VdoZipStreamGdr)
ENUMERATION(buffer_access, VdoBufferAccess)
ENUMERATION(buffer_strategy, VdoBufferStrategy)
ENUMERATION(intent, VdoIntent)
ENUMERATION(timestamp, VdoStreamTimestamp)
