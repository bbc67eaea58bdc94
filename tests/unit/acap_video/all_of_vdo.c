/* Uses each part of the video library as public programs do, and gives everything back: for test_sanitizers.py. */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <vdo-channel.h>
#include <vdo-error.h>
#include <vdo-stream.h>

void g_error_free(GError *error);
void g_list_free(GList *list);

static VdoMap *settings_of(VdoFormat format, const char *subformat, unsigned rotation)
{
    VdoMap *settings = vdo_map_new();
    vdo_map_set_uint32(settings, "format", format);
    if (subformat)
        vdo_map_set_string(settings, "subformat", subformat);
    vdo_map_set_pair32u(settings, "resolution", (VdoPair32u){.w = rotation % 180 ? 250 : 328, .h = rotation % 180 ? 328 : 250});
    vdo_map_set_double(settings, "framerate", 500);
    vdo_map_set_uint32(settings, "rotation", rotation);
    vdo_map_set_boolean(settings, "frame.chunks", format == VDO_FORMAT_H264);
    vdo_map_set_string(settings, "image.fit", "crop");
    return settings;
}

static size_t read_frame(VdoBuffer *buffer)
{
    VdoFrame *frame = vdo_buffer_get_frame(buffer);
    size_t total = 0, sum = 0;
    for (;;) {
        VdoChunk chunk = vdo_frame_take_chunk(frame, NULL);
        assert(chunk.type != VDO_CHUNK_ERROR);
        if (chunk.size == 0)
            break;
        for (size_t n = 0; n < chunk.size; n++)
            sum += chunk.bytes[n];
        total += chunk.size;
    }
    assert(total == vdo_frame_get_size(frame) && total <= vdo_buffer_get_capacity(buffer) && sum > 0);
    return total;
}

static void stream_of(VdoFormat format, const char *subformat, unsigned rotation)
{
    GError *error = NULL;
    VdoMap *settings = settings_of(format, subformat, rotation);
    VdoStream *stream = vdo_stream_new(settings, NULL, &error);
    assert(stream && !error);
    VdoMap *info = vdo_stream_get_info(stream, &error);
    assert(vdo_map_get_uint32(info, "width", 0) == (rotation % 180 ? 250u : 328u));
    g_object_unref(info);
    for (int start = 0; start < 2; start++) { /* a stream may be started again */
        assert(vdo_stream_start(stream, &error));
        for (int n = 0; n < 6; n++) {
            VdoBuffer *buffer = vdo_stream_get_buffer(stream, &error);
            assert(buffer && read_frame(buffer) > 0);
            assert(vdo_stream_buffer_unref(stream, &buffer, &error) && !buffer);
        }
        vdo_stream_stop(stream);
    }
    g_object_unref(stream);
    g_object_unref(settings);
}

static void explicit_buffers(void)
{
    GError *error = NULL;
    VdoMap *settings = settings_of(VDO_FORMAT_YUV, "NV12", 0);
    vdo_map_set_uint32(settings, "buffer.strategy", VDO_BUFFER_STRATEGY_EXPLICIT);
    VdoStream *stream = vdo_stream_new(settings, NULL, &error);
    VdoBuffer *buffers[3];
    for (int n = 0; n < 3; n++) {
        buffers[n] = vdo_stream_buffer_alloc(stream, NULL, &error);
        assert(buffers[n] && vdo_buffer_get_data(buffers[n]) && vdo_stream_buffer_enqueue(stream, buffers[n], &error));
    }
    assert(vdo_stream_start(stream, &error));
    for (int n = 0; n < 7; n++) {
        VdoBuffer *buffer = vdo_stream_get_buffer(stream, &error);
        assert(buffer && read_frame(buffer) > 0 && vdo_stream_buffer_enqueue(stream, buffer, &error));
    }
    vdo_stream_stop(stream);
    for (int n = 0; n < 3; n++)
        assert(vdo_stream_buffer_unref(stream, &buffers[n], &error));
    g_object_unref(stream);
    g_object_unref(settings);
}

static void events(void)
{
    GError *error = NULL;
    VdoStream *all = vdo_stream_get(0, &error);
    VdoMap *filter = vdo_map_new();
    vdo_map_set_string(filter, "filter", "overlay");
    assert(vdo_stream_attach(all, filter, &error));
    struct pollfd ready = {.fd = vdo_stream_get_event_fd(all, &error), .events = POLLIN};
    stream_of(VDO_FORMAT_YUV, "Y800", 0);
    assert(poll(&ready, 1, 1000) == 1);
    for (unsigned wanted = VDO_STREAM_EVENT_CREATED; wanted <= VDO_STREAM_EVENT_CLOSED; wanted++) {
        VdoMap *event = vdo_stream_get_event(all, &error);
        assert(event && vdo_map_get_uint32(event, "event", 0) == wanted);
        g_object_unref(event);
    }
    assert(!vdo_stream_get_event(all, &error) && error->code == VDO_ERROR_NO_EVENT);
    g_error_free(error);
    g_object_unref(filter);
    g_object_unref(all);
}

static void channels_and_snapshot(void)
{
    GError *error = NULL;
    GList *all = vdo_channel_get_all(&error);
    for (GList *item = all; item; item = item->next) {
        VdoMap *info = vdo_channel_get_info(item->data, &error);
        assert(vdo_map_contains(info, "rotation"));
        g_object_unref(info);
        g_object_unref(item->data);
    }
    g_list_free(all);
    VdoMap *settings = settings_of(VDO_FORMAT_JPEG, NULL, 90);
    VdoBuffer *buffer = vdo_stream_snapshot(settings, &error);
    assert(buffer && memcmp(vdo_buffer_get_data(buffer), "\xff\xd8", 2) == 0);
    g_object_unref(buffer);
    vdo_map_set_uint32(settings, "format", VDO_FORMAT_AV1);
    assert(!vdo_stream_snapshot(settings, &error) && error->code == VDO_ERROR_NOT_SUPPORTED);
    g_error_free(error);
    g_object_unref(settings);
}

int main(void)
{
    for (unsigned rotation = 0; rotation < 360; rotation += 90) {
        stream_of(VDO_FORMAT_YUV, "NV12", rotation);
        stream_of(VDO_FORMAT_YUV, "Y800", rotation);
        stream_of(VDO_FORMAT_RGB, NULL, rotation);
        stream_of(VDO_FORMAT_PLANAR_RGB, NULL, rotation);
        stream_of(VDO_FORMAT_JPEG, NULL, rotation);
        stream_of(VDO_FORMAT_H264, NULL, rotation);
    }
    explicit_buffers();
    events();
    channels_and_snapshot();
    puts("done");
    return 0;
}
