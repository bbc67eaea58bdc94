/* The engine of drawing: what it does for a line of bbox, axoverlay or axoverlay2. */
#include "boards.h"

#include <fcntl.h>

static bool answer_shapes(struct board *board, struct line *line, const struct line_message *request)
{
    if (!shapes_add(&board->drawn, request)) {
        shapes_drop(&board->drawn);
        return line_answer(line, request, EINVAL, NULL, 0, NULL, 0);
    }
    if (!board->drawn.head.more) {
        board_lock();
        struct shapes before = board->shown;
        board->shown = board->drawn;
        board_unlock();
        board->drawn = (struct shapes){0};
        shapes_drop(&before);
    }
    return line_answer(line, request, 0, NULL, 0, NULL, 0);
}

static bool answer_overlay(struct board *board, struct line *line, const struct line_message *request)
{
    const struct draw_overlay *kind = line_content(request, sizeof *kind);
    uint32_t number = 0;
    int fds[DRAW_BUFFERS];
    if (!kind)
        return false;
    board_lock();
    int code = overlay_make(board, kind, &number, fds);
    board_unlock();
    if (code)
        return line_answer(line, request, code, NULL, 0, NULL, 0);
    bool good = line_answer(line, request, 0, &number, sizeof number, fds, DRAW_BUFFERS);
    for (unsigned n = 0; n < DRAW_BUFFERS; n++)
        close(fds[n]);
    return good;
}

static bool answer_show(struct board *board, struct line *line, const struct line_message *request)
{
    const struct draw_show *show = line_content(request, sizeof *show);
    if (!show)
        return false;
    board_lock();
    int code = overlay_show(board, show);
    board_unlock();
    return line_answer(line, request, code, NULL, 0, NULL, 0);
}

static bool answer_remove(struct board *board, struct line *line, const struct line_message *request)
{
    const uint32_t *number = line_content(request, sizeof *number);
    if (!number)
        return false;
    board_lock();
    int code = overlay_remove(board, *number);
    board_unlock();
    return line_answer(line, request, code, NULL, 0, NULL, 0);
}

static bool answer_streams(struct board *board, struct line *line, const struct line_message *request)
{
    int ends[2];
    if (board->streams >= 0 || pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return line_answer(line, request, ENOSPC, NULL, 0, NULL, 0);
    board_lock();
    board->streams = ends[1];
    board_unlock();
    bool good = line_answer(line, request, 0, NULL, 0, ends, 1);
    close(ends[0]);
    return good;
}

static bool answer_drawing(struct board *board, struct line *line, const struct line_message *request)
{
    switch (request->kind) {
    case DRAW_SHAPES: return answer_shapes(board, line, request);
    case DRAW_OVERLAY: return answer_overlay(board, line, request);
    case DRAW_SHOW: return answer_show(board, line, request);
    case DRAW_REMOVE: return answer_remove(board, line, request);
    case DRAW_STREAMS: return answer_streams(board, line, request);
    default: return false;
    }
}

engine_function engine_drawing;

void engine_drawing(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    struct board board = {.streams = -1};
    board_add(&board);
    while (request && line_next(line, request) && answer_drawing(&board, line, request))
        ;
    board_remove(&board);
    shapes_drop(&board.drawn);
    shapes_drop(&board.shown);
    overlays_drop(&board);
    if (board.streams >= 0)
        close(board.streams);
    if (request)
        line_clear(request);
    free(request);
}
