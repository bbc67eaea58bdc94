/* Writing, and errors, which end the program. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/* What error messages begin with, and the path that the program was called by. */
extern const char *program_name, *program_path;

/* Write all SIZE bytes; false with errno where that fails. */
bool write_all(int descriptor, const void *data, size_t size);

/* Go on in the background: in a session of its own, with standard streams that lead nowhere. */
void let_go_of_host(void);

/* End the program with an exit code of protocol.h and "NAME: FIRST SECOND: what ERROR means". SECOND may be NULL, ERROR 0. */
_Noreturn void fail(int code, const char *first, const char *second, int error);

/* The same; ERROR decides the exit code. The first is for the place of the bundles, the second for /tmp. */
_Noreturn void fail_at_place(const char *first, const char *second, int error);
_Noreturn void fail_in_ram(const char *first, const char *second, int error);

#endif
