/* What arrives from the host is read, unpacked, checked and sealed. */
#ifndef ARRIVE_H
#define ARRIVE_H

#include "listing.h"

/* Read exactly SIZE bytes of standard input. */
char *read_input(size_t size);

/* Read a line with a number. */
size_t read_size_line(void);

/* Is there a program of that name in PATH? */
bool has_program(const char *name);

/* Can this device unpack xz? It is tried: there may be an `unxz` that lacks something. */
bool unpacks_xz(void);

/* Unpack the archives that come on standard input in FOLDER, which is to have the entries WANTED. */
void unpack(const char *folder, struct listing *wanted);

/* Check the files that came to ROOT, which is opened as FOLDER, and give each its rights and its time. */
void seal_files(const char *root, int folder, struct listing *wanted);

void make_links(const char *root, int folder, const struct listing *wanted);

#endif
