/* The folders of links in RAM that bundles run from. */
#ifndef ROOTS_H
#define ROOTS_H

#include <stdbool.h>

/* In each root: the folders of the bundle and of the runtime that it was made of, a line each. */
#define MADE_OF ".made-of"

/* Wait until no other process changes roots or images, for a minute at most. The lock ends with the process. */
void take_roots_lock(void);

/* Read what ROOT is made of, into two lines; false when it is not whole. Both are freed with the first. */
bool read_made_of(const char *root, char *lines[2]);

/* Keep a root that no process runs from yet, from now on for as long as one that was just made. */
void renew_root(const char *root);

/* Remove a root, and never what is mounted in it. */
void remove_root(const char *root);

/* Does a process run from the root NAME? */
bool root_in_use(const char *name);

/* With the lock: remove the roots that no process runs from, except KEEP. With APP, only roots of that app. */
void drop_roots(const char *keep, const char *app);

/* With the lock: remove the images that no root names. */
void drop_images(void);

/* Print all roots and images. */
void list_roots(void);

#endif
