/* One deploy of an app at a time, among those that this kernel sees. */
#ifndef LOCK_H
#define LOCK_H

#include <stdbool.h>

/* Take the lock of FOLDER for OWNER, once nobody else has it. If TAKE_OVER, the deploy that has it is ended. */
void take_lock(const char *folder, const char *owner, bool take_over);

/* Tell the host once a second for whom it waits, then wait for PAUSE ms. WAITED counts the ms; false when that is too long. */
bool must_wait(int *waited, int pause, const char *owner, long seconds);

#endif
