/* What the stand-ins of the message broker and of the Data Hub share: a log that all programs of a camera write and
   read, and a thread for each connection, which calls back.

   A line of the log is a message: topic, key, microseconds since 1970, JSON. The key is the source or the instance. When
   the log is long, it is renamed, and its last line is the number in its new name. */
#ifndef STAND_INS_MESSAGES_H
#define STAND_INS_MESSAGES_H

#include "faults.h"
#include "files.h"
#include "scene.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#define MESSAGES_FOLDER "/run/incamera-messages"
#define MOST_LOG (1024 * 1024)
#define MOST_OLD_LOGS 4
#define MOST_TOPICS 32
#define LOOK_MILLISECONDS 100

struct message {
    struct message *next;
    int64_t time; /* microseconds since 1970 */
    bool historical;
    const char *topic, *key, *data;
    char text[]; /* which has all of them */
};

/* Who reads some topics. DELIVER is called in the hub's thread; first with NULL, when the reader has begun. */
struct reader {
    struct reader *next;
    const char *topics[MOST_TOPICS];
    unsigned count;
    const char *key; /* NULL: messages with any key */
    bool historical, active, begun, busy, ended;
    void (*deliver)(void *data, const struct message *message);
    void *data;
    void (*free_data)(void *data);
    struct message *first;
    FILE *log;
    off_t before; /* what was in the log when it began */
    char name[64]; /* of the file that tells what it reads */
    int file;
};

struct hub {
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    pthread_t thread;
    bool running, stop, down;
    int inotify, wake;
    char folder[PATH_SIZE];
    struct reader *readers;
    void (*look)(void *data);      /* called now and then, in the thread */
    void (*lost)(void *data);      /* called in the thread when the service is gone */
    void *data;
    unsigned called;
    unsigned long long restarts; /* what the fault of restarts was the last time */
    int64_t shown; /* the last picture of the scene that was told */
};

static inline unsigned messages_setting(const char *name)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static inline int64_t messages_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Letters, digits, and - _ . : what the name of a topic has. */
static inline bool is_topic_name(const char *name)
{
    if (!name || !*name || strlen(name) > 200 || name[0] == '.')
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("-_.", *name))
            return false;
    return true;
}

/* JSON */

static inline const char *json_space(const char *at)
{
    while (*at && strchr(" \t\r\n", *at))
        at++;
    return at;
}

static inline const char *json_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\' && !*++at)
            return NULL;
    }
    return at + 1;
}

/* Returns what comes after the value at AT, or NULL if that is no JSON. */
static inline const char *json_value(const char *at, unsigned depth)
{
    static const char *const words[] = {"true", "false", "null"};
    at = json_space(at);
    if (depth > 100)
        return NULL;
    if (*at == '"')
        return json_string(at);
    if (*at == '{' || *at == '[') {
        bool object = *at == '{';
        char end = object ? '}' : ']';
        at = json_space(at + 1);
        if (*at == end)
            return at + 1;
        for (;;) {
            if (object) {
                at = json_string(json_space(at));
                at = at ? json_space(at) : NULL;
                if (!at || *at++ != ':')
                    return NULL;
            }
            at = json_value(at, depth + 1);
            at = at ? json_space(at) : NULL;
            if (!at || (*at != ',' && *at != end))
                return NULL;
            if (*at++ == end)
                return at;
        }
    }
    for (unsigned n = 0; n < 3; n++)
        if (strncmp(at, words[n], strlen(words[n])) == 0)
            return at + strlen(words[n]);
    const char *number = at;
    at += *at == '-';
    if (!isdigit((unsigned char)*at))
        return NULL;
    while (*at && strchr("0123456789.eE+-", *at))
        at++;
    return at - number > 400 ? NULL : at;
}

static inline bool is_json(const char *text)
{
    const char *end = text ? json_value(text, 0) : NULL;
    return end && *json_space(end) == 0;
}

