/* The bytes of a FlatBuffer, none of which is trusted. */
#include "network.h"

#include <string.h>

static const uint8_t *bytes_at(struct file *file, uint64_t at, unsigned count)
{
    static const uint8_t zeros[8];
    if (at <= file->size && count <= file->size - at)
        return file->data + at;
    file->bad = true;
    return zeros;
}

uint32_t read_u32(struct file *file, uint64_t at)
{
    const uint8_t *bytes = bytes_at(file, at, 4);
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

int32_t read_i32(struct file *file, uint64_t at)
{
    return (int32_t)read_u32(file, at);
}

uint8_t read_u8(struct file *file, uint64_t at)
{
    return *bytes_at(file, at, 1);
}

static unsigned read_u16(struct file *file, uint64_t at)
{
    const uint8_t *bytes = bytes_at(file, at, 2);
    return bytes[0] | (unsigned)bytes[1] << 8;
}

float read_float(struct file *file, uint64_t at)
{
    uint32_t bits = read_u32(file, at);
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* Where the field NUMBER of TABLE is, or 0 if it has its default value. */
uint64_t field(struct file *file, uint64_t table, unsigned number)
{
    if (table == 0)
        return 0;
    int64_t fields = (int64_t)table - read_i32(file, table);
    if (fields < 0) {
        file->bad = true;
        return 0;
    }
    unsigned size = read_u16(file, (uint64_t)fields), slot = 4 + 2 * number;
    unsigned offset = slot + 2 <= size ? read_u16(file, (uint64_t)fields + slot) : 0;
    return offset ? table + offset : 0;
}

/* The place that the offset at AT leads to. */
uint64_t follow(struct file *file, uint64_t at)
{
    return at ? at + read_u32(file, at) : 0;
}

/* The first item of the vector in the field NUMBER, whose items have ITEM bytes, and their COUNT. */
uint64_t vector(struct file *file, uint64_t table, unsigned number, unsigned item, uint32_t *count)
{
    uint64_t at = follow(file, field(file, table, number));
    *count = at ? read_u32(file, at) : 0;
    if (at && (uint64_t)*count * item > file->size - at - 4) {
        file->bad = true;
        *count = 0;
    }
    return at + 4;
}

int32_t int_field(struct file *file, uint64_t table, unsigned number, int32_t def)
{
    uint64_t at = field(file, table, number);
    return at ? read_i32(file, at) : def;
}

uint8_t byte_field(struct file *file, uint64_t table, unsigned number, uint8_t def)
{
    uint64_t at = field(file, table, number);
    return at ? read_u8(file, at) : def;
}
