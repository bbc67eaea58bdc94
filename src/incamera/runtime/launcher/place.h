/* Folders below a place that others can write to, such as /tmp, and the one way to open them. */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>

/* What open_own_folder returns for no folder (errno says why), and for one that another user has taken, or may take. */
enum { NO_FOLDER = -1, TAKEN_FOLDER = -2 };

/* Open the folder PATH for functions such as openat. In a folder that others can write to, what is opened must be no link,
   must be ours, and others must not be able to write to it. Not everybody may be able to rename it: such a folder must be sticky. Only the last DEPTH names of PATH are looked at: the user has
   chosen the place that they are in. With MAKE, folders that are missing are made. */
int open_own_folder(const char *path, int depth, bool make);

/* Is there such a folder? */
bool is_own_folder(const char *path);

/* Open it, and make what is missing; ends the program where that fails, with EXIT_TAKEN where another user has taken it. */
int require_own_folder(const char *path, int depth);

/* End the program with EXIT_TAKEN where another user has taken PATH or a folder that it is in. */
void refuse_taken(const char *path, int depth);

/* Make the folder PATH, which is not there yet and is for us alone, and those that it is in; ends the program where that fails. */
void make_own_folder(const char *path);

/* DEPTH of an app's folder and of a bundle in a place, and of a path of which all is looked at. */
enum { APP_DEPTH = 2, BUNDLE_DEPTH = 3, WHOLE_PATH = 1000 };

/* End the program: another user has taken what open_own_folder tried to open last. It names the owner. */
_Noreturn void fail_taken(void);

/* PATH, which begins with OWN_FOLDER; where another user has taken the first folder of that name, or where we once evaded
   to it, the same path in a folder with our user's number. */
char *own_path(const char *path);

/* The folders of the bundles' folders of links, and of mounted and unpacked runtimes: ROOTS and RAM_IMAGES, or evaded to. */
const char *roots_folder(void);
const char *images_folder(void);

/* Is TYPE, from statfs, one of the file systems that TYPES names, such as NETWORK_TYPES? */
bool is_file_system(unsigned long type, const char *types);

#endif
