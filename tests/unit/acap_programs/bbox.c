/* Draws as the documentation of bbox describes it. */
#include <assert.h>
#include <bbox.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

static void draw(bbox_t *box, int number)
{
    assert(bbox_clear(box));
    assert(number % 2 ? bbox_coordinates_scene_normalized(box) : bbox_coordinates_frame_normalized(box));
    assert(bbox_color(box, bbox_color_from_rgb(255, 0, 0)));
    assert(bbox_style_outline(box) && bbox_thickness_thin(box));
    assert(bbox_rectangle(box, 0.05f, 0.05f, 0.95f, 0.95f));
    assert(bbox_color(box, bbox_color_from_rgba(0, 255, 0, 128)));
    assert(bbox_style_corners(box) && bbox_thickness_medium(box));
    assert(bbox_quad(box, 0.1f, 0.1f, 0.9f, 0.2f, 0.8f, 0.9f, 0.2f, 0.8f));
    assert(bbox_thickness_thick(box));
    assert(bbox_line(box, -3, 0.5f, 4, 0.5f));
    assert(bbox_move_to(box, 0.2f, 0.2f) && bbox_line_to(box, 0.5f, 0.8f) && bbox_line_to(box, 0.8f, 0.2f));
    assert(bbox_draw_path(box));
    assert(bbox_commit(box, 0));
}

int main(void)
{
    bbox_t *both = bbox_new(2u, 0u, 1u), *view = bbox_view_new(1);
    assert(both && view);
    assert(bbox_video_output(both, true));
    for (int number = 0; number < 100; number++) {
        draw(both, number);
        draw(view, number);
    }
    assert(bbox_clear(view) && bbox_commit(view, 0));
    errno = 0;
    assert(!bbox_rectangle(both, NAN, 0, 1, 1) && errno == EINVAL);
    errno = 0;
    assert(!bbox_draw_path(both) && errno == EINVAL);
    errno = 0;
    assert(!bbox_new(1u, 99u) && errno != 0);
    assert(bbox_destroy(view) && bbox_destroy(both));
    puts("done");
    return 0;
}
