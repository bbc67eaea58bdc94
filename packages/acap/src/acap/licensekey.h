/* The camera's library for license keys, opened at run time. */
#ifndef ACAP_LICENSEKEY_H
#define ACAP_LICENSEKEY_H

#include <stdlib.h>

#include "library.h"
#include "licensekey_functions.h"

static struct {
    LICENSEKEY_FUNCTIONS(LIBRARY_POINTER)
} licensekey;

static const struct library_function licensekey_table[] = {
#define FUNCTION(result, name, arguments, since) \
    {#name, since, (size_t)((char *)&licensekey.name - (char *)&licensekey)},
    LICENSEKEY_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

#define LICENSEKEY_COUNT (sizeof licensekey_table / sizeof *licensekey_table)

static const char *licensekey_open(const char *soname)
{
    return library_open(soname, &licensekey, licensekey_table, LICENSEKEY_COUNT);
}

/* The first function that the library lacks, or NULL; *SINCE: the AXIS OS that has it. */
static const char *licensekey_lacks(const char *const *names, const char **since)
{
    const struct library_function *function =
        library_lacks(names, &licensekey, licensekey_table, LICENSEKEY_COUNT);
    if (!function)
        return NULL;
    *since = function->since;
    return function->name;
}

#endif
