/* Answers to the host on standard output. */
#include "json.h"
#include "output.h"

#include <string.h>

static char buffer[1 << 12];
static size_t used;
static bool failed;
static bool needs_comma;

static void flush(void) {
    failed = !write_all(1, buffer, used) || failed;
    used = 0;
}

static void put(char byte) {
    if (used == sizeof buffer)
        flush();
    buffer[used++] = byte;
}

static void put_text(const char *text) {
    while (*text)
        put(*text++);
}

/* The length of the UTF-8 sequence that TEXT begins with, 0 where that is none. */
static int sequence_length(const unsigned char *text) {
    unsigned char first = text[0], low = 0x80, high = 0xbf;
    int length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if (first == 0xe0)
        low = 0xa0; /* shorter ones would do */
    else if (first == 0xed)
        high = 0x9f; /* surrogates */
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f; /* there is nothing above U+10FFFF */
    for (int i = 1; i < length; i++, low = 0x80, high = 0xbf)
        if (text[i] < low || text[i] > high)
            return 0;
    return length;
}

/* As \uXXXX: UPPER, and the byte. */
static void put_escaped(const char *upper, unsigned char byte) {
    put_text(upper);
    put("0123456789abcdef"[byte >> 4]);
    put("0123456789abcdef"[byte & 15]);
}

static void put_string(const char *value) {
    put('"');
    for (const unsigned char *text = (const unsigned char *)value; *text;) {
        int length = sequence_length(text);
        if (!length)
            put_escaped("\\udc", *text++);
        else if (*text < 0x20)
            put_escaped("\\u00", *text++);
        else {
            if (*text == '"' || *text == '\\')
                put('\\');
            while (length--)
                put((char)*text++);
        }
    }
    put('"');
}

static void begin_value(const char *key) {
    if (needs_comma)
        put(',');
    needs_comma = true;
    if (key) {
        put_string(key);
        put(':');
    }
}

void begin_answer(const char *kind) {
    needs_comma = false;
    put('{');
    answer_text("kind", kind);
}

bool end_answer(void) {
    put_text("}\n");
    flush();
    return !failed;
}

void answer_text(const char *key, const char *value) {
    begin_value(key);
    if (value)
        put_string(value);
    else
        put_text("null");
}

void answer_number(const char *key, uint64_t value) {
    char digits[24], *start = digits + sizeof digits - 1;
    *start = 0;
    do
        *--start = (char)('0' + value % 10);
    while (value /= 10);
    begin_value(key);
    put_text(start);
}

void answer_flag(const char *key, bool value) {
    begin_value(key);
    put_text(value ? "true" : "false");
}

void answer_null(const char *key) { answer_text(key, NULL); }

void begin_list(const char *key) {
    begin_value(key);
    put('[');
    needs_comma = false;
}

void end_list(void) {
    put(']');
    needs_comma = true;
}

void begin_object(void) {
    begin_value(NULL);
    put('{');
    needs_comma = false;
}

void end_object(void) {
    put('}');
    needs_comma = true;
}
