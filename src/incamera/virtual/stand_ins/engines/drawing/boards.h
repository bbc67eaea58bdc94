/* What programs show over the video. A board is what one line shows. */
#ifndef STAND_INS_BOARDS_H
#define STAND_INS_BOARDS_H

#include "draw_line.h"
#include "drawing.h"
#include "engine.h"

enum { MOST_OVERLAYS = 512, MOST_STREAMS = 16 };

struct shapes {
    struct draw_shapes head;
    size_t count, size;
    uint8_t *data;
};

struct overlay {
    bool used;
    struct draw_overlay kind;
    struct draw_show show;
    size_t size;
    uint8_t *buffers[DRAW_BUFFERS]; /* memory that the program has, too */
};

struct board {
    struct board *next;
    struct shapes drawn, shown;
    struct overlay *overlays; /* MOST_OVERLAYS, from the first one on */
    size_t overlay_bytes;
    int streams; /* the pipe that tells of streams, or -1 */
    uint32_t known[MOST_STREAMS];
    unsigned known_count;
};

bool shapes_add(struct shapes *shapes, const struct line_message *request);
void shapes_drop(struct shapes *shapes);
bool shapes_draw(const struct shapes *shapes, const struct incamera_picture *picture);

int overlay_make(struct board *board, const struct draw_overlay *kind, uint32_t *number, int *fds);
int overlay_show(struct board *board, const struct draw_show *show);
int overlay_remove(struct board *board, uint32_t number);
void overlays_drop(struct board *board);
bool overlays_draw(const struct board *board, const struct incamera_picture *picture);

void board_add(struct board *board);
void board_remove(struct board *board);
void board_lock(void);
void board_unlock(void);

#endif
