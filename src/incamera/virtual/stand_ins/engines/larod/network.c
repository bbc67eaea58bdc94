/* Reads a network out of a .tflite file, which may be anything, and runs it. */
#include "network.h"

#define MOST_VALUES 4096u
#define MOST_BYTES (256u << 20)

/* Fields of the tables of TensorFlow Lite's schema, by their number. */
enum { MODEL_CODES = 1, MODEL_GRAPHS = 2, MODEL_BUFFERS = 4 };
enum { GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS };
enum { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION };
enum { QUANTIZATION_SCALE = 2, QUANTIZATION_ZERO_POINT = 3 };
enum { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_OPTIONS = 4 };

struct tables {
    struct file file;
    uint64_t codes, tensors, buffers, operators;
    uint32_t code_count, tensor_count, buffer_count, operator_count;
};

static bool read_type(uint8_t number, larodTensorDataType *type)
{
    static const larodTensorDataType types[] = {
        LAROD_TENSOR_DATA_TYPE_FLOAT32, LAROD_TENSOR_DATA_TYPE_FLOAT16, LAROD_TENSOR_DATA_TYPE_INT32,
        LAROD_TENSOR_DATA_TYPE_UINT8,   LAROD_TENSOR_DATA_TYPE_INT64,   LAROD_TENSOR_DATA_TYPE_INVALID,
        LAROD_TENSOR_DATA_TYPE_BOOL,    LAROD_TENSOR_DATA_TYPE_INT16,   LAROD_TENSOR_DATA_TYPE_INVALID,
        LAROD_TENSOR_DATA_TYPE_INT8,
    };
    *type = number < sizeof types / sizeof *types ? types[number] : LAROD_TENSOR_DATA_TYPE_INVALID;
    return *type != LAROD_TENSOR_DATA_TYPE_INVALID;
}

static bool read_shape(struct tables *tables, uint64_t table, struct value *value)
{
    uint32_t rank;
    uint64_t shape = vector(&tables->file, table, TENSOR_SHAPE, 4, &rank);
    if (rank > MOST_DIMS)
        return false;
    value->rank = (int)rank;
    value->count = 1;
    for (uint32_t axis = 0; axis < rank; axis++) {
        value->dims[axis] = read_i32(&tables->file, shape + 4 * axis);
        if (value->dims[axis] < 1 || (size_t)value->dims[axis] > MOST_BYTES / value->count)
            return false;
        value->count *= (size_t)value->dims[axis];
    }
    value->bytes = value->count * type_size(value->type);
    return value->bytes <= MOST_BYTES;
}

static void read_scales(struct tables *tables, uint64_t table, struct value *value)
{
    struct file *file = &tables->file;
    uint64_t quantization = follow(file, field(file, table, TENSOR_QUANTIZATION));
    value->scales = vector(file, quantization, QUANTIZATION_SCALE, 4, &value->scale_count);
    value->scale = value->scale_count ? read_float(file, value->scales) : 0;
    uint32_t count;
    uint64_t zeros = vector(file, quantization, QUANTIZATION_ZERO_POINT, 8, &count);
    value->zero = count ? read_i32(file, zeros) : 0;
    for (uint32_t number = 1; number < count; number++)
        if (read_i32(file, zeros + 8 * number) != value->zero)
            file->bad = true;
}

static bool read_data(struct tables *tables, uint64_t table, struct value *value, size_t *sum)
{
    struct file *file = &tables->file;
    uint32_t number = (uint32_t)int_field(file, table, TENSOR_BUFFER, 0), size = 0;
    if (number >= tables->buffer_count)
        return false;
    uint64_t data = vector(file, follow(file, tables->buffers + 4 * number), 0, 1, &size);
    if (size) {
        value->constant = file->data + data;
        return size >= value->bytes && !file->bad;
    }
    *sum += value->bytes;
    value->data = *sum <= MOST_BYTES ? calloc(1, value->bytes + 1) : NULL;
    return value->data;
}

static bool read_values(struct tables *tables, struct network *network)
{
    struct file *file = &tables->file;
    size_t sum = 0;
    network->values = calloc(tables->tensor_count + 1, sizeof *network->values);
    if (!network->values)
        return false;
    for (uint32_t number = 0; number < tables->tensor_count; number++) {
        struct value *value = &network->values[network->value_count++];
        uint64_t table = follow(file, tables->tensors + 4 * number);
        if (!read_type(byte_field(file, table, TENSOR_TYPE, 0), &value->type) || !read_shape(tables, table, value))
            return false;
        read_scales(tables, table, value);
        if (!read_data(tables, table, value, &sum) || file->bad)
            return false;
    }
    return true;
}

