/* The engine of video. */
#include "engine.h"

engine_function engine_vdo;

void engine_vdo(struct line *line)
{
    struct line_message *request = calloc(1, sizeof *request);
    while (request && line_next(line, request))
        line_answer(line, request, 0, NULL, 0, NULL, 0);
    if (request)
        line_clear(request);
    free(request);
}
