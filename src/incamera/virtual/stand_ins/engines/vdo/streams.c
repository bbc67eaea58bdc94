/* All streams of the camera, and who watches them: for each event, bytes in a pipe that a program waits for. */
#include "objects.h"

#include <fcntl.h>

enum { MOST_WATCHES = 64 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stream *first_stream;
static guint stream_count, last_id;
static int watches[MOST_WATCHES]; /* the writing end of each pipe, and one more; 0: none */

static void lock_streams(void)
{
    pthread_mutex_lock(&lock);
}

static void unlock_streams(void)
{
    pthread_mutex_unlock(&lock);
}

/* Where a program forks while a thread of its own holds the lock, the child would wait for ever. */
__attribute__((constructor)) static void keep_lock_over_forks(void)
{
    pthread_atfork(lock_streams, unlock_streams, unlock_streams);
}

/* A full pipe loses the event: nobody reads. */
static void write_event(int pipe, guint kind, guint id)
{
    const struct vdo_event event = {kind, id};
    if (pipe >= 0 && write(pipe, &event, sizeof event) < 0)
        return;
}

static void tell_watches(guint kind, guint id)
{
    for (guint n = 0; n < MOST_WATCHES; n++)
        if (watches[n])
            write_event(watches[n] - 1, kind, id);
}

/* Add the stream to those of the camera, which has room for MOST. */
bool list_stream(struct stream *self, guint most)
{
    lock_streams();
    bool good = stream_count < most;
    if (good) {
        stream_count++;
        self->listed = true;
        self->facts.id = ++last_id;
        self->next = first_stream;
        first_stream = self;
    }
    unlock_streams();
    return good || refuse(self, VDO_ERROR_BUSY, "the camera has no more streams");
}

/* Those who watch may ask for its size at once. */
void announce_stream(struct stream *self)
{
    lock_streams();
    self->announced = true;
    tell_watches(VDO_STREAM_EVENT_CREATED, self->facts.id);
    unlock_streams();
}

static void forget_stream(struct stream *self)
{
    if (!self->listed)
        return;
    self->listed = false;
    stream_count--;
    for (struct stream **at = &first_stream; *at; at = &(*at)->next)
        if (*at == self) {
            *at = self->next;
            break;
        }
    if (self->announced)
        tell_watches(VDO_STREAM_EVENT_CLOSED, self->facts.id);
}

void unlist_stream(struct stream *self)
{
    lock_streams();
    forget_stream(self);
    unlock_streams();
}

/* End all streams, as when the service restarts. Their threads see the end of their lines. */
void end_all_streams(void)
{
    lock_streams();
    while (first_stream) {
        struct stream *stream = first_stream;
        shutdown(stream->frames, SHUT_RDWR);
        shutdown(stream->line->fd, SHUT_RDWR);
        forget_stream(stream);
    }
    unlock_streams();
}

void note_facts(struct stream *self, guint sequence, guint lost)
{
    __atomic_store_n(&self->facts.sequence, sequence, __ATOMIC_RELAXED);
    __atomic_store_n(&self->facts.lost, lost, __ATOMIC_RELAXED);
}

/* The numbers of all streams, the oldest first. */
size_t list_ids(guint *ids, size_t most)
{
    size_t count = 0;
    lock_streams();
    for (struct stream *stream = first_stream; stream && count < most; stream = stream->next)
        if (stream->announced)
            ids[count++] = stream->facts.id;
    unlock_streams();
    for (size_t n = 0; n < count / 2; n++) {
        guint id = ids[n];
        ids[n] = ids[count - 1 - n];
        ids[count - 1 - n] = id;
    }
    return count;
}

/* Copy what is known of the stream ID, and its settings, which have VDO_MOST_SETTINGS bytes at most. */
bool copy_facts(guint id, struct vdo_facts *facts, uint8_t *settings, size_t *size)
{
    bool found = false;
    lock_streams();
    for (struct stream *stream = first_stream; stream && !found; stream = stream->next)
        if (stream->announced && stream->facts.id == id) {
            *facts = stream->facts;
            *size = stream->settings.size;
            memcpy(settings, stream->settings.data, *size);
            found = true;
        }
    unlock_streams();
    return found;
}

/* Let COPY have number and settings of the newest stream, if there is one. */
bool copy_newest(struct stream *copy)
{
    bool good = true;
    lock_streams();
    struct stream *newest = first_stream;
    while (newest && !newest->announced)
        newest = newest->next;
    if (newest) {
        copy->facts.id = newest->facts.id;
        copy->wish = newest->wish;
        good = take_settings(&copy->settings, newest->settings.data, newest->settings.size);
    }
    unlock_streams();
    return good;
}

void replace_settings(struct stream *self, struct settings *settings)
{
    lock_streams();
    struct settings before = self->settings;
    self->settings = *settings;
    unlock_streams();
    drop_settings(&before);
}

/* Make a pipe for events. Both ends are the caller's. */
static bool make_pipe(int *reader, int *writer)
{
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    *reader = ends[0];
    *writer = ends[1];
    return true;
}

/* Open a pipe with the events of all streams, which tells first which there are. Returns its reading end, or -1; *WATCH ends
   it. */
int watch_streams(int *watch)
{
    int reader, writer;
    *watch = -1;
    if (!make_pipe(&reader, &writer))
        return -1;
    lock_streams();
    for (int n = 0; n < MOST_WATCHES && *watch < 0; n++)
        if (watches[n] == 0)
            *watch = n;
    if (*watch >= 0) {
        watches[*watch] = writer + 1;
        for (struct stream *stream = first_stream; stream; stream = stream->next)
            if (stream->announced)
                write_event(writer, VDO_STREAM_EVENT_EXISTING, stream->facts.id);
    }
    unlock_streams();
    if (*watch >= 0)
        return reader;
    close(reader);
    close(writer);
    return -1;
}

void unwatch_streams(int watch)
{
    lock_streams();
    close(watches[watch] - 1);
    watches[watch] = 0;
    unlock_streams();
}

/* Open the pipe of the stream's own events. */
bool open_events(struct stream *self, int *reader)
{
    return self->events < 0 && make_pipe(reader, &self->events);
}

/* Tell of an event of the stream's own. */
void tell_stream(struct stream *self, guint kind)
{
    write_event(self->events, kind, self->facts.id);
}
