/* Pictures that lie over the video. Their memory is made here, and the program draws into it. */
#include "boards.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { MOST_BYTES = 160 << 20 }; /* of all buffers of a board */

static void overlay_drop(struct board *board, struct overlay *overlay)
{
    for (unsigned n = 0; n < DRAW_BUFFERS; n++)
        if (overlay->buffers[n]) {
            munmap(overlay->buffers[n], overlay->size);
            board->overlay_bytes -= overlay->size;
        }
    *overlay = (struct overlay){0};
}

void overlays_drop(struct board *board)
{
    for (unsigned n = 0; board->overlays && n < MOST_OVERLAYS; n++)
        overlay_drop(board, &board->overlays[n]);
    free(board->overlays);
    board->overlays = NULL;
}

/* Memory of SIZE bytes, which the program can't make shorter. Returns its file, or -1. */
static int make_buffer(struct board *board, size_t size, uint8_t **buffer)
{
    int fd = memfd_create("overlay", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *data = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
        data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data != MAP_FAILED) {
        *buffer = data;
        board->overlay_bytes += size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool can_be(const struct draw_overlay *kind)
{
    return kind->width > 0 && kind->height > 0 && kind->width <= DRAW_MOST_SIDE && kind->height <= DRAW_MOST_SIDE &&
           (kind->step == 1 || kind->step == 2);
}

static struct overlay *unused(struct board *board)
{
    if (!board->overlays)
        board->overlays = calloc(MOST_OVERLAYS, sizeof *board->overlays);
    for (unsigned n = 0; board->overlays && n < MOST_OVERLAYS; n++)
        if (!board->overlays[n].used)
            return &board->overlays[n];
    return NULL;
}

/* Make an overlay, of which nothing is shown. Returns 0 or an error; FDS becomes its memory. */
int overlay_make(struct board *board, const struct draw_overlay *kind, uint32_t *number, int *fds)
{
    struct overlay *overlay = can_be(kind) ? unused(board) : NULL;
    if (!overlay)
        return can_be(kind) ? ENOSPC : EINVAL;
    overlay->kind = *kind;
    overlay->show.buffer = DRAW_BUFFERS;
    overlay->size = 4 * (size_t)kind->width * kind->height;
    for (unsigned n = 0; n < DRAW_BUFFERS; n++) {
        bool fits = board->overlay_bytes + overlay->size <= MOST_BYTES;
        fds[n] = fits ? make_buffer(board, overlay->size, &overlay->buffers[n]) : -1;
        if (fds[n] >= 0)
            continue;
        while (n > 0)
            close(fds[--n]);
        overlay_drop(board, overlay);
        return ENOSPC;
    }
    overlay->used = true;
    *number = (uint32_t)(overlay - board->overlays);
    return 0;
}

static struct overlay *find_overlay(struct board *board, uint32_t number)
{
    return board->overlays && number < MOST_OVERLAYS && board->overlays[number].used ? &board->overlays[number] : NULL;
}

int overlay_show(struct board *board, const struct draw_show *show)
{
    struct overlay *overlay = find_overlay(board, show->number);
    if (!overlay)
        return EINVAL;
    overlay->show = *show;
    return 0;
}

int overlay_remove(struct board *board, uint32_t number)
{
    struct overlay *overlay = find_overlay(board, number);
    if (!overlay)
        return EINVAL;
    overlay_drop(board, overlay);
    return 0;
}

static void overlay_draw(const struct overlay *overlay, const struct incamera_picture *picture)
{
    const struct draw_overlay *kind = &overlay->kind;
    const uint8_t *data = overlay->buffers[overlay->show.buffer];
    int64_t left = overlay->show.left, top = overlay->show.top;
    /* The part of it that is in the picture. */
    int64_t from_x = left < 0 ? -left : 0, from_y = top < 0 ? -top : 0;
    int64_t to_x = (int64_t)kind->width * kind->step, to_y = (int64_t)kind->height * kind->step;
    to_x = to_x > picture->width - left ? picture->width - left : to_x;
    to_y = to_y > picture->height - top ? picture->height - top : to_y;
    for (int64_t y = from_y; y < to_y; y++)
        for (int64_t x = from_x; x < to_x; x++)
            draw_argb(picture, (int)(left + x), (int)(top + y),
                      data + 4 * (size_t)(y / kind->step * kind->width + x / kind->step));
}

bool overlays_draw(const struct board *board, const struct incamera_picture *picture)
{
    bool shown = false;
    for (unsigned n = 0; board->overlays && n < MOST_OVERLAYS; n++) {
        const struct overlay *overlay = &board->overlays[n];
        if (!overlay->used || overlay->show.buffer >= DRAW_BUFFERS ||
            !(overlay->kind.any || overlay->kind.stream == picture->stream))
            continue;
        shown = true;
        if (picture->y)
            overlay_draw(overlay, picture);
    }
    return shown;
}
