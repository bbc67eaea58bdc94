/* Memory, strings and paths. */
#include "text.h"
#include "output.h"
#include "protocol.h"

#include <stdlib.h>
#include <string.h>

void *require_memory(void *pointer) {
    if (!pointer)
        fail(EXIT_FAILED, "no memory left", NULL, 0);
    return pointer;
}

char *join(const char *first, const char *second, const char *third) {
    size_t a = strlen(first), b = strlen(second), c = strlen(third);
    char *text = require_memory(malloc(a + b + c + 1));
    memcpy(text, first, a);
    memcpy(text + a, second, b);
    memcpy(text + a + b, third, c + 1);
    return text;
}

/* Not inline: two more arguments at each of its calls are larger than it is. */
__attribute__((noinline)) char *copy_text(const char *text) { return join(text, "", ""); }

char *join_path(const char *folder, const char *name) { return join(folder, "/", name); }

char *number_text(int64_t number) {
    char digits[24], *start = digits + sizeof digits - 1;
    *start = 0;
    do
        *--start = (char)('0' + number % 10);
    while (number /= 10);
    return copy_text(start);
}

const char *parse_number(const char *text, int64_t most, int64_t *number) {
    const char *at = text;
    for (*number = 0; *at >= '0' && *at <= '9'; at++) {
        if (*number > (most - (*at - '0')) / 10)
            return NULL;
        *number = *number * 10 + (*at - '0');
    }
    return at > text ? at : NULL;
}

int64_t require_number(const char *text, int64_t most, const char *wrong) {
    int64_t number;
    const char *end = parse_number(text, most, &number);
    if (!end || *end)
        fail(EXIT_USAGE, wrong, text, 0);
    return number;
}

bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && !strcmp(text + a - b, end);
}

char *parent_of(const char *path) {
    char *parent = copy_text(path), *slash = strrchr(parent, '/');
    if (!slash || slash == parent)
        fail(EXIT_USAGE, "not the folder of a bundle:", path, 0);
    *slash = 0;
    return parent;
}

const char *name_of(const char *path) { return strrchr(path, '/') ? strrchr(path, '/') + 1 : path; }
