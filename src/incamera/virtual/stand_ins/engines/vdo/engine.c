/* What the engine of video does for a line: it makes a stream, or tells of those that there are. */
#include "objects.h"

#include <poll.h>
#include <time.h>

static bool reply(struct line *line, const struct line_message *request)
{
    return line_answer(line, request, 0, NULL, 0, NULL, 0);
}

static bool deny(struct line *line, const struct line_message *request, int code, const char *message)
{
    return line_answer(line, request, code, message, strlen(message), NULL, 0);
}

static bool answer_fd(struct line *line, const struct line_message *request, int fd)
{
    bool good = line_answer(line, request, 0, NULL, 0, &fd, 1);
    close(fd);
    return good;
}

/* Tell facts and settings of the stream ID. */
static bool answer_facts(struct line *line, const struct line_message *request, guint id, const int *fds, guint fd_count)
{
    struct {
        struct vdo_facts facts;
        uint8_t settings[VDO_MOST_SETTINGS];
    } *answer = malloc(sizeof *answer);
    size_t size = 0;
    bool good;
    if (answer && copy_facts(id, &answer->facts, answer->settings, &size))
        good = line_answer(line, request, 0, answer, sizeof answer->facts + size, fds, fd_count);
    else
        good = deny(line, request, VDO_ERROR_NOT_FOUND, "there is no such stream");
    free(answer);
    return good;
}

/* Tell of COUNT slots from the slot FIRST on. */
static bool answer_slots(struct stream *self, const struct line_message *request, guint first, guint count)
{
    struct vdo_slot slots[VDO_MOST_SLOTS];
    int fds[VDO_MOST_SLOTS];
    for (guint n = 0; n < count; n++) {
        const struct slot *slot = &self->slots[first + n];
        slots[n] = (struct vdo_slot){first + n, 0, slot->offset, slot->capacity};
        fds[n] = slot->fd;
    }
    return line_answer(self->line, request, 0, slots, count * sizeof *slots, fds, count);
}

static bool allocate(struct stream *self, const struct line_message *request)
{
    if (!self->explicit)
        return deny(self->line, request, VDO_ERROR_NOT_SUPPORTED,
                    "buffers are allocated with buffer.strategy EXPLICIT only");
    if (!add_slot(self))
        return deny(self->line, request, self->refusal_code, self->refusal);
    return answer_slots(self, request, self->slot_count - 1, 1);
}

static bool answer_all_slots(struct stream *self, const struct line_message *request)
{
    for (guint n = 0; n < self->slot_count; n++)
        if (self->slots[n].fd < 0)
            return deny(self->line, request, VDO_ERROR_FAILED, "a buffer has been given back");
    return answer_slots(self, request, 0, self->slot_count);
}

static bool answer_start(struct stream *self, const struct line_message *request)
{
    const guint *number = line_content(request, sizeof *number);
    if (!number || self->wish.snapshot)
        return false;
    start_stream(self, *number);
    return reply(self->line, request);
}

static bool answer_rate(struct stream *self, const struct line_message *request)
{
    const double *framerate = line_content(request, sizeof *framerate);
    if (!framerate)
        return false;
    set_rate(self, *framerate);
    return reply(self->line, request);
}

static bool answer_settings(struct stream *self, const struct line_message *request)
{
    struct settings settings = {0};
    if (!take_settings(&settings, request->data, request->size))
        return false;
    replace_settings(self, &settings);
    return reply(self->line, request);
}

static bool answer_check(struct stream *self, const struct line_message *request)
{
    const guint *delivered = line_content(request, sizeof *delivered);
    if (!delivered || !goes_on(self, *delivered))
        return false;
    return reply(self->line, request);
}

static bool answer_events(struct stream *self, const struct line_message *request)
{
    int reader;
    if (open_events(self, &reader))
        return answer_fd(self->line, request, reader);
    return deny(self->line, request, VDO_ERROR_FAILED, "the stream has no event descriptor");
}

/* Do what the stream's program asks. False ends the stream. */
static bool answer(struct stream *self, const struct line_message *request)
{
    switch (request->kind) {
    case VDO_SLOTS: return answer_all_slots(self, request);
    case VDO_ALLOCATE: return allocate(self, request);
    case VDO_START: return answer_start(self, request);
    case VDO_STOP: stop_stream(self); return reply(self->line, request);
    case VDO_RATE: return answer_rate(self, request);
    case VDO_SETTINGS: return answer_settings(self, request);
    case VDO_KEY_FRAME: self->h264.key_wanted = true; return reply(self->line, request);
    case VDO_CHECK: return answer_check(self, request);
    case VDO_EVENTS: return answer_events(self, request);
    case VDO_INFO: return answer_facts(self->line, request, self->facts.id, NULL, 0);
    case VDO_END: unlist_stream(self); reply(self->line, request); return false;
    default: return false;
    }
}