/* The text of a member of the object TEXT, which is JSON; "" if it has none, or if that has escapes. */
static inline void json_member(const char *text, const char *name, char *value, size_t size)
{
    const char *at = json_space(text);
    value[0] = 0;
    if (*at++ != '{')
        return;
    for (at = json_space(at); *at == '"'; at = json_space(at + 1)) {
        const char *key = at + 1;
        at = json_string(at);
        bool found = (size_t)(at - key) == strlen(name) + 1 && strncmp(key, name, strlen(name)) == 0;
        const char *start = json_space(json_space(at) + 1);
        at = json_value(start, 1);
        if (found && *start == '"' && !memchr(start, '\\', (size_t)(at - start)) && (size_t)(at - start) < size)
            snprintf(value, size, "%.*s", (int)(at - start - 2), start + 1);
        at = json_space(at);
        if (*at != ',')
            return;
    }
}

/* The log */

static inline void messages_path(const char *folder, const char *name, char *path)
{
    snprintf(path, 2 * PATH_SIZE, "%s/%s", folder, name);
}

/* Begin a new log, if it is long. The lock is held. */
static inline void messages_begin_log(const char *folder)
{
    char path[2 * PATH_SIZE], old[2 * PATH_SIZE], line[32];
    struct stat status;
    unsigned number = 0, found;
    messages_path(folder, "log", path);
    if (stat(path, &status) != 0 || status.st_size <= MOST_LOG)
        return;
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (sscanf(entry->d_name, "log.%u", &found) == 1 && found > number)
            number = found;
    if (directory)
        closedir(directory);
    number++;
    int size = snprintf(line, sizeof line, "next\t%u\n", number);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd < 0)
        return;
    service_write(fd, line, (size_t)size);
    close(fd);
    snprintf(old, sizeof old, "%s/log.%u", folder, number);
    rename(path, old);
    if (number > MOST_OLD_LOGS) {
        snprintf(old, sizeof old, "%s/log.%u", folder, number - MOST_OLD_LOGS);
        unlink(old);
    }
}

/* Append text that has become one field: valid JSON has no tab and no line's end but between its parts. */
static inline char *messages_field(char *at, const char *text)
{
    for (; *text; text++)
        *at++ = strchr("\t\r\n", *text) ? ' ' : *text;
    return at;
}

/* Send a message to all programs. */
static inline bool messages_write(const char *folder, const char *topic, const char *key, const char *data)
{
    char path[2 * PATH_SIZE], start[512];
    snprintf(start, sizeof start, "%s\t", topic);
    char *line = malloc(strlen(start) + strlen(key) + strlen(data) + 64), *at = line;
    if (!line)
        return false;
    at = messages_field(stpcpy(at, start), key);
    at += sprintf(at, "\t%" PRId64 "\t", messages_now(CLOCK_REALTIME));
    at = messages_field(at, data);
    *at++ = '\n';
    int lock = service_lock(folder);
    if (lock >= 0)
        messages_begin_log(folder);
    messages_path(folder, "log", path);
    int fd = lock < 0 ? -1 : service_open(path, O_WRONLY | O_APPEND);
    bool done = fd >= 0 && service_write(fd, line, (size_t)(at - line));
    if (fd >= 0)
        close(fd);
    if (lock >= 0)
        close(lock);
    free(line);
    return done;
}

static inline struct message *messages_new(const char *topic, const char *key, int64_t time, const char *data)
{
    size_t sizes[] = {strlen(topic) + 1, strlen(key) + 1, strlen(data) + 1};
    struct message *message = calloc(1, sizeof *message + sizes[0] + sizes[1] + sizes[2]);
    if (!message)
        return NULL;
    message->time = time;
    message->topic = memcpy(message->text, topic, sizes[0]);
    message->key = memcpy(message->text + sizes[0], key, sizes[1]);
    message->data = memcpy(message->text + sizes[0] + sizes[1], data, sizes[2]);
    return message;
}

/* Readers. The hub's mutex is held in these functions. */

static inline bool reader_wants(const struct reader *reader, const char *topic, const char *key)
{
    if (reader->key && strcmp(reader->key, key) != 0)
        return false;
    for (unsigned n = 0; n < reader->count; n++)
        if (strcmp(reader->topics[n], topic) == 0)
            return true;
    return false;
}

static inline void reader_add(struct reader *reader, struct message *message)
{
    struct message **last = &reader->first;
    while (*last)
        last = &(*last)->next;
    *last = message;
}

