/* Models that the interpreter cannot run: LiteRT runs them on the computer that the virtual camera is on.

   The line to it is a virtio port of the camera, or a socket to a process that is started here, where INCAMERA_LITERT
   names a Python that has incamera. inference_service.py is the other end, and says what goes over the line. That
   process may end at any time: the line is then opened anew, and models are loaded again when they are needed. */
#include "network.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include "host_line.h"

#define PORT_NAME "incamera.inference"
#define MOST_ANSWER (256u << 20)
#define WRITE_SECONDS 20
#define ANSWER_SECONDS 600 /* LiteRT may have to be downloaded */

static const char line_greeting[] = "incamera inference 1 LiteRT";

enum { REMOTE_LOAD = 1, REMOTE_RUN = 2, REMOTE_UNLOAD = 3 };

struct remote_message { /* a request, or an answer */
    uint32_t kind, model;
    uint64_t size;
};

struct told { /* what an answer tells of a tensor */
    char name[64];
    uint32_t type, rank, dims[MOST_DIMS];
};

struct remote {
    uint8_t *file;
    size_t size;
    uint32_t number;
    unsigned line; /* on which it has that number */
};

static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;
static struct host_line remote_line = {-1, 1000 * WRITE_SECONDS, 1000 * ANSWER_SECONDS};
static unsigned line_number; /* opened so far */
static pid_t line_owner, child; /* CHILD: the process that was started here, or 0 */
static char child_python[512];

/* In a process that was forked: a thread that is not there may have held the lock. */
void renew_remote(void)
{
    pthread_mutex_init(&line_lock, NULL);
}

static void close_remote_line(void)
{
    host_line_close(&remote_line);
    if (child && line_owner == getpid()) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    child = 0;
}

static const char *chosen_python(void)
{
    const char *python = getenv("INCAMERA_LITERT");
    return python && *python ? python : NULL;
}

/* Whether there could be a line. */
bool remote_exists(void)
{
    char path[512];
    return chosen_python() || host_line_find_port(PORT_NAME, path, sizeof path);
}

/* The end of a socket whose other end PYTHON has. */
static int start_remote(const char *python)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    char *words[] = {(char *)python, "-E", "-P", "-m", "incamera.virtual.inference_service", NULL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 0);
    bool started = posix_spawn(&child, python, &actions, NULL, words, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    snprintf(child_python, sizeof child_python, "%s", python);
    if (started)
        return ends[0];
    child = 0;
    close(ends[0]);
    return -1;
}

static void leave_stale_line(void)
{
    if (host_line_is_stale(&remote_line))
        close_remote_line();
}

/* Open the line if it is not open. CODE: of the error, since a job that cannot be run says nothing of its model. */
static bool open_line(int code, larodError **error)
{
    const char *python = chosen_python();
    char path[512];
    if (line_owner != getpid()) /* a fork must not use its parent's line */
        close_remote_line();
    if (python && strcmp(python, child_python) != 0)
        close_remote_line();
    leave_stale_line();
    if (remote_line.fd >= 0)
        return true;
    line_owner = getpid();
    if (python)
        remote_line.fd = start_remote(python);
    else if (host_line_find_port(PORT_NAME, path, sizeof path))
        remote_line.fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (remote_line.fd < 0)
        return fail(error, code, "there is no way to LiteRT: %s", strerror(errno));
    line_number++;
    if (host_line_greet(&remote_line, line_greeting, sizeof line_greeting))
        return true;
    close_remote_line();
    return fail(error, code, "LiteRT does not answer");
}

/* Send a request, and read the head of its answer. The request's data is in COUNT parts. */
static bool ask_remote(struct remote_message *message, uint8_t *const *parts, const size_t *sizes, size_t count, int code, larodError **error)
{
    message->size = 0;
    for (size_t number = 0; number < count; number++)
        message->size += sizes[number];
    bool sent = host_line_send(&remote_line, message, sizeof *message);
    for (size_t number = 0; sent && number < count; number++)
        sent = host_line_send(&remote_line, parts[number], sizes[number]);
    if (!sent || !host_line_receive(&remote_line, message, sizeof *message) || message->kind > 1 || message->size > MOST_ANSWER) {
        close_remote_line();
        return fail(error, code, "LiteRT ended: the model may be damaged, or needs too much memory or time");
    }
    if (message->kind == 0)
        return true;
    char text[1024] = "";
    bool is_text = message->size < sizeof text && host_line_receive(&remote_line, text, message->size);
    if (!is_text)
        close_remote_line();
    return fail(error, code, "%s", is_text ? text : "LiteRT's answer cannot be read");
}

/* An answer that is not as it should be: nothing more can be said on this line. */
static bool give_up_line(int code, larodError **error)
{
    close_remote_line();
    return fail(error, code, "LiteRT's answer cannot be read");
}

