/* The engines of the camera's service. */
#ifndef STAND_INS_ENGINES_H
#define STAND_INS_ENGINES_H

#include "engine.h"

engine_function engine_vdo;

static const struct engine engines[] = {
    {"vdo", engine_vdo},
    {0},
};

#endif
