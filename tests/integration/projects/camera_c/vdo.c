/* Prints the mean of the Y plane of ten frames: the stream's size is asked for, and the real one read. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <vdo-channel.h>
#include <vdo-error.h>
#include <vdo-frame.h>
#include <vdo-map.h>
#include <vdo-stream.h>
#include <vdo-types.h>

/* The headers leave this to programs: many have it. */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VdoResolutionSet, g_free)

static VdoResolution smallest(GError **error)
{
    VdoResolution none = {0, 0};
    g_autoptr(VdoChannel) channel = vdo_channel_get(1, error);
    g_autoptr(VdoMap) filter = vdo_map_new();
    if (!channel)
        return none;
    vdo_map_set_uint32(filter, "format", VDO_FORMAT_YUV);
    vdo_map_set_string(filter, "select", "minmax");
    g_autoptr(VdoResolutionSet) set = vdo_channel_get_resolutions(channel, filter, error);
    return set && set->count ? set->resolutions[0] : none;
}

static gboolean show(VdoStream *stream, guint pitch, guint width, guint height, GError **error)
{
    VdoBuffer *buffer = vdo_stream_get_buffer(stream, error);
    if (!buffer)
        return g_error_matches(*error, VDO_ERROR, VDO_ERROR_NO_DATA);
    VdoFrame *frame = vdo_buffer_get_frame(buffer);
    const guint8 *rows = vdo_buffer_get_data(buffer);
    guint64 sum = 0;
    for (guint y = 0; rows && y < height; y++)
        for (guint x = 0; x < width; x++)
            sum += rows[y * pitch + x];
    printf("%u at %" G_GUINT64_FORMAT ": %" G_GUINT64_FORMAT ", %zu bytes\n", vdo_frame_get_sequence_nbr(frame),
           vdo_frame_get_timestamp(frame), sum / width / height, vdo_frame_get_size(frame));
    return vdo_stream_buffer_unref(stream, &buffer, error);
}

int main(void)
{
    g_autoptr(GError) error = NULL;
    VdoPair32u size = {.res = smallest(&error)};
    g_autoptr(VdoMap) settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", VDO_FORMAT_YUV);
    vdo_map_set_string(settings, "subformat", "NV12");
    vdo_map_set_pair32u(settings, "resolution", size);
    vdo_map_set_uint32(settings, "buffer.strategy", VDO_BUFFER_STRATEGY_INFINITE);
    vdo_map_set_boolean(settings, "socket.blocking", FALSE);
    g_autoptr(VdoStream) stream = error ? NULL : vdo_stream_new(settings, NULL, &error);
    if (!stream || !vdo_stream_start(stream, &error))
        goto failed;
    g_autoptr(VdoMap) info = vdo_stream_get_info(stream, &error);
    if (!info)
        goto failed;
    guint width = vdo_map_get_uint32(info, "width", 0), height = vdo_map_get_uint32(info, "height", 0);
    struct pollfd wait = {.fd = vdo_stream_get_fd(stream, &error), .events = POLLIN};
    for (int n = 0; n < 10 && poll(&wait, 1, 1000) >= 0; n++)
        if (!show(stream, vdo_map_get_uint32(info, "pitch", width), width, height, &error))
            goto failed;
    vdo_stream_stop(stream);
    return EXIT_SUCCESS;
failed:
    if (vdo_error_is_expected(&error))
        return EXIT_SUCCESS;
    fprintf(stderr, "%s\n", error ? error->message : "no error was set");
    return EXIT_FAILURE;
}
