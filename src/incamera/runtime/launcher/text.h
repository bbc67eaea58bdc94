/* Memory, strings and paths. The caller frees what is returned. Where there is no memory left, the program ends. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* POINTER, which comes from malloc, calloc or realloc. */
void *require_memory(void *pointer);

char *join(const char *first, const char *second, const char *third);
char *number_text(long number);
bool ends_with(const char *text, const char *end);

char *join_path(const char *folder, const char *name);

/* The folder that PATH is in. */
char *parent_of(const char *path);

/* The last part of PATH, inside PATH. */
const char *name_of(const char *path);

#endif
