/*
 * Formats, settings and other values of VDO. VDO, in the camera since AXIS OS 9.80. Made by
 * incamera from data/vdo.toml.
 */
#ifndef INCAMERA_VDO_TYPES_H
#define INCAMERA_VDO_TYPES_H

#include "incamera-axis-os.h"
#include <glib-object.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _VdoFormat {
    VDO_FORMAT_NONE = -1,
    VDO_FORMAT_H264 = 0,
    VDO_FORMAT_H265 = 1,
    VDO_FORMAT_JPEG = 2,
    VDO_FORMAT_YUV = 3,
    VDO_FORMAT_BAYER = 4,
    VDO_FORMAT_IVS = 5,
    VDO_FORMAT_RAW = 6,
    VDO_FORMAT_RGBA = 7,
    VDO_FORMAT_RGB = 8,
    VDO_FORMAT_PLANAR_RGB = 9,
    VDO_FORMAT_AV1 = 10,
#if INCAMERA_AXIS_OS >= 1211
    VDO_FORMAT_AVIF = 11,
#endif
} VdoFormat;

typedef enum _VdoFrameType {
    VDO_FRAME_TYPE_NONE = 0,
    VDO_FRAME_TYPE_H264_SPS = 1,
    VDO_FRAME_TYPE_H264_PPS = 2,
    VDO_FRAME_TYPE_H264_SEI = 3,
    VDO_FRAME_TYPE_H264_IDR = 4,
    VDO_FRAME_TYPE_H264_I = 5,
    VDO_FRAME_TYPE_H264_P = 6,
    VDO_FRAME_TYPE_H264_B = 7,
    VDO_FRAME_TYPE_H265_SPS = 8,
    VDO_FRAME_TYPE_H265_PPS = 9,
    VDO_FRAME_TYPE_H265_VPS = 10,
    VDO_FRAME_TYPE_H265_SEI = 11,
    VDO_FRAME_TYPE_H265_IDR = 12,
    VDO_FRAME_TYPE_H265_I = 13,
    VDO_FRAME_TYPE_H265_P = 14,
    VDO_FRAME_TYPE_H265_B = 15,
    VDO_FRAME_TYPE_JPEG = 16,
    VDO_FRAME_TYPE_YUV = 17,
    VDO_FRAME_TYPE_RAW = 18,
    VDO_FRAME_TYPE_RGBA = 19,
    VDO_FRAME_TYPE_RGB = 20,
    VDO_FRAME_TYPE_PLANAR_RGB = 21,
    VDO_FRAME_TYPE_AV1_KEY = 22,
    VDO_FRAME_TYPE_AV1_INTER = 23,
    VDO_FRAME_TYPE_AV1_BIDI = 24,
#if INCAMERA_AXIS_OS >= 1211
    VDO_FRAME_TYPE_AVIF = 25,
#endif
} VdoFrameType;

typedef enum _VdoH264Profile {
    VDO_H264_PROFILE_NONE = -1,
    VDO_H264_PROFILE_BASELINE = 0,
    VDO_H264_PROFILE_MAIN = 1,
    VDO_H264_PROFILE_HIGH = 2,
} VdoH264Profile;

typedef enum _VdoH265Profile {
    VDO_H265_PROFILE_NONE = -1,
    VDO_H265_PROFILE_MAIN = 0,
    VDO_H265_PROFILE_MAIN_10 = 1,
} VdoH265Profile;

typedef enum _VdoAV1Profile {
    VDO_AV1_PROFILE_NONE = -1,
    VDO_AV1_PROFILE_MAIN = 0,
    VDO_AV1_PROFILE_MAIN_10 = 1,
} VdoAV1Profile;

typedef enum _VdoWdrMode {
    VDO_WDR_MODE_NONE = -1,
    VDO_WDR_MODE_LINEAR = 0,
    VDO_WDR_MODE_2X = 1,
    VDO_WDR_MODE_3X = 2,
    VDO_WDR_MODE_4X = 3,
    VDO_WDR_MODE_SENSOR = 4,
    VDO_WDR_MODE_OFF = 5,
#if INCAMERA_AXIS_OS >= 1211
    VDO_WDR_MODE_AUTO = 6,
#endif
} VdoWdrMode;

