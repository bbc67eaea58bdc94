/* The library's side of its lines to the camera's service. */
#include "objects.h"

#include <sys/mman.h>

engine_function engine_vdo;

static const struct engine own_engines[] = {{"vdo", engine_vdo}, {0}};

struct line *open_line(GError **error)
{
    struct line *line = line_open(own_engines);
    if (!line)
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service is not running");
    return line;
}

/* Ask, and return the answer, which is freed with line_free. NULL when it is an error, or the service has ended. */
struct line_message *ask(struct line *line, guint32 kind, const void *data, size_t size, GError **error)
{
    struct line_message *answer = line ? line_ask(line, kind, data, size) : NULL;
    if (!answer) {
        fail(error, VDO_ERROR_INTERFACE_DOWN, "the video service has been stopped");
        return NULL;
    }
    if (answer->code == 0)
        return answer;
    answer->data[answer->size < LINE_BYTES ? answer->size : LINE_BYTES - 1] = 0;
    fail(error, answer->code, (const char *)answer->data);
    line_free(answer);
    return NULL;
}

/* Ask the stream for something that has no other answer than that it is done. */
bool order(VdoStream *self, guint32 kind, const void *data, size_t size, GError **error)
{
    struct line_message *answer = ask(self->line, kind, data, size, error);
    if (answer)
        line_free(answer);
    return answer != NULL;
}

bool give_back(VdoStream *self, enum vdo_use use, guint slot)
{
    const struct vdo_give give = {use, slot};
    return line_is_own(self->line) && send(self->frames, &give, sizeof give, MSG_NOSIGNAL) == (ssize_t)sizeof give;
}

void unmap_slot(struct slot *slot)
{
    if (slot->data)
        munmap(slot->data, slot->capacity);
    if (slot->fd >= 0)
        close(slot->fd);
    *slot = (struct slot){.fd = -1};
}

/* Map the memory that an answer to VDO_SLOTS or VDO_ALLOCATE brings. */
bool map_slots(VdoStream *self, struct line_message *answer)
{
    const struct vdo_slot *given = (const struct vdo_slot *)answer->data;
    for (unsigned n = 0; n < answer->size / sizeof *given; n++) {
        struct slot slot = {.fd = line_take_fd(answer, n), .offset = given[n].offset, .capacity = given[n].capacity};
        if (given[n].number != self->slot_count || self->slot_count == VDO_MOST_SLOTS || slot.fd < 0) {
            unmap_slot(&slot);
            return false;
        }
        gpointer data =
            mmap(NULL, slot.capacity, PROT_READ | PROT_WRITE, MAP_SHARED, slot.fd, (off_t)given[n].offset);
        slot.data = data == MAP_FAILED ? NULL : data;
        self->slots[self->slot_count++] = slot;
        if (!slot.data)
            return false;
    }
    return true;
}
