/* The engine of events, and its files.

   All programs of a camera have the folder INCAMERA_EVENTS, or /run/incamera-events. `log` has a line for each event that
   was sent. Once it is large, it becomes `log.1` and so on, with `next` in its last line. `declared` has a file for each
   declaration, with the line of its state. The engine holds a lock on the files of its declarations: one without a lock
   was left by a program or a service that has ended. Those whose names begin with `camera` are the camera's own, and need
   no lock. Others write there, too: the host, and on a computer programs with an engine of their own.

   A line has parts with tabs between them: the time in microseconds, the declaration's name, `state` or `pulse`, and the
   keys. All accounts of the camera may write to the folder, and the engine runs as root: it follows no links there. */
#ifndef AXEVENT_ENGINE_H
#define AXEVENT_ENGINE_H

#include "files.h"

#include "engine.h"
#include "event_line.h"

#define EVENT_FILES "/run/incamera-events"

struct waiting {
    struct waiting *next;
    char line[];
};

struct subscription {
    struct subscription *next;
    uint32_t number;
    char *filter;
    struct waiting *waiting; /* the states when it began */
    int log;
    off_t offset;
    bool skips; /* the rest of a line that is too long */
};

struct declaration {
    struct declaration *next;
    uint32_t number;
    char name[48];
    int file; /* which holds the lock */
    bool stateless;
};

struct session {
    struct line *line;
    struct declaration *declarations;
    struct subscription *subscriptions; /* the newest first */
    unsigned declaration_count, subscription_count;
    int events, inotify;
    bool waits; /* something may be there to tell */
    bool blocked;
    struct words_out out;
    char text[LINE_BYTES];
};

/* The folder, with its lock. FD and DECLARED: -1 when it cannot be used. */
struct event_files {
    int lock, folder, declared;
};

const char *event_folder(void);
bool event_open_files(struct event_files *files);
void event_close_files(struct event_files *files);
int event_open_log(const struct event_files *files, int flags);
bool event_log(const struct event_files *files, const char *line, size_t size);
bool event_write_state(int file, const char *line, size_t size);
void event_collect(const struct event_files *files, struct subscription *subscription, char text[LINE_BYTES]);
ssize_t event_read(struct subscription *subscription, char text[LINE_BYTES]);

bool event_matches(const char *line, const char *filter);

#endif
