/* The engines of the camera's service. */
#ifndef STAND_INS_ENGINES_H
#define STAND_INS_ENGINES_H

#include "engine.h"

engine_function engine_vdo, engine_drawing, engine_larod, engine_axparameter,
    engine_axevent;

static const struct engine engines[] = {
    {"vdo", engine_vdo},
    {"bbox", engine_drawing},
    {"axoverlay", engine_drawing},
    {"axoverlay2", engine_drawing},
    {"larod", engine_larod},
    {"axparameter", engine_axparameter},
    {"axevent", engine_axevent},
    {0},
};

#endif
