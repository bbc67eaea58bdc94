/* The library's objects, and what its parts have of each other. Models, jobs and buffers are the service's: see
   engines/larod. */
#ifndef STAND_INS_LAROD_OBJECTS_H
#define STAND_INS_LAROD_OBJECTS_H

#include <larod.h>

#include "client.h"
#include "inference.h"

struct larodDevice {
    char name[DEVICE_NAME];
    int chip; /* its number in the first two generations, or 0 */
};

/* A job that was started, and of whose end nobody was told yet. */
struct started {
    struct started *next;
    uint64_t number;
    larodRunJobCallback callback;
    void *user_data;
};

struct larodConnection {
    struct line *line;
    struct line_message *answer; /* to the last request */
    bool is_lost;
    struct larodDevice devices[MOST_DEVICES];
    size_t device_count;
    const struct larodDevice *chosen; /* by larodSetChip */
    int ends;                         /* the socket that brings the ends of jobs, or -1 */
    pthread_t listener;
    uint64_t last_number;
    struct started *started;
    unsigned calling;     /* back, so that `started` lacks one */
    bool ends_lost;       /* the service will tell nothing more */
    pthread_mutex_t lock; /* of what has to do with started jobs */
    pthread_cond_t idle;
};

struct map_entry {
    struct map_entry *next;
    char *key, *text;
    enum entry_kind kind;
    int64_t values[4];
};

struct larodMap {
    struct map_entry *first;
};

struct larodTensor {
    struct description is;
    int fd;
    size_t size; /* of the descriptor's memory; 0: not checked */
    int64_t offset;
    uint32_t properties;
    uint32_t tracked; /* the service's number of it, or 0 */
    bool owns_fd;
};

/* What is known of a model, shared by its handles and job requests. */
struct loaded {
    size_t references;
    uint64_t id;
    char name[MODEL_NAME];
    size_t size;
    larodAccess access;
    struct larodDevice device;
    struct description inputs[MOST_TENSORS], outputs[MOST_TENSORS];
    size_t input_count, output_count;
};

struct larodModel {
    struct loaded *loaded;
};

struct larodJobRequest {
    struct loaded *model;
    larodTensor *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
    size_t input_count, output_count;
    bool cropped;
    int64_t crop[4];
    uint8_t priority;
};

/* connection.c */
bool call_service(larodConnection *conn, uint32_t kind, const void *data, size_t size, const int *fds, unsigned fd_count,
                  size_t wanted, larodError **error);

/* map.c */
const struct map_entry *find_entry(const larodMap *map, const char *key);

/* tensor.c */
larodTensor **new_tensors(const struct description *are, size_t count);

/* model.c */
void hold_loaded(struct loaded *model);
void let_go_loaded(struct loaded *model);

/* job.c */
bool listen_for_ends(larodConnection *conn, larodError **error);
void stop_listening(larodConnection *conn);

#endif
