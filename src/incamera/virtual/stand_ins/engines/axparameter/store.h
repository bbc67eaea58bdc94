/* The files of parameters. Each app has one in the folder INCAMERA_PARAMETERS, or in a folder of the flash memory, with a
   line `NAME="VALUE" type="TYPE"` for each parameter; %, " and line ends are written as %25, %22, %0A. Whoever writes it
   writes a new file and renames it. The camera's own parameters are in a file of the firmware.

   All accounts of the camera may write to the folder, and the engine runs as root: it follows no links there. */
#ifndef STAND_INS_PARAMETER_STORE_H
#define STAND_INS_PARAMETER_STORE_H

#include "files.h"

struct param_entry {
    struct param_entry *next;
    char *name, *value, *type;
};

/* Where a parameter is. */
struct param_place {
    char group[PATH_SIZE], name[PATH_SIZE];
    bool own, system;
};

const char *param_folder(void);
int param_lock(void);
bool param_is_group(const char *name);
bool param_import(const char *app);
bool param_find_place(const char *app, const char *name, struct param_place *place);
void param_full_name(const struct param_place *place, char full[3 * PATH_SIZE]);

struct param_entry *param_load(const char *group);
struct param_entry *param_load_system(void);
bool param_save(const char *group, const struct param_entry *list);
struct param_entry *param_find(struct param_entry *list, const char *name);
bool param_append(struct param_entry **list, const char *name, const char *value, const char *type);
bool param_replace(char **place, const char *value);
void param_free(struct param_entry *list);

#endif
