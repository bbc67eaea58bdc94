/* Draws a box, a line and a triangle over two channels. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bbox.h>

int main(void)
{
    bbox_channel_t channels[] = {1, 2};
    bbox_t *box = bbox_new(2u, channels[0], channels[1]);
    if (!box)
        goto failed;
    const bbox_color_t red = bbox_color_from_rgb(0xff, 0, 0), faint = bbox_color_from_rgba(0, 0xff, 0, 0x40);
    if (!bbox_clear(box) || !bbox_coordinates_frame_normalized(box) || !bbox_style_outline(box) ||
        !bbox_thickness_medium(box) || !bbox_color(box, red) || !bbox_rectangle(box, 0.1f, 0.1f, 0.5f, 0.5f) ||
        !bbox_color(box, faint) || !bbox_line(box, 0, 0, 1, 1) || !bbox_move_to(box, 0.2f, 0.8f) ||
        !bbox_line_to(box, 0.4f, 0.8f) || !bbox_line_to(box, 0.3f, 0.6f) || !bbox_draw_path(box) ||
        !bbox_video_output(box, true) || !bbox_commit(box, 0))
        goto failed;
    bbox_destroy(box);
    return EXIT_SUCCESS;
failed:
    fprintf(stderr, "%s\n", strerror(errno));
    bbox_destroy(box);
    return EXIT_FAILURE;
}
