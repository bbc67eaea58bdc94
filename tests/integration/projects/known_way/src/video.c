/* Frames of VDO and boxes, without anything between. */
#include <stdlib.h>
#include <string.h>

#include <bbox.h>
#include <vdo-error.h>
#include <vdo-frame.h>
#include <vdo-map.h>
#include <vdo-stream.h>

#include "camera.h"

const char *headers(void)
{
#ifdef FROM_THE_IMAGE
    return "image";
#else
    return "builtin";
#endif
}

static const char *copy(VdoStream *stream, VdoBuffer *buffer, struct picture *picture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VdoMap) info = vdo_stream_get_info(stream, &error);
    VdoFrame *frame = vdo_buffer_get_frame(buffer);
    const void *data = vdo_buffer_get_data(buffer);
    if (!info || !frame || !data)
        return "the frame cannot be read";
    picture->width = vdo_map_get_uint32(info, "width", 0);
    picture->height = vdo_map_get_uint32(info, "height", 0);
    picture->pitch = vdo_map_get_uint32(info, "pitch", picture->width);
    picture->sequence = vdo_frame_get_sequence_nbr(frame);
    picture->microseconds = vdo_frame_get_timestamp(frame);
    picture->size = vdo_frame_get_size(frame);
    picture->data = malloc(picture->size);
    if (!picture->data)
        return "no memory";
    memcpy(picture->data, data, picture->size);
    return NULL;
}

const char *capture(unsigned width, unsigned height, int encoded, struct picture *picture)
{
    g_autoptr(GError) error = NULL;
    VdoPair32u size = {.w = width, .h = height};
    g_autoptr(VdoMap) settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", encoded ? VDO_FORMAT_H264 : VDO_FORMAT_YUV);
    if (!encoded)
        vdo_map_set_string(settings, "subformat", "NV12");
    vdo_map_set_pair32u(settings, "resolution", size);
    g_autoptr(VdoStream) stream = vdo_stream_new(settings, NULL, &error);
    if (!stream || !vdo_stream_start(stream, &error))
        return "there is no such stream";
    VdoBuffer *buffer = vdo_stream_get_buffer(stream, &error);
    if (!buffer)
        return "there is no frame";
    const char *failed = copy(stream, buffer, picture);
    if (!vdo_stream_buffer_unref(stream, &buffer, &error) && !failed)
        failed = "the buffer cannot be given back";
    vdo_stream_stop(stream);
    return failed;
}

static bbox_t *box;

const char *show_box(float x1, float y1, float x2, float y2)
{
    box = bbox_new(1u, (bbox_channel_t)1);
    if (!box)
        return "there is no channel 1";
    bool drawn = bbox_clear(box) && bbox_coordinates_frame_normalized(box) && bbox_style_outline(box) &&
                 bbox_thickness_thick(box) && bbox_color(box, bbox_color_from_rgb(0, 255, 0)) &&
                 bbox_rectangle(box, x1, y1, x2, y2) && bbox_commit(box, 0);
    return drawn ? NULL : "the box cannot be drawn";
}

const char *hide_box(void)
{
    bool gone = bbox_destroy(box);
    box = NULL;
    return gone ? NULL : "the box stays";
}
