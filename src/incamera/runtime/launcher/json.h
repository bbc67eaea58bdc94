/* Answers to the host on standard output: JSON objects, one a line, whose kinds and keys protocol.h names.

   Call begin_answer, then a function for each value, then end_answer. Inside a list the key of a value is NULL. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stdint.h>

void begin_answer(const char *kind);

/* Write the answer's end and all of it that is still in the buffer. Returns false where the host reads no more. */
bool end_answer(void);

/* VALUE may be NULL: then the answer says null. Bytes that are no UTF-8 become lone surrogates, which Python's
   `surrogateescape` makes the same bytes again. */
void answer_text(const char *key, const char *value);
void answer_number(const char *key, uint64_t value);
void answer_flag(const char *key, bool value);
void answer_null(const char *key);

void begin_list(const char *key);
void end_list(void);
void begin_object(void);
void end_object(void);

#endif
