/* Memory for pictures: a memory file for each, or one for all of them. The program gets the files, too. */
#include "objects.h"

#include <fcntl.h>
#include <sys/mman.h>

/* What the pictures of all streams may take, so that a program cannot take all of the camera's memory: 1.5 times what
   eight streams of the largest size have in RGB. */
enum { MOST_MEMORY = 224 << 20 };

static gsize memory_in_use;

static bool take_memory(struct slot *slot, gsize size)
{
    if (__atomic_add_fetch(&memory_in_use, size, __ATOMIC_RELAXED) <= MOST_MEMORY) {
        slot->counted = size;
        return true;
    }
    __atomic_sub_fetch(&memory_in_use, size, __ATOMIC_RELAXED);
    return false;
}

void free_slot(struct slot *slot)
{
    __atomic_sub_fetch(&memory_in_use, slot->counted, __ATOMIC_RELAXED);
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

/* A file of SIZE bytes, which the program can't make shorter: the engine would then end when it draws. */
static bool set_size(int fd, off_t size)
{
    return ftruncate(fd, size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
}

/* A file for the slot, which has CAPACITY bytes at *OFFSET. */
static int file_for(struct stream *self, gsize capacity, gsize *offset)
{
    if (!self->wish.is_vmem)
        return memfd_create("vdo-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (self->memory < 0)
        self->memory = memfd_create("vdo-buffers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    *offset = self->slot_count * capacity;
    return fcntl(self->memory, F_DUPFD_CLOEXEC, 0);
}

struct slot *add_slot(struct stream *self)
{
    gsize page = (gsize)sysconf(_SC_PAGESIZE);
    struct slot slot = {.fd = -1, .capacity = (bytes_of(&self->geometry) + page - 1) / page * page};
    if (self->slot_count < VDO_MOST_SLOTS && take_memory(&slot, self->geometry.size))
        slot.fd = file_for(self, slot.capacity, &slot.offset);
    if (slot.fd < 0 || !set_size(slot.fd, (off_t)(slot.offset + slot.capacity))) {
        free_slot(&slot);
        refuse(self, VDO_ERROR_OOM, "there is no memory for a buffer");
        return NULL;
    }
    void *data = mmap(NULL, slot.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, slot.fd, (off_t)slot.offset);
    if (data == MAP_FAILED) {
        free_slot(&slot);
        refuse(self, VDO_ERROR_BUFFER_FAILURE, "a buffer cannot be mapped");
        return NULL;
    }
    slot.drawing.data = data;
    self->slots[self->slot_count] = slot;
    return &self->slots[self->slot_count++];
}

/* As many as the settings say, or COUNT, if that is not 0. */
bool add_slots(struct stream *self, guint count)
{
    if (!count)
        count = number_of(&self->settings, "buffer.count", 3);
    while (self->slot_count < (count ? count : 1)) {
        struct slot *slot = add_slot(self);
        if (!slot)
            return false;
        slot->state = FREE;
    }
    return true;
}

/* The free slot whose picture is the oldest. */
struct slot *free_slot_of(struct stream *self)
{
    struct slot *first = NULL;
    for (guint number = 0; number < self->slot_count; number++) {
        struct slot *slot = &self->slots[number];
        if (slot->state == FREE && (!first || slot->sequence < first->sequence))
            first = slot;
    }
    return first;
}
