/* How the square of the known scene moves: from the left edge to the right one in this time, and again. All programs of a
   virtual camera see the same scene, which began with CLOCK_MONOTONIC. */
#ifndef STAND_INS_SCENE_H
#define STAND_INS_SCENE_H

#define SCENE_MICROSECONDS 4600000

#endif
