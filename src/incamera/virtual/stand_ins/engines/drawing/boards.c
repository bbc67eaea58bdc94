/* All boards, the oldest first, and drawing what they show. */
#include "boards.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct board *first_board;

void board_lock(void)
{
    pthread_mutex_lock(&lock);
}

void board_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

/* Where a program forks while a thread of its own holds the lock, the child would wait for ever. */
__attribute__((constructor)) static void keep_lock_over_forks(void)
{
    pthread_atfork(board_lock, board_unlock, board_unlock);
}

void board_add(struct board *board)
{
    board_lock();
    struct board **end = &first_board;
    while (*end)
        end = &(*end)->next;
    *end = board;
    board_unlock();
}

void board_remove(struct board *board)
{
    board_lock();
    for (struct board **at = &first_board; *at; at = &(*at)->next)
        if (*at == board) {
            *at = board->next;
            break;
        }
    board_unlock();
}

/* Tell the program of a stream that it does not know. A full pipe is told later. */
static void meet_stream(struct board *board, const struct incamera_picture *picture)
{
    const struct draw_stream stream = {picture->stream, picture->channel, picture->width, picture->height,
                                       picture->rotation};
    for (unsigned n = 0; n < MOST_STREAMS && n < board->known_count; n++)
        if (board->known[n] == picture->stream)
            return;
    if (write(board->streams, &stream, sizeof stream) == (ssize_t)sizeof stream)
        board->known[board->known_count++ % MOST_STREAMS] = picture->stream;
}

incamera_draw_function incamera_draw;

bool incamera_draw(const struct incamera_picture *picture)
{
    bool shown = false;
    board_lock();
    for (struct board *board = first_board; board; board = board->next) {
        if (board->streams >= 0)
            meet_stream(board, picture);
        shown = shapes_draw(&board->shown, picture) || shown;
        shown = overlays_draw(board, picture) || shown;
    }
    board_unlock();
    return shown;
}