/* Take what the program gives back. False when it has closed its end. */
static bool take_all_back(struct stream *self)
{
    struct vdo_give give;
    ssize_t count;
    while ((count = recv(self->frames, &give, sizeof give, MSG_DONTWAIT)) > 0)
        if (count == (ssize_t)sizeof give)
            take_back(self, &give);
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Wait for the program, and until the next capture that finds a free slot. False when there is nothing more to wait for. */
static bool wait_for_work(struct stream *self, struct pollfd *ready)
{
    struct timespec rest = {0}, *until = NULL;
    if (self->running && free_slot_of(self)) {
        guint64 now = microseconds_now(), wait = self->next_capture > now ? self->next_capture - now : 0;
        rest.tv_sec = (time_t)(wait / 1000000);
        rest.tv_nsec = (long)(wait % 1000000) * 1000;
        until = &rest;
    }
    return ppoll(ready, 2, until, NULL) >= 0 || errno == EINTR;
}

/* Serve the stream until its line ends. What was given back before a request counts before it. */
static void serve_stream(struct stream *self, struct line_message *request)
{
    struct pollfd ready[] = {{.fd = self->line->fd, .events = POLLIN}, {.fd = self->frames, .events = POLLIN}};
    for (;;) {
        catch_up(self);
        ready[0].revents = ready[1].revents = 0;
        if (!wait_for_work(self, ready))
            return;
        if (ready[1].revents && !take_all_back(self))
            return;
        if (!ready[0].revents)
            continue;
        if (!ready[1].revents && !take_all_back(self))
            return;
        enum line_result result = line_receive(self->line->fd, MSG_DONTWAIT, request);
        catch_up(self);
        if (result == LINE_ENDED || (result == LINE_GOT && !answer(self, request)))
            return;
    }
}

static bool open_stream(struct stream *self, const struct line_message *request, int *program_end)
{
    const struct vdo_wish *wish = line_content(request, sizeof *wish);
    int ends[2];
    if (!wish || !take_settings(&self->settings, request->data + sizeof *wish, request->size - sizeof *wish))
        return refuse(self, VDO_ERROR_INVALID_ARGUMENT, "the settings cannot be read");
    guint most = self->line->alone ? camera_setting("INCAMERA_VDO_STREAMS", 8) : 8;
    if (!is_possible(self) || !list_stream(self, most))
        return false;
    if (!make_stream(self, wish))
        return false;
    if (wish->snapshot && self->explicit)
        return refuse(self, VDO_ERROR_INVALID_ARGUMENT, "a snapshot has no buffer.strategy EXPLICIT");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return refuse(self, VDO_ERROR_FAILED, "there is no file descriptor for a stream");
    self->frames = ends[0];
    *program_end = ends[1];
    announce_stream(self);
    if (wish->snapshot)
        send_picture(self, &self->slots[0], microseconds_now());
    return true;
}

static void create_stream(struct line *line, struct line_message *request)
{
    struct stream *self = new_stream(line);
    int program_end = -1;
    if (!self)
        return;
    if (open_stream(self, request, &program_end)) {
        bool good = answer_facts(line, request, self->facts.id, &program_end, 1);
        close(program_end);
        if (good)
            serve_stream(self, request);
    } else {
        unlist_stream(self); /* before the program asks again */
        deny(line, request, self->refusal_code, self->refusal);
    }
    unlist_stream(self);
    free_stream(self);
}

static bool answer_list(struct line *line, const struct line_message *request)
{
    guint ids[VDO_MOST_STREAMS];
    size_t count = list_ids(ids, VDO_MOST_STREAMS);
    return line_answer(line, request, 0, ids, count * sizeof *ids, NULL, 0);
}

static bool answer_info(struct line *line, const struct line_message *request)
{
    const guint *id = line_content(request, sizeof *id);
    return id && answer_facts(line, request, *id, NULL, 0);
}

/* Answer with a picture like the newest stream, or one of the usual size if there is none. */
static bool answer_drawn(struct line *line, const struct line_message *request)
{
    struct stream *stream = new_stream(line);
    struct vdo_picture picture = {0};
    bool good = stream && copy_newest(stream) &&
                make_stream(stream, &(struct vdo_wish){.snapshot = 1, .format = VDO_FORMAT_JPEG,
                                                       .has_fit = stream->wish.has_fit}) &&
                is_drawn_over(stream);
    if (good) {
        capture(stream, &stream->slots[0], microseconds_now(), &picture);
        good = line_answer(line, request, 0, &picture.size, sizeof picture.size, &stream->slots[0].fd, 1);
    } else {
        good = deny(line, request, VDO_ERROR_NO_DATA, "nothing is drawn");
    }
    if (stream)
        free_stream(stream);
    return good;
}

/* Tell of all streams, until the line ends. */
static void serve_watch(struct line *line, struct line_message *request)
{
    int watch, reader = watch_streams(&watch);
    if (reader < 0) {
        deny(line, request, VDO_ERROR_FAILED, "the stream has no event descriptor");
        return;
    }
    if (answer_fd(line, request, reader))
        while (line_next(line, request))
            if (request->kind != VDO_INFO || !answer_info(line, request))
                break;
    unwatch_streams(watch);
}

engine_function engine_vdo;

void engine_vdo(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    bool good = request != NULL;
    while (good && line_next(line, request))
        switch (request->kind) {
        case VDO_CREATE:
            create_stream(line, request);
            good = false;
            break;
        case VDO_WATCH:
            serve_watch(line, request);
            good = false;
            break;
        case VDO_LIST: good = answer_list(line, request); break;
        case VDO_INFO: good = answer_info(line, request); break;
        case VDO_DRAWN: good = answer_drawn(line, request); break;
        default: good = false;
        }
    if (request)
        line_clear(request);
    free(request);
}
