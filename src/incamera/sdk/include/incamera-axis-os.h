/*
 * The AXIS OS that the headers of the camera's libraries are for: 1208 stands for 12.8. What is newer is not declared.
 * Define it on the compiler's command line (-DINCAMERA_AXIS_OS=1111). By default, everything is declared.
 */
#ifndef INCAMERA_AXIS_OS_H
#define INCAMERA_AXIS_OS_H

#ifndef INCAMERA_AXIS_OS
#define INCAMERA_AXIS_OS 9999
#endif

#endif
