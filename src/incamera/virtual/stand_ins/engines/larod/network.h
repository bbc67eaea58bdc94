/* A quantised neural network out of a .tflite file, and the arithmetic of its operators. */
#ifndef STAND_INS_LAROD_NETWORK_H
#define STAND_INS_LAROD_NETWORK_H

#include "objects.h"

/* A file's bytes, read with checks: a wrong place sets BAD and reads as 0. */
struct file {
    const uint8_t *data;
    uint64_t size;
    bool bad;
};

/* TensorFlow Lite's numbers for operators. */
enum operator {
    ADD = 0,
    AVERAGE_POOL_2D = 1,
    CONCATENATION = 2,
    CONV_2D = 3,
    DEPTHWISE_CONV_2D = 4,
    FULLY_CONNECTED = 9,
    LOGISTIC = 14,
    MAX_POOL_2D = 17,
    RESHAPE = 22,
    SOFTMAX = 25,
    CUSTOM = 32,
    SQUEEZE = 43,
};

struct value {
    larodTensorDataType type;
    int dims[MOST_DIMS], rank;
    size_t count, bytes;
    uint64_t scales; /* where they are in the file */
    uint32_t scale_count;
    float scale;
    int32_t zero;
    const uint8_t *constant;
    uint8_t *data;
};

struct fixed { /* multiplier * 2 ** (shift - 31) */
    int32_t multiplier;
    int shift;
};

#define MOST_OPERANDS 8

struct step {
    enum operator code;
    const struct value *inputs[MOST_OPERANDS];
    size_t input_count;
    struct value *output;
    bool same_padding;
    int stride_w, stride_h, dilation_w, dilation_h, filter_w, filter_h, axis, activation;
    float beta;
    struct fixed *scales; /* one for each channel of the output, or for each operand and the output */
    int32_t least, most;
    float *exponentials;
    uint8_t *table;
};

struct network {
    uint8_t *file;
    struct value *values;
    struct step *steps;
    size_t value_count, step_count;
    struct value *inputs[MOST_TENSORS], *outputs[MOST_TENSORS];
    size_t input_count, output_count;
};

/* file.c */
uint32_t read_u32(struct file *file, uint64_t at);
int32_t read_i32(struct file *file, uint64_t at);
uint8_t read_u8(struct file *file, uint64_t at);
float read_float(struct file *file, uint64_t at);
uint64_t field(struct file *file, uint64_t table, unsigned number);
uint64_t follow(struct file *file, uint64_t at);
uint64_t vector(struct file *file, uint64_t table, unsigned number, unsigned item, uint32_t *count);
int32_t int_field(struct file *file, uint64_t table, unsigned number, int32_t def);
uint8_t byte_field(struct file *file, uint64_t table, unsigned number, uint8_t def);

/* quantized.c */
struct fixed to_fixed(double number);
int32_t multiply(int32_t number, struct fixed by);
int32_t multiply_once(int32_t number, struct fixed by);
int32_t quantize(float number, const struct value *as);
bool set_activation(struct step *step);

/* operators.c */
const char *prepare(struct step *step, struct file *file);
void compute_step(const struct step *step);

#endif
