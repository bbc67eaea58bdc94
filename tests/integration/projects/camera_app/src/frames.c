#include "frames.h"

#include <stdlib.h>

#include <larod.h>
#include <vdo-stream.h>

double frame_mean(unsigned width, unsigned height)
{
    g_autoptr(GError) error = NULL;
    VdoResolution size = {width, height};
    g_autoptr(VdoStream) stream = vdo_stream_nv12_new(NULL, 1, size, &error);
    if (!stream || !vdo_stream_start(stream, &error))
        return -1;
    g_autoptr(VdoMap) info = vdo_stream_get_info(stream, &error);
    VdoBuffer *buffer = info ? vdo_stream_get_buffer(stream, &error) : NULL;
    const guint8 *data = buffer ? vdo_buffer_get_data(buffer) : NULL;
    double sum = data ? 0 : -1.0 * width * height;
    guint32 pitch = info ? vdo_map_get_uint32(info, "pitch", width) : width;
    for (unsigned y = 0; data && y < height; y++)
        for (unsigned x = 0; x < width; x++)
            sum += data[(size_t)y * pitch + x];
    if (buffer)
        vdo_stream_buffer_unref(stream, &buffer, NULL);
    vdo_stream_stop(stream);
    return sum / width / height;
}

int count_devices(void)
{
    larodConnection *conn = NULL;
    size_t count = 0;
    if (!larodConnect(&conn, NULL))
        return -1;
    const larodDevice **devices = larodListDevices(conn, &count, NULL);
    free(devices);
    larodDisconnect(&conn, NULL);
    return devices ? (int)count : -1;
}
