/* What draws over the video: the engine of drawing. */
#include "drawing.h"

incamera_draw_function incamera_draw;

bool drawers_draw(const struct incamera_picture *picture)
{
    return incamera_draw(picture);
}
