/* One deploy of an app at a time, among those that this kernel sees. */
#ifndef LOCK_H
#define LOCK_H

#include <stdbool.h>

/* Take the lock of FOLDER for OWNER, once no other deploy has it. If TAKE_OVER, the deploy that has it is ended. */
void take_lock(const char *folder, const char *owner, bool take_over);

/* Tell the host once a second who has been deploying APP for how many SECONDS, then wait for PAUSE ms. WAITED counts the
   ms; returns false when that is too long. Where the host's end of standard input is closed, the program ends. */
bool must_wait(int *waited, int pause, const char *owner, const char *app, long seconds);

/* The owner of a lock whose deploy is over: it removes what is not needed any more. Another deploy ends that. */
#define TIDYING "tidy"

/* Write into the lock FILE, which this process has, who it is and that it works for OWNER. */
void write_holder(int file, const char *owner);

/* Go on with the lock that was taken, to tidy. */
void keep_lock_to_tidy(void);

#endif
