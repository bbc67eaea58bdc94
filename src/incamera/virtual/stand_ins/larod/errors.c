/* Errors, and what environment variables ask of the stand-in. */
#include "objects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Store an error with CODE and a text, unless the program wants none. Returns false. */
bool fail(larodError **error, int code, const char *format, ...)
{
    if (!error)
        return false;
    char *text = NULL;
    va_list values;
    va_start(values, format);
    if (vasprintf(&text, format, values) < 0)
        text = NULL;
    va_end(values);
    *error = calloc(1, sizeof **error);
    if (*error)
        **error = (larodError){.code = code, .msg = text};
    else
        free(text);
    return false;
}

void larodClearError(larodError **error)
{
    if (!error || !*error)
        return;
    free((char *)(*error)->msg);
    free(*error);
    *error = NULL;
}

unsigned setting(const char *name, unsigned def)
{
    const char *text = getenv(name);
    return text && *text ? (unsigned)strtoul(text, NULL, 10) : def;
}

/* Whether it is still to happen, of the number of times that the variable NAME says. */
bool take_one(const char *name, unsigned *used)
{
    if (*used >= setting(name, 0))
        return false;
    ++*used;
    return true;
}