typedef enum _VdoRateControlMode {
    VDO_RATE_CONTROL_MODE_NONE = -1,
    VDO_RATE_CONTROL_MODE_CBR = 0,
    VDO_RATE_CONTROL_MODE_VBR = 1,
    VDO_RATE_CONTROL_MODE_MBR = 2,
    VDO_RATE_CONTROL_MODE_ABR = 3,
} VdoRateControlMode;

typedef enum _VdoRateControlPriority {
    VDO_RATE_CONTROL_PRIORITY_NONE = -1,
    VDO_RATE_CONTROL_PRIORITY_FRAMERATE = 0,
    VDO_RATE_CONTROL_PRIORITY_QUALITY = 1,
    VDO_RATE_CONTROL_PRIORITY_FULL_FRAMERATE = 2,
} VdoRateControlPriority;

typedef enum _VdoZipStreamProfile {
    VDO_ZIPSTREAM_PROFILE_NONE = -1,
    VDO_ZIPSTREAM_PROFILE_CLASSIC = 0,
    VDO_ZIPSTREAM_PROFILE_STORAGE = 1,
    VDO_ZIPSTREAM_PROFILE_LIVE = 2,
} VdoZipStreamProfile;

#if INCAMERA_AXIS_OS >= 1211
typedef enum _VdoZipStreamGdr {
    VDO_ZIPSTREAM_GDR_NONE = -1,
    VDO_ZIPSTREAM_GDR_AUTO = 0,
    VDO_ZIPSTREAM_GDR_OFF = 1,
    VDO_ZIPSTREAM_GDR_BALANCED = 2,
    VDO_ZIPSTREAM_GDR_EXTREME = 3,
} VdoZipStreamGdr;
#endif

typedef enum _VdoChunkType {
    VDO_CHUNK_NONE = 0,
    VDO_CHUNK_ERROR = 0x80000000,
} VdoChunkType;

typedef enum _VdoChunkOption {
    VDO_CHUNK_OPTION_NONE = 0,
    VDO_CHUNK_OPTION_MMAP = 0x80000000,
} VdoChunkOption;

typedef enum _VdoOverlayAlign {
    VDO_OVERLAY_ALIGN_NONE = -1,
    VDO_OVERLAY_ALIGN_TOP = 0,
    VDO_OVERLAY_ALIGN_BOTTOM = 1,
} VdoOverlayAlign;

typedef enum _VdoOverlayColor {
    VDO_OVERLAY_COLOR_TRANSPARENT = 0,
    VDO_OVERLAY_COLOR_BLACK = 61440,
    VDO_OVERLAY_COLOR_WHITE = 65535,
} VdoOverlayColor;

typedef enum _VdoOverlayTextSize {
    VDO_OVERLAY_TEXT_SIZE_SMALL = 16,
    VDO_OVERLAY_TEXT_SIZE_MEDIUM = 32,
    VDO_OVERLAY_TEXT_SIZE_LARGE = 48,
} VdoOverlayTextSize;

typedef enum _VdoStreamTimestamp {
    VDO_TIMESTAMP_NONE = 0,
    VDO_TIMESTAMP_UTC = 1,
    VDO_TIMESTAMP_ZIPSTREAM = 2,
    VDO_TIMESTAMP_DIFF = 4,
    VDO_TIMESTAMP_MONO_CAPTURE = 8,
    VDO_TIMESTAMP_MONO_SERVER = 16,
    VDO_TIMESTAMP_MONO_CLIENT = 32,
    VDO_TIMESTAMP_MONO_CLIENT_SERVER_DIFF = 52,
    VDO_TIMESTAMP_MONO_CLIENT_CAPTURE_DIFF = 44,
} VdoStreamTimestamp;

typedef enum _VdoIntent {
    VDO_INTENT_NONE = 0,
    VDO_INTENT_CONTROL = 1,
    VDO_INTENT_MONITOR = 2,
    VDO_INTENT_CONSUME = 4,
    VDO_INTENT_PRODUCE = 8,
    VDO_INTENT_DEFAULT = 5,
    VDO_INTENT_EVENTFD = 16,
    VDO_INTENT_UNIVERSE = 0xffffffff,
} VdoIntent;

