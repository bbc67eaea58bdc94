/* Memory for pictures: a memory file for each, or one for all of them. */
#include "objects.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void free_slot(struct slot *slot)
{
    if (slot->drawing.data)
        munmap(slot->drawing.data, slot->capacity);
    if (slot->fd >= 0)
        close(slot->fd);
    *slot = (struct slot){.fd = -1};
}

/* More than a picture of the scene becomes at the best quality. */
static gsize bytes_of(const struct geometry *geometry)
{
    return is_encoded(geometry->format) ? geometry->size * 3 + 4096 : geometry->size;
}

/* A file for the slot of CAPACITY bytes, which lie at *OFFSET. A camera whose buffers are of the kind vmem has one file. */
static gint file_for(VdoStream *self, gsize capacity, gsize *offset)
{
    if (strcmp(setting_text("INCAMERA_VDO_BUFFER_TYPE", "memfd"), "vmem") != 0)
        return memfd_create("vdo-buffer", MFD_CLOEXEC);
    if (self->memory < 0)
        self->memory = memfd_create("vdo-buffers", MFD_CLOEXEC);
    *offset = self->slot_count * capacity;
    return dup(self->memory);
}

struct slot *add_slot(VdoStream *self, GError **error)
{
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    struct slot slot = {.capacity = (bytes_of(&self->geometry) + page - 1) / page * page};
    slot.fd = self->slot_count < MOST_SLOTS ? file_for(self, slot.capacity, &slot.offset) : -1;
    if (slot.fd < 0 || ftruncate(slot.fd, (off_t)(slot.offset + slot.capacity)) != 0) {
        if (slot.fd >= 0)
            close(slot.fd);
        fail(error, VDO_ERROR_OOM, "there is no memory for a buffer");
        return NULL;
    }
    gpointer data = mmap(NULL, slot.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, slot.fd, (off_t)slot.offset);
    if (data == MAP_FAILED) {
        close(slot.fd);
        fail(error, VDO_ERROR_BUFFER_FAILURE, "a buffer cannot be mapped");
        return NULL;
    }
    slot.drawing.data = data;
    self->slots[self->slot_count] = slot;
    return &self->slots[self->slot_count++];
}

bool add_slots(VdoStream *self, GError **error)
{
    guint count = vdo_map_get_uint32(self->settings, "buffer.count", 3);
    count = setting("INCAMERA_VDO_BUFFERS", count ? count : 1);
    while (self->slot_count < count) {
        struct slot *slot = add_slot(self, error);
        if (!slot)
            return false;
        slot->state = FREE;
    }
    return true;
}

/* The slot in STATE whose picture is the oldest. */
struct slot *slot_in(VdoStream *self, enum slot_state state)
{
    struct slot *first = NULL;
    for (guint number = 0; number < self->slot_count; number++) {
        struct slot *slot = &self->slots[number];
        if (slot->state == state && (!first || slot->sequence < first->sequence))
            first = slot;
    }
    return first;
}
