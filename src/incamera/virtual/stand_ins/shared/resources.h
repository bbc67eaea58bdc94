/* Which resources the manifest of an installed app asks for: names with spaces between them, which the virtual camera
   gives the app. A program that is no installed app may use all. */
#ifndef STAND_INS_RESOURCES_H
#define STAND_INS_RESOURCES_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static inline bool may_use_resource(const char *name)
{
    const char *at = getenv("INCAMERA_RESOURCES");
    size_t size = strlen(name);
    if (!at)
        return true;
    while ((at += strspn(at, " ")), *at) {
        size_t length = strcspn(at, " ");
        if (length == size && strncmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

#endif
