/* The engine of inference: sessions, and what they ask. */
#include "objects.h"

#include "faults.h"

engine_function engine_larod;

static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;
static struct session *sessions;
static unsigned service_generation = 1, jobs_done, refused_connections;
static pid_t process;

unsigned current_generation(void)
{
    return __atomic_load_n(&service_generation, __ATOMIC_RELAXED);
}

static void restart_service(void)
{
    __atomic_add_fetch(&service_generation, 1, __ATOMIC_RELAXED);
}

/* A new number of the fault inference-restart is a restart of the service. */
static void meet_restart(void)
{
    static unsigned long long restarts;
    if (fault_restarted("inference-restart", &restarts))
        restart_service();
}

/* A restart of the service ends all connections. */
bool is_connected(const struct session *session, larodError **error)
{
    meet_restart();
    if (faults_exist() && fault_is_set("inference-down", NULL))
        restart_service();
    if (session->generation != current_generation())
        return fail(error, LAROD_ERROR_CONNECTION, "the connection to the larod service is lost");
    return true;
}

/* The service restarts after so many jobs, if INCAMERA_LAROD_RESTART_AFTER says so. */
void service_did_a_job(void)
{
    unsigned limit = larod_setting("INCAMERA_LAROD_RESTART_AFTER", 0);
    unsigned done = __atomic_add_fetch(&jobs_done, 1, __ATOMIC_RELAXED);
    if (limit && done % limit == 0)
        restart_service();
}

static bool may_connect(larodError **error)
{
    meet_restart();
    if (faults_exist() && fault_is_set("inference-down", NULL))
        return fail(error, LAROD_ERROR_CONNECTION, "the larod service does not answer");
    if (faults_exist() && fault_is_set("device-busy", NULL))
        return fail(error, LAROD_ERROR_CREATE_SESSION, "the larod service has no more sessions");
    if (__atomic_load_n(&jobs_done, __ATOMIC_RELAXED) && take_one("INCAMERA_LAROD_DOWN_FOR", &refused_connections))
        return fail(error, LAROD_ERROR_CONNECTION, "the larod service does not answer");
    return true;
}

/* In a process that was forked there are no threads of the engine, and no sessions. */
static void meet_fork(void)
{
    pid_t before = __atomic_exchange_n(&process, getpid(), __ATOMIC_ACQ_REL);
    if (before && before != getpid()) {
        pthread_mutex_init(&sessions_lock, NULL);
        sessions = NULL;
        renew_models_lock();
        renew_turns();
        renew_remote();
    }
}

static struct session *begin_session(void)
{
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return NULL;
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->idle, NULL);
    session->ends = -1;
    session->generation = current_generation();
    session->device_count = read_devices(session->devices);
    pthread_mutex_lock(&sessions_lock);
    session->next = sessions;
    sessions = session;
    pthread_mutex_unlock(&sessions_lock);
    return session;
}

static void end_session(struct session *session)
{
    pthread_mutex_lock(&sessions_lock);
    struct session **place = &sessions;
    while (*place != session)
        place = &(*place)->next;
    *place = session->next;
    pthread_mutex_unlock(&sessions_lock);
    end_jobs(session);
    delete_models(session);
    forget_buffers(session);
    pthread_mutex_destroy(&session->lock);
    pthread_cond_destroy(&session->idle);
    free(session);
}

static uint64_t count_sessions(void)
{
    uint64_t count = 0;
    pthread_mutex_lock(&sessions_lock);
    for (const struct session *session = sessions; session; session = session->next)
        count += session->generation == current_generation();
    pthread_mutex_unlock(&sessions_lock);
    return count;
}

/* What a request is answered with. */
struct reply {
    union {
        struct told_open open;
        struct told_sessions sessions;
        struct told_model model;
        struct told_models models;
        struct told_buffers buffers;
        struct told_tracked tracked;
    } told;
    size_t size;
    int fds[MOST_TENSORS];
    unsigned fd_count;
};

static void tell_devices(const struct session *session, struct reply *reply)
{
    struct told_open *told = &reply->told.open;
    *told = (struct told_open){.count = (uint32_t)session->device_count};
    for (size_t number = 0; number < session->device_count; number++) {
        memcpy(told->devices[number].name, session->devices[number].name, DEVICE_NAME);
        told->devices[number].chip = session->devices[number].known->chip;
    }
    reply->size = sizeof *told;
}

static bool tell_found(struct loaded *model, struct reply *reply)
{
    if (!model)
        return false;
    tell_model(model, &reply->told.model);
    reply->size = sizeof reply->told.model;
    return true;
}

static bool answer_model(struct session *session, const struct ask_model *ask, struct reply *reply, larodError **error)
{
    struct loaded *model = find_model(session, ask->id, error);
    if (!tell_found(model, reply))
        return false;
    let_go(model);
    return true;
}

static bool answer_buffers(struct session *session, const struct ask_buffers *ask, struct reply *reply, larodError **error)
{
    struct told_buffers *told = &reply->told.buffers;
    *told = (struct told_buffers){0};
    if (!make_buffers(session, ask, told, reply->fds, error))
        return false;
    reply->fd_count = told->count;
    reply->size = sizeof *told;
    return true;
}