static void read_window(struct file *file, uint64_t options, bool pool, struct step *step)
{
    step->same_padding = byte_field(file, options, 0, 0) == 0;
    step->stride_w = int_field(file, options, 1, 0);
    step->stride_h = int_field(file, options, 2, 0);
    step->dilation_w = step->dilation_h = 1;
    if (pool) {
        step->filter_w = int_field(file, options, 3, 0);
        step->filter_h = int_field(file, options, 4, 0);
        step->activation = byte_field(file, options, 5, 0);
        return;
    }
    unsigned activation = step->code == DEPTHWISE_CONV_2D ? 4 : 3;
    step->activation = byte_field(file, options, activation, 0);
    step->dilation_w = int_field(file, options, activation + 1, 1);
    step->dilation_h = int_field(file, options, activation + 2, 1);
}

static void read_options(struct file *file, uint64_t options, struct step *step)
{
    step->beta = 1;
    switch (step->code) {
    case CONV_2D:
    case DEPTHWISE_CONV_2D:
        read_window(file, options, false, step);
        break;
    case MAX_POOL_2D:
    case AVERAGE_POOL_2D:
        read_window(file, options, true, step);
        break;
    case FULLY_CONNECTED:
    case ADD:
        step->activation = byte_field(file, options, 0, 0);
        break;
    case CONCATENATION:
        step->axis = int_field(file, options, 0, 0);
        step->activation = byte_field(file, options, 1, 0);
        break;
    case SOFTMAX:
        step->beta = field(file, options, 0) ? read_float(file, field(file, options, 0)) : 0;
        break;
    default:
        break;
    }
}

static int32_t read_code(struct tables *tables, uint64_t table)
{
    struct file *file = &tables->file;
    uint32_t number = (uint32_t)int_field(file, table, OPERATOR_CODE, 0);
    if (number >= tables->code_count)
        return -1;
    uint64_t code = follow(file, tables->codes + 4 * number);
    int32_t old = byte_field(file, code, 0, 0), new = int_field(file, code, 3, 0);
    return new > old ? new : old;
}

static bool read_operands(struct tables *tables, uint64_t table, struct network *network, struct step *step)
{
    struct file *file = &tables->file;
    uint32_t inputs, outputs;
    uint64_t in = vector(file, table, OPERATOR_INPUTS, 4, &inputs), out = vector(file, table, OPERATOR_OUTPUTS, 4, &outputs);
    if (inputs > MOST_OPERANDS || outputs != 1)
        return false;
    for (uint32_t at = 0; at < inputs; at++) {
        int32_t number = read_i32(file, in + 4 * at);
        if (number >= (int32_t)network->value_count || number < -1)
            return false;
        step->inputs[step->input_count++] = number < 0 ? NULL : &network->values[number];
    }
    uint32_t number = read_u32(file, out);
    if (number >= network->value_count || network->values[number].constant)
        return false;
    step->output = &network->values[number];
    return true;
}

static bool read_steps(struct tables *tables, struct network *network, larodError **error)
{
    struct file *file = &tables->file;
    network->steps = calloc(tables->operator_count + 1, sizeof *network->steps);
    if (!network->steps)
        return false;
    for (uint32_t number = 0; number < tables->operator_count; number++) {
        struct step *step = &network->steps[network->step_count++];
        uint64_t table = follow(file, tables->operators + 4 * number);
        step->code = (enum operator)read_code(tables, table);
        read_options(file, follow(file, field(file, table, OPERATOR_OPTIONS)), step);
        const char *why = read_operands(tables, table, network, step) ? NULL : "its operands are wrong";
        why = why || file->bad ? why : prepare(step, file);
        if (why)
            return fail(error, LAROD_ERROR_LOAD_MODEL, "operator %u of the model, with TensorFlow Lite's number %d: %s", number,
                        (int)step->code, why);
        if (file->bad)
            return false;
    }
    return true;
}

