/* What the program says: answers on standard output, errors on standard error. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What error messages begin with. */
extern const char *program_name;

/* Write all SIZE bytes; false with errno where that fails. */
bool write_all(int descriptor, const void *data, size_t size);

/* End the program with an exit code of protocol.h and "NAME: FIRST SECOND: what ERROR means". SECOND may be NULL, ERROR 0. */
_Noreturn void fail(int code, const char *first, const char *second, int error);

/* The same; ERROR decides the exit code. The first is for the place that bundles lie in, the second for /tmp. */
_Noreturn void fail_at_place(const char *first, const char *second, int error);
_Noreturn void fail_in_ram(const char *first, const char *second, int error);

void say(const char *text);

/* Print "LABEL NUMBER\n". */
void say_number(const char *label, long number);

#endif