typedef enum _VdoStreamEvent {
    VDO_STREAM_EVENT_NONE = 0,
    VDO_STREAM_EVENT_STARTED = 1,
    VDO_STREAM_EVENT_STOPPED = 2,
    VDO_STREAM_EVENT_RESOURCE = 16,
    VDO_STREAM_EVENT_QUOTA_SOFT = 17,
    VDO_STREAM_EVENT_QUOTA_HARD = 18,
    VDO_STREAM_EVENT_ZIPSTREAM = 32,
    VDO_STREAM_EVENT_BUFFERING = 64,
    VDO_STREAM_EVENT_BUFFERING_WARN = 65,
    VDO_STREAM_EVENT_BUFFERING_FAIL = 66,
    VDO_STREAM_EVENT_CREATED = 80,
    VDO_STREAM_EVENT_CLOSED = 81,
    VDO_STREAM_EVENT_EXISTING = 82,
    VDO_STREAM_EVENT_INVALID = 0xffffffff,
} VdoStreamEvent;

typedef enum _VdoBufferAccess {
    VDO_BUFFER_ACCESS_NONE = 0,
    VDO_BUFFER_ACCESS_CPU_RD = 1,
    VDO_BUFFER_ACCESS_DEV_RD = 2,
    VDO_BUFFER_ACCESS_ANY_RD = 3,
    VDO_BUFFER_ACCESS_CPU_WR = 256,
    VDO_BUFFER_ACCESS_DEV_WR = 512,
    VDO_BUFFER_ACCESS_ANY_WR = 768,
    VDO_BUFFER_ACCESS_CPU_RW = 257,
    VDO_BUFFER_ACCESS_DEV_RW = 514,
    VDO_BUFFER_ACCESS_ANY_RW = 771,
} VdoBufferAccess;

typedef enum _VdoBufferStrategy {
    VDO_BUFFER_STRATEGY_NONE = 0,
    VDO_BUFFER_STRATEGY_INPUT = 1,
    VDO_BUFFER_STRATEGY_EXTERNAL = 2,
    VDO_BUFFER_STRATEGY_EXPLICIT = 3,
    VDO_BUFFER_STRATEGY_INFINITE = 4,
} VdoBufferStrategy;

/* In pixels. Passed by value to vdo_stream_rgb_new and its like. */
typedef struct _VdoResolution {
    guint32 width;
    guint32 height;
} VdoResolution;

/* Free it with g_free. */
typedef struct _VdoResolutionSet {
    gsize count;
    VdoResolution resolutions[];
} VdoResolutionSet;

typedef struct _VdoMemChunk {
    gpointer data;
    gsize data_size;
} VdoMemChunk;

/* In pixels. */
typedef struct _VdoRect {
    guint width;
    guint height;
    guint x;
    guint y;
} VdoRect;

/* Values of VdoMap, passed by value. */
typedef union _VdoPair32i {
    __extension__ struct { gint32 x, y; };
    __extension__ struct { gint32 w, h; };
    __extension__ struct { gint32 num, den; };
    gint32 val[2];
} VdoPair32i;

typedef union _VdoPair32u {
    __extension__ struct { guint32 x, y; };
    __extension__ struct { guint32 w, h; };
    __extension__ struct { guint32 num, den; };
    VdoResolution res;
    guint32 val[2];
} VdoPair32u;

typedef union _VdoQuad32i {
    __extension__ struct { gint32 x, y, w, h; };
    gint32 val[4];
} VdoQuad32i;

typedef union _VdoQuad32u {
    __extension__ struct { guint32 x, y, w, h; };
    __extension__ struct { guint32 min, target, max; };
    guint32 val[4];
} VdoQuad32u;

/* A part of a frame: SIZE bytes that belong OFFSET bytes after its start. */
typedef struct _VdoChunk {
    __extension__ union { gpointer data; gchar *chars; guint8 *bytes; };
    gsize size;
    VdoChunkType type;
    gint64 offset;
} VdoChunk;

/* A static string; do not free it. */
const char *vdo_format_to_str(VdoFormat format);
GType vdo_format_get_type(void);
GType vdo_frame_type_get_type(void);
GType vdo_h264_profile_get_type(void);
GType vdo_h265_profile_get_type(void);
GType vdo_av1_profile_get_type(void);
GType vdo_wdr_mode_get_type(void);
GType vdo_rate_control_mode_get_type(void);
GType vdo_rate_control_priority_get_type(void);
GType vdo_zipstream_profile_get_type(void);
GType vdo_buffer_access_get_type(void);
GType vdo_buffer_strategy_get_type(void);
GType vdo_intent_get_type(void);
GType vdo_timestamp_get_type(void);

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
GType vdo_zipstream_gdr_get_type(void);
#endif

#ifdef __cplusplus
}
#endif

#endif
