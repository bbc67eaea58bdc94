/* VdoFrame, which is also VdoBuffer. */
#include "objects.h"

#include <stdlib.h>
#include <sys/mman.h>

DEFINE_TYPE(VdoFrame, vdo_frame)

VdoFrame *frame_of_slot(VdoStream *stream, struct slot *slot, gpointer opaque)
{
    VdoFrame *frame = g_object_new(vdo_frame_get_type(), NULL);
    frame->stream = g_object_ref(stream);
    frame->slot = slot;
    frame->opaque = opaque;
    frame->fd = slot->fd;
    frame->offset = slot->offset;
    frame->capacity = slot->capacity;
    frame->header_size = -1;
    frame->last = true;
    frame->chunks = 1;
    return frame;
}

static void vdo_frame_finalize(GObject *object)
{
    VdoFrame *frame = (VdoFrame *)object;
    if (frame->extra)
        g_object_unref(frame->extra);
    if (frame->memory)
        munmap(frame->memory, frame->offset + frame->capacity);
    if (!frame->stream)
        return;
    release_slot(frame->stream, frame->slot);
    g_object_unref(frame->stream);
}

VdoBuffer *vdo_buffer_new(gint fd, gsize capacity, guint64 offset, gpointer opaque)
{
    VdoFrame *frame = g_object_new(vdo_frame_get_type(), NULL);
    frame->fd = fd;
    frame->capacity = capacity;
    frame->offset = offset;
    frame->opaque = opaque;
    frame->header_size = -1;
    frame->last = true;
    frame->chunks = 1;
    return frame;
}

VdoBuffer *vdo_buffer_new_full(gint fd, gsize capacity, guint64 offset, gpointer opaque, VdoMap *settings)
{
    (void)settings;
    return vdo_buffer_new(fd, capacity, offset, opaque);
}

gpointer vdo_buffer_get_data(VdoBuffer *self)
{
    if (self->slot)
        return self->chunks == 1 ? self->slot->data : NULL;
    if (!self->memory && self->capacity) {
        /* From the start of the file: an offset need not be a multiple of the page size. */
        gsize size = self->offset + self->capacity;
        gpointer memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
        self->memory = memory == MAP_FAILED ? NULL : memory;
    }
    return self->memory ? (guint8 *)self->memory + self->offset : NULL;
}

guint32 vdo_buffer_get_id(VdoBuffer *self)
{
    return self->slot ? (guint32)(self->slot - self->stream->slots) : 0;
}

gint vdo_buffer_get_fd(VdoBuffer *self)
{
    return self->fd;
}

gint64 vdo_buffer_get_offset(VdoBuffer *self)
{
    return (gint64)self->offset;
}

gsize vdo_buffer_get_capacity(VdoBuffer *self)
{
    return self->capacity;
}

gboolean vdo_buffer_is_complete(VdoBuffer *self)
{
    return self->size > 0;
}

gboolean vdo_buffer_is_contiguous(VdoBuffer *self)
{
    return self->chunks == 1;
}

gpointer vdo_buffer_get_opaque(VdoBuffer *self)
{
    return self->opaque;
}

VdoFrame *vdo_buffer_get_frame(VdoBuffer *self)
{
    return self;
}

VdoFrameType vdo_frame_get_frame_type(VdoFrame *self)
{
    return self->type;
}

gboolean vdo_frame_is_key(VdoFrame *self)
{
    return self->type != VDO_FRAME_TYPE_H264_P;
}

gboolean vdo_frame_shown(VdoFrame *self)
{
    (void)self;
    return TRUE;
}

guint vdo_frame_get_sequence_nbr(VdoFrame *self)
{
    return self->sequence;
}

guint64 vdo_frame_get_timestamp(VdoFrame *self)
{
    return self->timestamp;
}

guint64 vdo_frame_get_utc_timestamp(VdoFrame *self)
{
    return (guint64)self->custom_timestamp;
}

gint64 vdo_frame_get_custom_timestamp(VdoFrame *self)
{
    return self->custom_timestamp;
}

gsize vdo_frame_get_size(VdoFrame *self)
{
    return self->size;
}

gssize vdo_frame_get_header_size(VdoFrame *self)
{
    return self->header_size;
}

gint vdo_frame_get_fd(VdoFrame *self)
{
    return self->fd;
}

VdoMap *vdo_frame_get_extra_info(VdoFrame *self)
{
    return self->extra;
}

gpointer vdo_frame_get_opaque(VdoFrame *self)
{
    return self->opaque;
}

gboolean vdo_frame_get_is_last_buffer(VdoFrame *self)
{
    return self->last;
}

void vdo_frame_set_size(VdoFrame *self, gsize size)
{
    self->size = size;
}

void vdo_frame_set_frame_type(VdoFrame *self, VdoFrameType type)
{
    self->type = type;
}

void vdo_frame_set_sequence_nbr(VdoFrame *self, guint seqnum)
{
    self->sequence = seqnum;
}

void vdo_frame_set_timestamp(VdoFrame *self, guint64 timestamp)
{
    self->timestamp = timestamp;
}

void vdo_frame_set_custom_timestamp(VdoFrame *self, gint64 timestamp)
{
    self->custom_timestamp = timestamp;
}

void vdo_frame_set_is_last_buffer(VdoFrame *self, gboolean is_last_buffer)
{
    self->last = is_last_buffer;
}

void vdo_frame_set_extra_info(VdoFrame *self, VdoMap *extra_info)
{
    VdoMap *before = self->extra;
    self->extra = extra_info ? g_object_ref(extra_info) : NULL;
    if (before)
        g_object_unref(before);
}

void vdo_frame_set_header_size(VdoFrame *self, gssize size)
{
    self->header_size = size;
}

gpointer vdo_frame_memmap(VdoFrame *self)
{
    return vdo_buffer_get_data(self);
}

void vdo_frame_unmap(VdoFrame *self)
{
    (void)self;
}

/* The next of the frame's chunks, which have the same size; the last one has the rest. */
VdoChunk vdo_frame_take_chunk_ex(VdoFrame *self, VdoChunkOption options, GError **error)
{
    (void)options;
    VdoChunk chunk = {.type = VDO_CHUNK_NONE};
    if (self->taken >= self->chunks)
        return chunk;
    guint8 *data = self->slot ? self->slot->data : vdo_buffer_get_data(self);
    if (!data) {
        chunk.type = VDO_CHUNK_ERROR;
        fail(error, VDO_ERROR_BUFFER_FAILURE, "the buffer cannot be mapped");
        return chunk;
    }
    gsize part = self->size / self->chunks;
    chunk.offset = (gint64)(self->taken * part);
    chunk.data = data + chunk.offset;
    self->taken++;
    chunk.size = self->taken == self->chunks ? self->size - (gsize)chunk.offset : part;
    return chunk;
}

VdoChunk vdo_frame_take_chunk(VdoFrame *self, GError **error)
{
    return vdo_frame_take_chunk_ex(self, VDO_CHUNK_OPTION_NONE, error);
}