static bool take_told(struct description *is, const struct told *told)
{
    size_t dims[MOST_DIMS], bytes = type_size((larodTensorDataType)told->type);
    if (told->rank > MOST_DIMS || told->type <= LAROD_TENSOR_DATA_TYPE_UNSPECIFIED || told->type >= LAROD_TENSOR_DATA_TYPE_MAX)
        return false;
    for (uint32_t axis = 0; axis < told->rank; axis++) {
        dims[axis] = told->dims[axis];
        if (dims[axis] < 1 || dims[axis] > MOST_ANSWER / bytes)
            return false;
        bytes *= dims[axis];
    }
    if (told->rank == 0) {
        describe(is, (larodTensorDataType)told->type, LAROD_TENSOR_LAYOUT_UNSPECIFIED, (size_t[]){1}, 1);
        memcpy(is->name, told->name, sizeof is->name - 1);
        return true;
    }
    describe(is, (larodTensorDataType)told->type, told->rank == 4 ? LAROD_TENSOR_LAYOUT_NHWC : LAROD_TENSOR_LAYOUT_UNSPECIFIED,
             dims, told->rank);
    memcpy(is->name, told->name, sizeof is->name - 1);
    return true;
}

/* Read what LiteRT tells of the model. */
static bool read_told(const struct remote_message *message, struct loaded *model)
{
    struct told told[2 * MOST_TENSORS];
    uint32_t counts[2];
    if (message->size < sizeof counts || !host_line_receive(&remote_line, counts, sizeof counts) || counts[0] < 1 || counts[0] > MOST_TENSORS ||
        counts[1] < 1 || counts[1] > MOST_TENSORS)
        return false;
    size_t size = (counts[0] + counts[1]) * sizeof *told;
    if (message->size != sizeof counts + size || !host_line_receive(&remote_line, told, size))
        return false;
    model->input_count = counts[0];
    model->output_count = counts[1];
    bool good = true;
    for (uint32_t number = 0; number < counts[0] + counts[1]; number++) {
        bool output = number >= counts[0];
        struct description *is = output ? &model->outputs[number - counts[0]] : &model->inputs[number];
        good = good && take_told(is, &told[number]);
    }
    return good;
}

static bool load_there(struct remote *remote, struct loaded *model, int code, larodError **error)
{
    struct remote_message message = {.kind = REMOTE_LOAD};
    if (!open_line(code, error) || !ask_remote(&message, &remote->file, &remote->size, 1, code, error))
        return false;
    remote->line = line_number;
    remote->number = message.model;
    return read_told(&message, model) || give_up_line(code, error);
}

/* Load the model in DATA, which becomes its own if that succeeds. */
struct remote *remote_load(uint8_t *data, size_t size, struct loaded *model, larodError **error)
{
    struct remote *remote = calloc(1, sizeof *remote);
    if (!remote) {
        fail(error, ENOMEM, "no memory for a model");
        return NULL;
    }
    *remote = (struct remote){.file = data, .size = size};
    pthread_mutex_lock(&line_lock);
    bool good = load_there(remote, model, LAROD_ERROR_LOAD_MODEL, error);
    pthread_mutex_unlock(&line_lock);
    if (good)
        return remote;
    free(remote);
    return NULL;
}

void remote_unload(struct remote *remote)
{
    if (!remote)
        return;
    pthread_mutex_lock(&line_lock);
    leave_stale_line();
    if (remote_line.fd >= 0 && line_owner == getpid() && remote->line == line_number) {
        struct remote_message message = {.kind = REMOTE_UNLOAD, .model = remote->number};
        ask_remote(&message, NULL, NULL, 0, LAROD_ERROR_DELETE_MODEL, NULL);
    }
    pthread_mutex_unlock(&line_lock);
    free(remote->file);
    free(remote);
}

static size_t sum_of_sizes(const size_t *sizes, size_t count)
{
    size_t sum = 0;
    for (size_t number = 0; number < count; number++)
        sum += sizes[number];
    return sum;
}

static bool run_there(struct remote *remote, struct loaded *model, uint8_t *const *inputs, uint8_t *const *outputs, larodError **error)
{
    size_t in[MOST_TENSORS], out[MOST_TENSORS];
    for (size_t number = 0; number < model->input_count; number++)
        in[number] = byte_size(&model->inputs[number]);
    for (size_t number = 0; number < model->output_count; number++)
        out[number] = byte_size(&model->outputs[number]);
    if (!open_line(LAROD_ERROR_JOB, error))
        return false;
    if (remote->line != line_number) {
        struct loaded again = {0};
        if (!load_there(remote, &again, LAROD_ERROR_JOB, error))
            return false;
        if (again.input_count != model->input_count || again.output_count != model->output_count)
            return give_up_line(LAROD_ERROR_JOB, error);
    }
    struct remote_message message = {.kind = REMOTE_RUN, .model = remote->number};
    if (!ask_remote(&message, inputs, in, model->input_count, LAROD_ERROR_JOB, error))
        return false;
    bool good = message.size == sum_of_sizes(out, model->output_count);
    for (size_t number = 0; good && number < model->output_count; number++)
        good = host_line_receive(&remote_line, outputs[number], out[number]);
    return good || give_up_line(LAROD_ERROR_JOB, error);
}

bool remote_run(struct remote *remote, struct loaded *model, uint8_t *const *inputs, uint8_t *const *outputs, larodError **error)
{
    pthread_mutex_lock(&line_lock);
    bool good = run_there(remote, model, inputs, outputs, error);
    pthread_mutex_unlock(&line_lock);
    return good;
}
