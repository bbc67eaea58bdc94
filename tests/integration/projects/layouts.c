/* Sizes and offsets as in the camera's libraries, for both architectures. */
#include <stddef.h>

#include <axoverlay.h>
#include <bbox.h>
#include <larod.h>
#include <mdb/message.h>
#include <vdo-stream.h>

#ifdef __cplusplus
#define CHECK(name, is, wide, narrow) static_assert((is) == (sizeof(void *) == 8 ? (wide) : (narrow)), name)
#else
#define CHECK(name, is, wide, narrow) _Static_assert((is) == (sizeof(void *) == 8 ? (wide) : (narrow)), name)
#endif

CHECK("resolution", sizeof(VdoResolution), 8, 8);
CHECK("resolutions of a set", offsetof(VdoResolutionSet, resolutions), 8, 4);
CHECK("chunk of memory", sizeof(VdoMemChunk), 16, 8);
CHECK("rectangle", sizeof(VdoRect), 16, 16);
CHECK("pair", sizeof(VdoPair32i), 8, 8);
CHECK("pair without sign", sizeof(VdoPair32u), 8, 8);
CHECK("four numbers", sizeof(VdoQuad32i), 16, 16);
CHECK("four numbers without sign", sizeof(VdoQuad32u), 16, 16);
CHECK("chunk", sizeof(VdoChunk), 32, 24);
CHECK("size of a chunk", offsetof(VdoChunk, size), 8, 4);
CHECK("type of a chunk", offsetof(VdoChunk, type), 16, 8);
CHECK("offset of a chunk", offsetof(VdoChunk, offset), 24, 16);
CHECK("format", sizeof(VdoFormat), 4, 4);
CHECK("error of larod", sizeof(larodError), 16, 8);
CHECK("message of an error", offsetof(larodError, msg), 8, 4);
CHECK("dimensions", sizeof(larodTensorDims), 104, 52);
CHECK("pitches", sizeof(larodTensorPitches), 104, 52);
CHECK("flags of DMA buffers", LAROD_FD_TYPE_DMA, 6, 6);
CHECK("flags of files", LAROD_FD_TYPE_DISK, 3, 3);
CHECK("colour", sizeof(bbox_color_t), 4, 4);
CHECK("settings of overlays", sizeof(struct axoverlay_settings), 32, 16);
CHECK("overlay", sizeof(struct axoverlay_overlay_data), 36, 36);
CHECK("stream of an overlay", sizeof(struct axoverlay_stream_data), 28, 28);
CHECK("colour of a palette", sizeof(struct axoverlay_palette_color), 8, 8);
CHECK("payload", sizeof(mdb_message_payload_t), 16, 8);
