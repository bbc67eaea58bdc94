/* The stand-in's objects, and what its parts have of each other. */
#ifndef STAND_INS_LAROD_OBJECTS_H
#define STAND_INS_LAROD_OBJECTS_H

#include <larod.h>
#include <pthread.h>

#define MOST_TRACKED 32
#define MOST_TENSORS 16 /* of a model's inputs, or outputs */
#define MOST_DEVICES 16
#define MOST_DIMS 6

struct larodDevice {
    char name[48];
    enum device_kind { RUNS_TFLITE, CONVERTS, RUNS_NOTHING } kind;
    int chip; /* its number in the first two generations, or 0 */
};

struct larodConnection {
    struct larodDevice devices[MOST_DEVICES];
    size_t device_count;
    const struct larodDevice *chosen; /* by larodSetChip */
    struct loaded *models;
    size_t tracked;
    unsigned generation; /* of the service, which a restart makes anew */
    size_t running;      /* asynchronous calls */
    pthread_mutex_t lock;
    pthread_cond_t idle;
};

enum entry_kind { IS_TEXT, IS_INT, IS_PAIR, IS_QUAD };

struct map_entry {
    struct map_entry *next;
    char *key, *text;
    enum entry_kind kind;
    int64_t values[4];
};

struct larodMap {
    struct map_entry *first;
};

/* What a tensor of a model is. */
struct description {
    char name[64];
    larodTensorDataType type;
    larodTensorLayout layout;
    larodTensorDims dims;
    larodTensorPitches pitches;
};

struct larodTensor {
    struct description is;
    int fd;
    size_t size; /* of the descriptor's memory; 0: not checked */
    int64_t offset;
    uint32_t properties;
    bool tracked, owns_fd;
    void *mapping; /* of a tracked tensor: kept */
    size_t mapping_size;
};

/* A model in the service, shared by its handles and jobs. */
struct loaded {
    struct loaded *next; /* in its connection */
    size_t references;
    uint64_t id;
    char *name;
    size_t size;
    larodAccess access;
    const struct larodDevice *device;
    bool deleted;
    unsigned generation;
    struct network *network; /* of a neural network that the interpreter runs */
    struct remote *remote;   /* of one that LiteRT runs */
    struct conversion *conversion;
    struct description inputs[MOST_TENSORS], outputs[MOST_TENSORS];
    size_t input_count, output_count;
    pthread_mutex_t lock;
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

/* errors.c */
bool fail(larodError **error, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
unsigned setting(const char *name, unsigned def);
bool take_one(const char *name, unsigned *used);

/* connection.c */
extern unsigned service_generation;
const char *name_of_chip(int chip);
bool is_connected(const larodConnection *conn, larodError **error);
bool has_power(larodError **error);
void service_did_a_job(void);

/* map.c */
const struct map_entry *find_entry(const larodMap *map, const char *key);

/* tensor.c */
size_t type_size(larodTensorDataType type);
size_t byte_size(const struct description *is);
void describe(struct description *is, larodTensorDataType type, larodTensorLayout layout, const size_t *dims, size_t len);
larodTensor **new_tensors(const struct description *are, size_t count);
bool allocate_tensors(larodConnection *conn, larodTensor **tensors, size_t count, uint32_t properties, larodError **error);

/* model.c */
void hold(struct loaded *model);
void let_go(struct loaded *model);

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

/* convert.c */
struct conversion *read_conversion(const larodMap *map, struct loaded *model, larodError **error);
bool run_conversion(const struct conversion *conversion, const int64_t *crop, const uint8_t *input, uint8_t *output,
                    larodError **error);

#endif
