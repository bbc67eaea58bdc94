/* What the library for parameters and its engine say to each other. An answer's code is one more than the library's error,
   since one of these is 0, and its content is a text that tells why. */
#ifndef STAND_INS_PARAMETER_LINE_H
#define STAND_INS_PARAMETER_LINE_H

#include "words.h"

enum {
    PARAM_OPEN = 16, /* the app's name: the first one of a line */
    PARAM_ADD,       /* name, value, type */
    PARAM_REMOVE,    /* name */
    PARAM_CHECK,     /* name: may it be set? Its full name comes back */
    PARAM_STAGE,     /* full name, value: it is set by the next SYNC of this line */
    PARAM_SYNC,      /* how much was staged: write it at once. 1 comes back if the engine has not got all of it */
    PARAM_GET,       /* name. Full name and value come back */
    PARAM_LIST,      /* number of the first one. Whether there are more, and names, come back */
    PARAM_CHANGES,   /* a socket comes back, over which CHANGED come */
    PARAM_WATCH,     /* number, name, whether the app knows a value, that value. Full name, and the same of its value */
    PARAM_UNWATCH,   /* number */
    PARAM_CHANGED,   /* number, full name, value */
};

enum {
    PARAM_MOST = 1024,     /* what is staged or watched by one line */
    PARAM_LONGEST = 30000, /* the bytes of a value */
};

#endif
