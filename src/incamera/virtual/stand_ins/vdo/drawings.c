/* What other libraries of the camera draw over the video: boxes and overlays, in the pictures that are encoded. */
#include "objects.h"

#include <dlfcn.h>
#include <string.h>

#include "drawing.h"

static const char *const drawing_libraries[] = {"libbbox.so.1", "libaxoverlay.so.1", "libaxoverlay2.so.1"};
#define DRAWING_LIBRARIES (sizeof drawing_libraries / sizeof *drawing_libraries)

/* The library's function, if the program has loaded the library. It is never unloaded. */
static incamera_draw_function *drawer(guint number)
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

bool program_draws(void)
{
    for (guint number = 0; number < DRAWING_LIBRARIES; number++)
        if (drawer(number))
            return true;
    return false;
}

/* Return the picture with what is drawn over it: PICTURE itself if no library draws. */
const guint8 *draw_over(VdoStream *self, const guint8 *picture)
{
    const struct geometry *geometry = &self->geometry;
    struct incamera_picture target = {
        .pitch = geometry->pitch,
        .width = geometry->width,
        .height = geometry->height,
        .channel = vdo_map_get_uint32(self->settings, "channel", 1),
        .stream = self->id,
        .rotation = self->rotation,
        .across = geometry->across,
        .left = geometry->left,
    };
    for (guint number = 0; number < DRAWING_LIBRARIES; number++) {
        incamera_draw_function *function = drawer(number);
        if (!function)
            continue;
        if (!target.y) {
            if (!self->drawn_over)
                self->drawn_over = g_malloc0(geometry->size);
            memcpy(self->drawn_over, picture, geometry->size);
            target.y = self->drawn_over;
            target.uv = target.y + geometry->pitch * geometry->height;
        }
        function(&target);
    }
    return target.y ? target.y : picture;
}