static bool answer_track(struct session *session, const struct ask_tensor *ask, struct line_message *request,
                         struct reply *reply, larodError **error)
{
    int fd = line_take_fd(request, 0);
    if (fd < 0 || ask->offset < 0) {
        if (fd >= 0)
            close(fd);
        return fail(error, LAROD_ERROR_FD, "a tensor without a file descriptor cannot be tracked");
    }
    if (!track_buffer(session, ask, fd, false, &reply->told.tracked.tracked, error)) {
        close(fd);
        return false;
    }
    reply->size = sizeof reply->told.tracked;
    return true;
}

/* A socket for the ends of jobs. A client may lose one, and ask for another. */
static bool answer_ends(struct session *session, struct reply *reply, larodError **error)
{
    int ends[2];
    pthread_mutex_lock(&session->lock);
    bool good = session->running == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
    if (good) {
        if (session->ends >= 0)
            close(session->ends);
        session->ends = ends[0];
        reply->fds[reply->fd_count++] = ends[1];
    }
    pthread_mutex_unlock(&session->lock);
    return good || fail(error, LAROD_ERROR_JOB, "no socket for the ends of jobs");
}

static void forget(struct session *session, const struct ask_forget *ask)
{
    for (uint32_t number = 0; number < ask->count && number < MOST_TRACKED; number++)
        forget_buffer(session, ask->tracked[number]);
}

/* Do what a request asks. Its content has been found to be long enough. */
static bool answer(struct session *session, struct line_message *request, struct reply *reply, larodError **error)
{
    const void *ask = request->data;
    switch (request->kind) {
    case ASK_CHECK:
        return true;
    case ASK_SESSIONS:
        reply->told.sessions.count = count_sessions();
        reply->size = sizeof reply->told.sessions;
        return true;
    case ASK_LOAD:
        return tell_found(load_model(session, ask, request->fd_count ? request->fds[0] : -1, error), reply);
    case ASK_MODEL:
        return answer_model(session, ask, reply, error);
    case ASK_MODELS:
        list_models(session, &reply->told.models);
        reply->size = sizeof reply->told.models;
        return true;
    case ASK_DELETE:
        return delete_model(session, ((const struct ask_model *)ask)->id, error);
    case ASK_BUFFERS:
        return answer_buffers(session, ask, reply, error);
    case ASK_TRACK:
        return answer_track(session, ask, request, reply, error);
    case ASK_FORGET:
        forget(session, ask);
        return true;
    case ASK_RUN:
        return run_job(session, ask, request, error);
    case ASK_START:
        return start_job(session, ask, request, error);
    case ASK_ENDS:
        return answer_ends(session, reply, error);
    default:
        return fail(error, EINVAL, "the service does not know this request");
    }
}

static size_t size_of_request(uint32_t kind)
{
    switch (kind) {
    case ASK_LOAD:
        return sizeof(struct ask_load);
    case ASK_MODEL:
    case ASK_DELETE:
        return sizeof(struct ask_model);
    case ASK_BUFFERS:
        return sizeof(struct ask_buffers);
    case ASK_TRACK:
        return sizeof(struct ask_tensor);
    case ASK_FORGET:
        return sizeof(struct ask_forget);
    case ASK_RUN:
    case ASK_START:
        return sizeof(struct ask_run);
    default:
        return 0;
    }
}

static bool send_reply(struct line *line, const struct line_message *request, bool good, struct reply *reply, larodError *error)
{
    bool sent;
    if (good) {
        sent = line_answer(line, request, 0, &reply->told, reply->size, reply->fds, reply->fd_count);
    } else {
        const char *text = error && error->msg ? error->msg : "the service has no memory";
        int code = error && error->code ? (int)error->code : LAROD_ERROR_ALLOC;
        sent = line_answer(line, request, code, text, strlen(text) + 1, NULL, 0);
    }
    for (unsigned number = 0; number < reply->fd_count; number++)
        close(reply->fds[number]);
    return sent;
}

/* Answer one request. False when the line is to end. */
static bool serve_request(struct line *line, struct session **session, struct line_message *request, struct reply *reply)
{
    larodError *error = NULL;
    reply->size = reply->fd_count = 0;
    bool good = true, begins = request->kind == ASK_OPEN && !*session;
    if (!line_content(request, size_of_request(request->kind)))
        return false;
    if (begins) {
        good = may_connect(&error);
        *session = good ? begin_session() : NULL;
        good = good && *session;
        if (good)
            tell_devices(*session, reply);
    } else if (!*session) {
        return false;
    } else {
        good = is_connected(*session, &error) && answer(*session, request, reply, &error);
    }
    bool sent = send_reply(line, request, good, reply, error);
    clear_error(&error);
    return sent;
}

void engine_larod(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    struct reply *reply = calloc(1, sizeof *reply);
    struct session *session = NULL;
    meet_fork();
    if (!line->alone)
        install_guard();
    while (request && reply && line_next(line, request) && serve_request(line, &session, request, reply))
        ;
    if (session)
        end_session(session);
    if (request)
        line_clear(request);
    free(request);
    free(reply);
}
