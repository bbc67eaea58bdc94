/* Files that are on the device already, found by their content. */
#ifndef REUSE_H
#define REUSE_H

#include "listing.h"

/* Find the files of all bundles below APPS, for take_from_here. If TRUSTED, files of whole bundles are not read. */
void find_bases(const char *apps, bool trusted);

/* Link or copy what ENTRY describes to its place in ROOT, which is opened as FOLDER; false where no bundle has it. */
bool take_from_here(const char *root, int folder, struct entry *entry);

/* Make the parent folder of PATH below FOLDER. */
bool make_folder(int folder, const char *path);

#endif
