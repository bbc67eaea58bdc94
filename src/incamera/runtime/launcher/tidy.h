/* The newest bundle of an app gets its name; what is not needed any more is removed. */
#ifndef TIDY_H
#define TIDY_H

#include <stdbool.h>

/* The name of the app's newest bundle, empty where there is none. It is valid until the next call. */
char *read_current(const char *app);

/* Make NAME the app's newest bundle: by a link, or a PLAIN_FILE where other computers would follow a link. */
void switch_over(const char *app, const char *name, bool plain_file);

/* Rename the finished bundle PARTIAL to FINAL. Returns whether a damaged one had that name. */
bool give_name(const char *partial, const char *final);

/* Remove the damaged runtime that give_name put aside, unless a process runs from it. */
void remove_damaged(const char *final);

/* Remove the app's bundles but NAME and PREVIOUS (NULL: only those that are not whole), and what a process runs from. */
void remove_old(const char *app, const char *name, const char *previous);

/* Remove the guards of other versions that nobody uses. */
void remove_guards(void);

#endif