/* Take what the log has. LINE is written to. Returns the number of the next log, or 0. */
static inline unsigned reader_take_line(struct reader *reader, char *line, off_t end)
{
    char *rest = NULL, *topic = strtok_r(line, "\t\n", &rest), *key = topic ? strsep(&rest, "\t\n") : NULL;
    if (topic && key && strcmp(topic, "next") == 0)
        return (unsigned)strtoul(key, NULL, 10) + 1;
    char *time = key ? strsep(&rest, "\t\n") : NULL, *data = time ? strsep(&rest, "\t\n") : NULL;
    if (!data || !reader_wants(reader, topic, key))
        return 0;
    struct message *message = messages_new(topic, key, strtoll(time, NULL, 10), data);
    if (message) {
        message->historical = end <= reader->before;
        reader_add(reader, message);
    }
    return 0;
}

static inline void reader_open(struct reader *reader, const char *folder, unsigned number)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/log.%u", folder, number);
    FILE *log = number ? fopen(path, "re") : NULL;
    if (!log) {
        messages_path(folder, "log", path);
        int fd = service_open(path, O_RDONLY);
        log = fd < 0 ? NULL : fdopen(fd, "r");
    }
    if (reader->log)
        fclose(reader->log);
    reader->log = log;
}

/* Take what is new in the log. The folder's lock is held, so that each line is whole. */
static inline void reader_take(struct reader *reader, const char *folder)
{
    char *line = NULL;
    size_t room = 0;
    while (reader->log) {
        clearerr(reader->log);
        if (getline(&line, &room, reader->log) < 0)
            break;
        unsigned next = reader_take_line(reader, line, ftello(reader->log));
        if (next) {
            reader->before = 0;
            reader_open(reader, folder, next);
        }
    }
    free(line);
}

/* Tell other programs which topics are read, as long as this program lives. */
static inline void reader_show(struct reader *reader, const char *folder)
{
    static unsigned last;
    char path[2 * PATH_SIZE];
    messages_path(folder, "readers", path);
    if (!service_make_folder(path))
        return;
    snprintf(reader->name, sizeof reader->name, "readers/%d.%u", (int)getpid(), __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED));
    messages_path(folder, reader->name, path);
    reader->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (reader->file < 0)
        return;
    flock(reader->file, LOCK_EX | LOCK_NB);
    for (unsigned n = 0; n < reader->count; n++) {
        service_write(reader->file, reader->topics[n], strlen(reader->topics[n]));
        service_write(reader->file, "\n", 1);
    }
}

