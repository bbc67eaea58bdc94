/* What draws over the video where there is no service: the libraries that this program has loaded. */
#include <dlfcn.h>
#include <string.h>

#include "drawing.h"

static const char *const drawing_libraries[] = {"libbbox.so.1", "libaxoverlay.so.1", "libaxoverlay2.so.1"};
#define DRAWING_LIBRARIES (sizeof drawing_libraries / sizeof *drawing_libraries)

/* The library's function, if the program has loaded the library. It is never unloaded. */
static incamera_draw_function *drawer(unsigned number)
{
    static incamera_draw_function *found[DRAWING_LIBRARIES];
    incamera_draw_function *function = __atomic_load_n(&found[number], __ATOMIC_ACQUIRE);
    if (function)
        return function;
    void *library = dlopen(drawing_libraries[number], RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    if (!library)
        return NULL;
    void *symbol = dlsym(library, INCAMERA_DRAW);
    memcpy(&function, &symbol, sizeof function);
    __atomic_store_n(&found[number], function, __ATOMIC_RELEASE);
    return function;
}

bool drawers_draw(const struct incamera_picture *picture)
{
    bool drawn = false;
    for (unsigned number = 0; number < DRAWING_LIBRARIES; number++) {
        incamera_draw_function *function = drawer(number);
        drawn = (function && function(picture)) || drawn;
    }
    return drawn;
}
