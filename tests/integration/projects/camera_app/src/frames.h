#ifndef FRAMES_H
#define FRAMES_H

/* The mean of the Y plane of one frame of that size; -1 when there is none. */
double frame_mean(unsigned width, unsigned height);

/* How many devices larod has; -1 when it cannot be asked. */
int count_devices(void);

#endif