/* Whether a program reads TOPIC. */
static inline bool messages_is_read(const char *folder, const char *topic)
{
    char path[2 * PATH_SIZE], file[3 * PATH_SIZE], text[16384];
    bool found = false;
    int lock = service_lock(folder); /* else a file could be seen before its program has locked it */
    messages_path(folder, "readers", path);
    DIR *directory = opendir(path);
    for (struct dirent *entry; directory && !found && (entry = readdir(directory));) {
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        int fd = entry->d_name[0] == '.' ? -1 : open(file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
            unlink(file); /* its program was killed */
        } else {
            ssize_t size = read(fd, text, sizeof text - 1);
            text[size > 0 ? size : 0] = 0;
            for (char *rest = NULL, *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
                found |= strcmp(line, topic) == 0;
        }
        close(fd);
    }
    if (directory)
        closedir(directory);
    if (lock >= 0)
        close(lock);
    return found;
}

static inline void reader_free(const struct hub *hub, struct reader *reader)
{
    char path[2 * PATH_SIZE];
    if (reader->file >= 0) {
        messages_path(hub->folder, reader->name, path);
        unlink(path);
        close(reader->file);
    }
    while (reader->first) {
        struct message *message = reader->first;
        reader->first = message->next;
        free(message);
    }
    if (reader->log)
        fclose(reader->log);
    for (unsigned n = 0; n < reader->count; n++)
        free((char *)reader->topics[n]);
    free((char *)reader->key);
    if (reader->free_data)
        reader->free_data(reader->data);
    free(reader);
}

/* The known scene: the square of the pictures is told ten times a second, as an analytics service does. */

#define SCENE_TOPIC "com.axis.analytics_scene_description.v0.beta"
#define HUB_SCENE_TOPIC "mdb." SCENE_TOPIC
#define HUB_FRAME_TOPIC "com.axis.scene.frame.v1"
#define TELL_MICROSECONDS 100000

static inline void hub_tell(struct hub *hub, const char *topic, const char *data)
{
    for (struct reader *reader = hub->readers; reader; reader = reader->next)
        if (reader->active && reader_wants(reader, topic, "1")) {
            struct message *message = messages_new(topic, "1", messages_now(CLOCK_REALTIME), data);
            if (message)
                reader_add(reader, message);
        }
}

static inline void hub_tell_scene(struct hub *hub)
{
    char data[512], time[64];
    int64_t now = messages_now(CLOCK_REALTIME), picture = now / TELL_MICROSECONDS;
    if (picture == hub->shown)
        return;
    hub->shown = picture;
    time_t seconds = (time_t)(now / 1000000);
    struct tm parts;
    size_t size = strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
    snprintf(time + size, sizeof time - size, ".%06dZ", (int)(now % 1000000));
    /* In a picture of 16:9, the square has the side height / 4, and its way is as in scene.c. */
    int64_t way = messages_now(CLOCK_MONOTONIC) % SCENE_MICROSECONDS;
    double side = 0.25 * 9 / 16, left = (1 - side) * (double)way / SCENE_MICROSECONDS;
    snprintf(data, sizeof data,
             "{\"frame\":{\"timestamp\":\"%s\",\"observations\":[{\"track_id\":\"1\",\"bounding_box\":{\"left\":%.4f,"
             "\"top\":0.5000,\"right\":%.4f,\"bottom\":0.7500},\"class\":{\"type\":\"Vehicle\",\"score\":0.9}}],"
             "\"operations\":[]}}",
             time, left, left + side);
    hub_tell(hub, SCENE_TOPIC, data);
    hub_tell(hub, HUB_SCENE_TOPIC, data);
    snprintf(data, sizeof data, "{\"channel_id\":1,\"timestamp\":\"%s\"}", time);
    if (picture % 5 == 0)
        hub_tell(hub, HUB_FRAME_TOPIC, data);
}

/* Hubs */

static inline void hub_wake(struct hub *hub)
{
    uint64_t one = 1;
    if (write(hub->wake, &one, sizeof one) < 0) {
        /* It is readable anyway. */
    }
}

/* The reader that is called next: one that begins, or that with the oldest message. */
static inline struct reader *hub_next(const struct hub *hub)
{
    struct reader *found = NULL;
    for (struct reader *reader = hub->readers; reader; reader = reader->next) {
        if (!reader->begun)
            return reader;
        if (reader->first && (!found || reader->first->time < found->first->time))
            found = reader;
    }
    return found;
}

/* Deliver one message. Returns whether there was one. */
static inline bool hub_deliver(struct hub *hub)
{
    struct reader *reader = hub_next(hub);
    if (!reader || hub->stop)
        return false;
    struct message *message = reader->begun ? reader->first : NULL;
    if (message)
        reader->first = message->next;
    reader->begun = true;
    reader->busy = true;
    pthread_mutex_unlock(&hub->mutex);
    reader->deliver(reader->data, message);
    free(message);
    pthread_mutex_lock(&hub->mutex);
    reader->busy = false;
    pthread_cond_broadcast(&hub->idle);
    if (reader->ended)
        reader_free(hub, reader);
    return true;
}

/* The faults `messages-down` and `messages-restart`. */
static inline bool hub_is_gone(struct hub *hub)
{
    return faults_exist() && (fault_is_set("messages-down", NULL) || fault_restarted("messages-restart", &hub->restarts));
}

/* The connection is lost. The mutex is held. */
static inline void hub_lose(struct hub *hub)
{
    hub->down = true;
    pthread_mutex_unlock(&hub->mutex);
    if (hub->lost)
        hub->lost(hub->data);
    pthread_mutex_lock(&hub->mutex);
}

/* INCAMERA_MESSAGES_RESTART_AFTER: the service stops after so many calls of a connection. */
static inline void hub_serve(struct hub *hub)
{
    unsigned most = messages_setting("INCAMERA_MESSAGES_RESTART_AFTER");
    int lock = service_lock(hub->folder);
    for (struct reader *reader = hub->readers; reader; reader = reader->next)
        if (reader->active)
            reader_take(reader, hub->folder);
    if (lock >= 0)
        close(lock);
    hub_tell_scene(hub);
    while (!hub->down && hub_deliver(hub))
        if (most && ++hub->called >= most)
            hub_lose(hub);
}

static inline void *hub_run(void *data)
{
    struct hub *hub = data;
    pthread_mutex_lock(&hub->mutex);
    while (!hub->stop) {
        struct pollfd waits[] = {{.fd = hub->inotify, .events = POLLIN}, {.fd = hub->wake, .events = POLLIN}};
        uint64_t count;
        pthread_mutex_unlock(&hub->mutex);
        poll(waits, 2, LOOK_MILLISECONDS);
        service_drain(hub->inotify);
        if (read(hub->wake, &count, sizeof count) < 0) {
            /* It was not woken. */
        }
        if (hub->look && !hub->down)
            hub->look(hub->data);
        pthread_mutex_lock(&hub->mutex);
        if (!hub->down && hub_is_gone(hub))
            hub_lose(hub);
        if (!hub->down)
            hub_serve(hub);
    }
    pthread_mutex_unlock(&hub->mutex);
    return NULL;
}

/* Start the thread, which gets no signals. Sets errno if it cannot. */
static inline bool hub_start(struct hub *hub, void *data)
{
    sigset_t all, before;
    hub->restarts = 0;
    if (hub_is_gone(hub)) {
        errno = ECONNREFUSED;
        return false;
    }
    fault_restarted("messages-restart", &hub->restarts);
    hub->data = data;
    hub->stop = hub->down = false;
    hub->called = 0;
    snprintf(hub->folder, sizeof hub->folder, "%s", service_folder("INCAMERA_MESSAGES", MESSAGES_FOLDER));
    if (!service_make_folder(hub->folder))
        return false;
    hub->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    inotify_add_watch(hub->inotify, hub->folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    hub->running = pthread_create(&hub->thread, NULL, hub_run, hub) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return hub->running;
}

static inline void hub_end(struct hub *hub)
{
    if (!hub->running)
        return;
    pthread_mutex_lock(&hub->mutex);
    hub->stop = true;
    pthread_mutex_unlock(&hub->mutex);
    hub_wake(hub);
    pthread_join(hub->thread, NULL);
    hub->running = false;
    close(hub->wake);
    close(hub->inotify);
}

static inline struct reader *reader_new(void (*deliver)(void *, const struct message *), void *data, void (*free_data)(void *))
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return NULL;
    reader->deliver = deliver;
    reader->data = data;
    reader->free_data = free_data;
    reader->file = -1;
    return reader;
}

/* Begin to read. */
static inline void hub_activate(struct hub *hub, struct reader *reader)
{
    pthread_mutex_lock(&hub->mutex);
    if (!reader->active) {
        int lock = service_lock(hub->folder);
        reader_open(reader, hub->folder, 0);
        if (reader->log) {
            fseeko(reader->log, 0, SEEK_END);
            reader->before = ftello(reader->log);
            if (reader->historical)
                fseeko(reader->log, 0, SEEK_SET);
        }
        reader_show(reader, hub->folder);
        reader->active = true;
        if (lock >= 0)
            close(lock);
    }
    pthread_mutex_unlock(&hub->mutex);
    hub_wake(hub);
}

static inline void hub_add(struct hub *hub, struct reader *reader)
{
    pthread_mutex_lock(&hub->mutex);
    reader->next = hub->readers;
    hub->readers = reader;
    pthread_mutex_unlock(&hub->mutex);
    hub_wake(hub);
}

/* End a reader. When this returns, it is not called any more, unless it is its own call that ends it. */
static inline void hub_remove(struct hub *hub, struct reader *reader)
{
    pthread_mutex_lock(&hub->mutex);
    for (struct reader **at = &hub->readers; *at; at = &(*at)->next)
        if (*at == reader) {
            *at = reader->next;
            break;
        }
    bool own = hub->running && pthread_equal(pthread_self(), hub->thread);
    while (reader->busy && !own)
        pthread_cond_wait(&hub->idle, &hub->mutex);
    if (reader->busy)
        reader->ended = true;
    else
        reader_free(hub, reader);
    pthread_mutex_unlock(&hub->mutex);
}

#endif
