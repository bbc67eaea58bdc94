/* Memory, strings and paths. The caller frees what is returned. Where there is no memory left, the program ends. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* POINTER, which comes from malloc, calloc or realloc. */
void *require_memory(void *pointer);

char *join(const char *first, const char *second, const char *third);
char *copy_text(const char *text);
char *number_text(int64_t number);

/* No time that the host names is longer, and no file is larger. Sums of two of them fit. */
#define LONGEST_WAIT_MS (24 * 3600 * 1000)
#define LARGEST_FILE ((int64_t)1 << 62)

/* Read the decimal digits at the start of TEXT. Returns what follows them; NULL when there are none, or for more than MOST. */
const char *parse_number(const char *text, int64_t most, int64_t *number);

/* The same where TEXT must be a number and nothing else. Otherwise the program ends with EXIT_USAGE, and says what is WRONG. */
int64_t require_number(const char *text, int64_t most, const char *wrong);
bool ends_with(const char *text, const char *end);

char *join_path(const char *folder, const char *name);

/* The folder that PATH is in. */
char *parent_of(const char *path);

/* The last part of PATH, inside PATH. */
const char *name_of(const char *path);

#endif
