/* What the library for events and its engine say to each other. An answer has the code 0, or 1 and a text that tells why.

   An event is text: its parts have tabs before them, and each is a key, KEY;NAME SPACE;TYPE;MARKS;VALUE;NICE NAME;NICE
   NAME OF THE VALUE. What is not there is ~, and special characters are written as %3B. */
#ifndef STAND_INS_EVENT_LINE_H
#define STAND_INS_EVENT_LINE_H

#include "words.h"

enum {
    EVENT_LISTEN = 16, /* a socket comes back, over which CAME come */
    EVENT_DECLARE,     /* number, whether it has no state, time, keys */
    EVENT_UNDECLARE,   /* number */
    EVENT_SEND,        /* number of the declaration, time, keys */
    EVENT_SUBSCRIBE,   /* number, keys: those without a value match any */
    EVENT_UNSUBSCRIBE, /* number */
    EVENT_CAME,        /* number of the subscription; microseconds, declaration, `state` or `pulse` and keys: one text */
};

enum {
    EVENT_MOST = 256,      /* declarations, and as many subscriptions, of one line */
    EVENT_LONGEST = 32000, /* the bytes of an event's keys */
};

#endif
