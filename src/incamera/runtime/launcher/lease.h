/* One deploy at a time to a network share, among all computers. */
#ifndef LEASE_H
#define LEASE_H

#include <stdbool.h>

/* Do other computers write to the folder APPS, too? */
bool is_shared(const char *apps);

/* Take the lease of APPS for OWNER, who deploys APP, once no other deploy has it. */
void take_lease(const char *apps, const char *app, const char *owner, bool take_over);

/* Go on with the lease that was taken, if one was, to tidy. */
void keep_lease_to_tidy(void);

/* May this process still change what is there? Always true where no lease was taken. */
bool has_lease(void);

/* End the program where another has taken the lease over. */
void require_lease(void);

#endif
