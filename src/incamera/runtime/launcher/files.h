/* Files and folders. */
#ifndef FILES_H
#define FILES_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* All of PATH with a NUL behind it, and its SIZE unless that is NULL. Returns NULL with errno where it cannot be read. */
char *read_file(const char *path, size_t *size);

/* Make or overwrite a file; false with errno where that fails. A link in its place is not followed. */
bool write_file(const char *path, const void *data, size_t size, mode_t mode);
bool copy_file(const char *from, const char *to, mode_t mode);

/* Make the parent folders of PATH whose names end after its first FROM characters. */
bool make_parents(char *path, size_t from);

/* Remove PATH and all below it. What cannot be removed stays. No link is followed, whatever changes meanwhile. */
void remove_tree(const char *path);

/* The same for NAME in the opened FOLDER. */
void remove_tree_at(int folder, const char *name);

/* Does the name begin with a dot? */
bool is_hidden(const struct dirent *entry);

#endif
