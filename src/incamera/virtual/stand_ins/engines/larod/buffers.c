/* Buffers that the service keeps for a client: those that it has made, and those that a client has told it of. */
#include "objects.h"

#include <fcntl.h>
#include <sys/mman.h>

#define MOST_BUFFER_BYTES (256u << 20) /* that the service has made for a session */

static void free_buffer(struct buffer *buffer)
{
    if (buffer->mapping)
        munmap(buffer->mapping, buffer->mapping_size);
    if (buffer->fd >= 0)
        close(buffer->fd);
}

/* A free place, with a new number. The session is locked. */
static struct tracked *new_place(struct session *session, larodError **error)
{
    for (size_t number = 0; number < MOST_TRACKED; number++)
        if (session->tracked[number].id == 0) {
            session->tracked[number] = (struct tracked){.id = ++session->last_tracked};
            return &session->tracked[number];
        }
    fail(error, LAROD_ERROR_ALLOC, "a connection can track %d tensors at most", MOST_TRACKED);
    return NULL;
}

/* Forget TRACKED, which no job uses. The session is locked. */
static void free_place(struct tracked *tracked)
{
    free_buffer(&tracked->buffer);
    tracked->id = 0;
}

/* FD becomes the session's, if that succeeds. */
bool track_buffer(struct session *session, const struct ask_tensor *ask, int fd, bool is_made, uint32_t *id,
                  larodError **error)
{
    pthread_mutex_lock(&session->lock);
    struct tracked *tracked = new_place(session, error);
    if (tracked) {
        tracked->buffer =
            (struct buffer){.fd = fd, .size = ask->size, .offset = ask->offset, .properties = ask->properties};
        tracked->is_made = is_made;
        *id = tracked->id;
    }
    pthread_mutex_unlock(&session->lock);
    return tracked;
}

void forget_buffer(struct session *session, uint32_t id)
{
    pthread_mutex_lock(&session->lock);
    for (size_t number = 0; id && number < MOST_TRACKED; number++) {
        struct tracked *tracked = &session->tracked[number];
        if (tracked->id != id || tracked->forgotten)
            continue;
        tracked->forgotten = true;
        if (tracked->uses == 0)
            free_place(tracked);
    }
    pthread_mutex_unlock(&session->lock);
}

/* All of the session, whose jobs have ended. */
void forget_buffers(struct session *session)
{
    for (size_t number = 0; number < MOST_TRACKED; number++)
        if (session->tracked[number].id)
            free_place(&session->tracked[number]);
}

/* The tracked buffer ID, which stays until end_use; NULL if there is none. */
struct tracked *use_tracked(struct session *session, uint32_t id)
{
    struct tracked *found = NULL;
    pthread_mutex_lock(&session->lock);
    for (size_t number = 0; id && number < MOST_TRACKED && !found; number++)
        if (session->tracked[number].id == id && !session->tracked[number].forgotten)
            found = &session->tracked[number];
    if (found)
        found->uses++;
    pthread_mutex_unlock(&session->lock);
    return found;
}

void end_use(struct session *session, struct tracked *tracked)
{
    pthread_mutex_lock(&session->lock);
    if (--tracked->uses == 0 && tracked->forgotten)
        free_place(tracked);
    pthread_mutex_unlock(&session->lock);
}

/* How much memory the service has made for the session. */
static uint64_t made_bytes(struct session *session)
{
    uint64_t sum = 0;
    pthread_mutex_lock(&session->lock);
    for (size_t number = 0; number < MOST_TRACKED; number++)
        if (session->tracked[number].id && session->tracked[number].is_made)
            sum += session->tracked[number].buffer.size;
    pthread_mutex_unlock(&session->lock);
    return sum;
}

static int new_memory(uint64_t size)
{
    int fd = memfd_create("larod-tensor", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Make buffers for all inputs or outputs of a model. FDS become the client's, and are closed by the caller. */
bool make_buffers(struct session *session, const struct ask_buffers *ask, struct told_buffers *told, int *fds,
                  larodError **error)
{
    struct loaded *model = find_model(session, ask->model, error);
    if (!model)
        return false;
    const struct description *are = ask->outputs ? model->outputs : model->inputs;
    told->count = (uint32_t)(ask->outputs ? model->output_count : model->input_count);
    const struct known *known = model->device.known;
    uint32_t makes = ask->outputs && known->kind == RUNS_TFLITE ? LAROD_FD_TYPE_DISK : known->makes;
    told->properties = ask->properties ? ask->properties : makes;
    bool good = !(ask->properties & ~(makes | LAROD_FD_PROP_MAP)) ||
                fail(error, LAROD_ERROR_ALLOC, "%s makes no buffers of this kind", known->name);
    uint32_t made = 0;
    for (; good && made < told->count; made++) {
        uint64_t size = byte_size(&are[made]);
        int fd = size <= MOST_BUFFER_BYTES - made_bytes(session) ? new_memory(size) : -1, copy = -1;
        if (fd >= 0)
            copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        good = copy >= 0 || fail(error, LAROD_ERROR_ALLOC, "no memory for a tensor of %llu bytes", (unsigned long long)size);
        const struct ask_tensor as = {.properties = told->properties, .size = size};
        good = good && track_buffer(session, &as, copy, true, &told->tracked[made], error);
        if (!good) {
            if (fd >= 0)
                close(fd);
            if (copy >= 0)
                close(copy);
            break;
        }
        fds[made] = fd;
    }
    while (!good && made-- > 0) {
        forget_buffer(session, told->tracked[made]);
        close(fds[made]);
    }
    let_go(model);
    return good;
}
