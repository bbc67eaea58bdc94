/* The engine's objects, and what its parts have of each other. */
#ifndef ENGINE_LAROD_OBJECTS_H
#define ENGINE_LAROD_OBJECTS_H

#include "larod.h"

#include "engine.h"
#include "inference.h"

enum device_kind { RUNS_NOTHING, RUNS_TFLITE, CONVERTS };

/* What is known of a device: larod.toml says more. */
struct known {
    const char *name;
    enum device_kind kind;
    int chip; /* its number in the first two generations, or 0 */
    uint32_t buffers, makes;
    unsigned conversions; /* a bit for each pair of formats: 1 << (3 * FROM + TO) */
    bool scales, packed, late;
    unsigned width_step, pitch_step, least_height, most_pixels, most_scale;
};

struct device {
    char name[DEVICE_NAME];
    const struct known *known;
};

/* A buffer that the service keeps for a client. */
struct tracked {
    uint32_t id; /* 0: none */
    bool forgotten, is_made;
    unsigned uses; /* by jobs */
    struct buffer {
        int fd;
        uint64_t size; /* of the descriptor's memory; 0: not checked */
        int64_t offset;
        uint32_t properties;
        void *mapping; /* of a tracked one: kept */
        size_t mapping_size;
    } buffer;
};

/* A client's connection. */
struct session {
    struct session *next;
    struct device devices[MOST_DEVICES];
    size_t device_count;
    unsigned generation; /* of the service, which a restart makes anew */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct tracked tracked[MOST_TRACKED];
    uint32_t last_tracked;
    unsigned model_count, running;
    int ends; /* the socket for the ends of jobs; -1: none */
    bool ended;
};

/* A model, which its owner and jobs hold. */
struct loaded {
    struct loaded *next;
    struct session *owner;
    size_t references;
    uint64_t id;
    char name[MODEL_NAME];
    size_t size;
    larodAccess access;
    struct device device;
    unsigned generation;
    struct network *network; /* of a neural network that the interpreter runs */
    struct remote *remote;   /* of one that LiteRT runs */
    struct conversion *conversion;
    struct description inputs[MOST_TENSORS], outputs[MOST_TENSORS];
    size_t input_count, output_count;
    pthread_mutex_t lock;
};

/* settings.c */
unsigned larod_setting(const char *name, unsigned def);
bool take_one(const char *name, unsigned *used);
size_t read_devices(struct device *devices);
bool has_power(larodError **error);
void wait_milliseconds(const char *name, const char *fault);
void wait_for_first_load(const struct device *device, uint64_t hash);

/* engine.c */
bool is_connected(const struct session *session, larodError **error);
void service_did_a_job(void);
unsigned current_generation(void);

/* models.c */
void hold(struct loaded *model);
void let_go(struct loaded *model);
struct loaded *find_model(struct session *session, uint64_t id, larodError **error);
struct loaded *load_model(struct session *session, const struct ask_load *ask, int fd, larodError **error);
void tell_model(const struct loaded *model, struct told_model *told);
void list_models(struct session *session, struct told_models *told);
bool delete_model(struct session *session, uint64_t id, larodError **error);
void delete_models(struct session *session);
void renew_models_lock(void);

/* buffers.c */
bool make_buffers(struct session *session, const struct ask_buffers *ask, struct told_buffers *told, int *fds,
                  larodError **error);
bool track_buffer(struct session *session, const struct ask_tensor *ask, int fd, bool is_made, uint32_t *id,
                  larodError **error);
void forget_buffer(struct session *session, uint32_t id);
void forget_buffers(struct session *session);
struct tracked *use_tracked(struct session *session, uint32_t id);
void end_use(struct session *session, struct tracked *tracked);

/* jobs.c */
bool run_job(struct session *session, const struct ask_run *ask, struct line_message *request, larodError **error);
bool start_job(struct session *session, const struct ask_run *ask, struct line_message *request, larodError **error);
void end_jobs(struct session *session);
void renew_turns(void);

/* guard.c */
void install_guard(void);
bool guarded(bool (*function)(void *data), void *data);

/* network.c */
struct network *read_network(uint8_t *data, size_t size, struct loaded *model, larodError **error);
void free_network(struct network *network);
bool run_network(struct network *network, uint8_t *const *inputs, uint8_t *const *outputs, larodError **error);

/* remote.c */
bool remote_exists(void);
struct remote *remote_load(uint8_t *data, size_t size, struct loaded *model, larodError **error);
void remote_unload(struct remote *remote);
bool remote_run(struct remote *remote, struct loaded *model, uint8_t *const *inputs, uint8_t *const *outputs,
                larodError **error);
void renew_remote(void);

/* convert.c */
struct conversion *read_conversion(const struct ask_load *ask, struct loaded *model, larodError **error);
bool run_conversion(const struct conversion *conversion, const int64_t *crop, const uint8_t *input, uint8_t *output,
                    larodError **error);

#endif
