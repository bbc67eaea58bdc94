/* A library of the camera, opened at run time. Its functions are pointers in a structure, and a table tells their names. */
#ifndef ACAP_LIBRARY_H
#define ACAP_LIBRARY_H

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>

struct library_function {
    const char *name, *since; /* the first AXIS OS that has it */
    size_t offset;
};

/* Open the library. Returns NULL, or what the loader says against it. A function that the library lacks is NULL. */
static const char *library_open(const char *soname, void *functions, const struct library_function *table, size_t count)
{
    void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *message = dlerror();
        return message ? message : "unknown error";
    }
    for (size_t number = 0; number < count; number++) {
        void *function = dlsym(library, table[number].name);
        memcpy((char *)functions + table[number].offset, &function, sizeof function);
    }
    return NULL;
}

/* The table's entry for the first function of NAMES (until NULL) that the library lacks, or NULL. */
static const struct library_function *library_lacks(const char *const *names, const void *functions,
                                                    const struct library_function *table, size_t count)
{
    for (; *names; names++)
        for (size_t number = 0; number < count; number++) {
            void *function;
            memcpy(&function, (const char *)functions + table[number].offset, sizeof function);
            if (!function && strcmp(table[number].name, *names) == 0)
                return &table[number];
        }
    return NULL;
}

/* Declares NAME, the structure of pointers, and NAME_table. LIST is the macro of NAME_functions.h. */
#define LIBRARY_POINTER(result, name, arguments, since) result(*name) arguments;

#endif
