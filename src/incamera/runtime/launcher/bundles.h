/* What the parts of `receive` share.

   APPS/APP/NAME/                 a whole bundle; it got its name by a rename when every file had been checked
   APPS/APP/NAME/.incamera-entries  what it holds
   APPS/APP/NAME.partial/         one that is arriving, or was interrupted
   APPS/APP/current               a link to the newest
   APPS/APP/.lock                 held while a bundle is received: one at a time; tells by whom
   APPS/.deploying                the same on a network share, for all computers that write to it
   APPS/.images/FILE              a runtime in one file, or as a folder, named by its digest, for any bundle whose file
                                  `image` names it */
#ifndef BUNDLES_H
#define BUNDLES_H

#include "protocol.h"

#include <stdbool.h>
#include <sys/types.h>

/* listing.c: what a bundle holds */
struct entry {
    char kind;
    bool missing;
    bool sealed; /* linked from a whole bundle: it has its rights and its time */
    off_t size;
    const char *sha256, *path, *target;
};
struct listing {
    char *root, *text;
    int folder; /* ROOT, opened: shorter paths are found faster, and there are thousands */
    struct entry *entries;
    size_t count;
    bool sound; /* its files were checked once */
};
bool is_safe(const char *path);
bool parse_listing(struct listing *listing, char *text, size_t size);
bool load_listing(struct listing *listing, const char *root, bool sound);
void free_listing(struct listing *listing);
bool is_sound(int folder, const struct entry *entry, bool trusted);
bool is_whole(const char *root, const struct listing *wanted, bool trusted);
bool links_to(int folder, const struct entry *entry);
char *target_of(const char *root, const struct entry *entry);
bool leads_nowhere(const char *root, const struct entry *entry);

/* reuse.c: what is here already */
void find_bases(const char *apps, bool trusted);
bool take_from_here(const char *root, int folder, struct entry *entry);
bool make_folder(int folder, const char *path);

/* arrive.c: what comes from the host */
char *read_input(size_t size);
size_t read_size_line(void);
bool has_program(const char *name);
void unpack(const char *folder, bool gzip);
void seal_files(const char *root, int folder, struct listing *wanted);
void make_links(const char *root, int folder, const struct listing *wanted);

/* tidy.c: the newest bundle, and those that are not needed any more */
bool ends_with(const char *text, const char *end);
char *read_current(const char *app);
void switch_over(const char *app, const char *name, bool plain_file);
bool give_name(const char *partial, const char *final);
void remove_damaged(const char *final);
void remove_old(const char *app, const char *name, const char *previous);
void remove_guards(void);

/* lock.c: one deploy of an app at a time, among those that this kernel sees */
void take_lock(const char *folder, const char *who, bool take_over);
bool must_wait(int *waited, int pause, const char *who, long seconds);

/* lease.c: one deploy at a time to a share, among all computers */
bool is_shared(const char *apps);
void take_lease(const char *apps, const char *app, const char *who, bool take_over);
bool has_lease(void);
void require_lease(void);

/* images.c */
struct image {
    const char *file; /* its name in APPS/.images */
    off_t size;
    bool folder;  /* a runtime as a tree, */
    size_t count; /* of so many entries */
    bool trusted; /* what was checked once is not read again */
    /* Of one that is not here yet: */
    int descriptor;
    bool damaged; /* there is another under its name */
    char *path, *partial;
    off_t offset;
};
int share_images(const char *apps);
bool has_image(const char *apps, const struct image *image);
void open_image(const char *apps, struct image *image);
void receive_image(struct image *image);
void remove_images(const char *apps);

#endif