static bool read_ends(struct tables *tables, struct network *network, uint64_t graph, unsigned number, struct value **values,
                      struct description *are, size_t *count)
{
    struct file *file = &tables->file;
    uint32_t found;
    uint64_t list = vector(file, graph, number, 4, &found);
    if (found < 1 || found > MOST_TENSORS)
        return false;
    for (uint32_t at = 0; at < found; at++) {
        uint32_t place = read_u32(file, list + 4 * at), length;
        if (place >= network->value_count || network->values[place].constant)
            return false;
        const struct value *value = values[at] = &network->values[place];
        size_t dims[MOST_DIMS];
        for (int axis = 0; axis < value->rank; axis++)
            dims[axis] = (size_t)value->dims[axis];
        describe(&are[at], value->type, value->rank == 4 ? LAROD_TENSOR_LAYOUT_NHWC : LAROD_TENSOR_LAYOUT_UNSPECIFIED, dims,
                 (size_t)value->rank);
        uint64_t name = vector(file, follow(file, tables->tensors + 4 * place), TENSOR_NAME, 1, &length);
        for (uint32_t letter = 0; letter < length && letter + 1 < sizeof are[at].name; letter++)
            are[at].name[letter] = (char)read_u8(file, name + letter);
    }
    *count = found;
    return !file->bad;
}

static bool parse(struct network *network, size_t size, struct loaded *model, larodError **error)
{
    struct tables tables = {.file = {network->file, size, false}};
    struct file *file = &tables.file;
    if (size < 8 || memcmp(network->file + 4, "TFL3", 4) != 0)
        return fail(error, LAROD_ERROR_LOAD_MODEL, "this is no TensorFlow Lite model");
    uint64_t root = follow(file, 0) + read_u32(file, 0);
    uint32_t graphs;
    uint64_t graph = vector(file, root, MODEL_GRAPHS, 4, &graphs);
    graph = graphs ? follow(file, graph) : 0;
    tables.codes = vector(file, root, MODEL_CODES, 4, &tables.code_count);
    tables.buffers = vector(file, root, MODEL_BUFFERS, 4, &tables.buffer_count);
    tables.tensors = vector(file, graph, GRAPH_TENSORS, 4, &tables.tensor_count);
    tables.operators = vector(file, graph, GRAPH_OPERATORS, 4, &tables.operator_count);
    if (graphs == 1 && tables.tensor_count <= MOST_VALUES && tables.operator_count <= MOST_VALUES && !file->bad &&
        read_values(&tables, network) &&
        read_ends(&tables, network, graph, GRAPH_INPUTS, network->inputs, model->inputs, &model->input_count) &&
        read_ends(&tables, network, graph, GRAPH_OUTPUTS, network->outputs, model->outputs, &model->output_count)) {
        network->input_count = model->input_count;
        network->output_count = model->output_count;
        if (read_steps(&tables, network, error))
            return true;
    }
    if (error && *error)
        return false;
    return fail(error, LAROD_ERROR_LOAD_MODEL, "the model file is damaged, or has what is not imitated");
}

/* Return the network in DATA, which becomes its own, or NULL. */
struct network *read_network(uint8_t *data, size_t size, struct loaded *model, larodError **error)
{
    struct network *network = calloc(1, sizeof *network);
    if (!network) {
        fail(error, ENOMEM, "no memory for a model");
        return NULL;
    }
    network->file = data;
    if (parse(network, size, model, error))
        return network;
    network->file = NULL;
    free_network(network);
    return NULL;
}

void free_network(struct network *network)
{
    if (!network)
        return;
    for (size_t number = 0; number < network->value_count; number++)
        free(network->values[number].data);
    for (size_t number = 0; number < network->step_count; number++) {
        free(network->steps[number].scales);
        free(network->steps[number].exponentials);
        free(network->steps[number].table);
    }
    free(network->values);
    free(network->steps);
    free(network->file);
    free(network);
}

struct copies {
    const struct network *network;
    uint8_t *const *inputs, *const *outputs;
};

static bool copy_inputs(void *data)
{
    const struct copies *copies = data;
    for (size_t number = 0; number < copies->network->input_count; number++)
        memcpy(copies->network->inputs[number]->data, copies->inputs[number], copies->network->inputs[number]->bytes);
    return true;
}

static bool copy_outputs(void *data)
{
    const struct copies *copies = data;
    for (size_t number = 0; number < copies->network->output_count; number++)
        memcpy(copies->outputs[number], copies->network->outputs[number]->data, copies->network->outputs[number]->bytes);
    return true;
}

bool run_network(struct network *network, uint8_t *const *inputs, uint8_t *const *outputs, larodError **error)
{
    struct copies copies = {network, inputs, outputs};
    bool good = guarded(copy_inputs, &copies);
    for (size_t number = 0; good && number < network->step_count; number++)
        compute_step(&network->steps[number]);
    good = good && guarded(copy_outputs, &copies);
    return good || fail(error, LAROD_ERROR_FD, "a buffer became shorter meanwhile");
}
