/* What a bundle holds, as its listing says and as its files are. */
#ifndef LISTING_H
#define LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct entry {
    char kind; /* ENTRY_FILE, ENTRY_EXECUTABLE or ENTRY_LINK */
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

/* Is PATH relative, without `..`? */
bool is_safe(const char *path);

/* Take TEXT apart, in place; false where it is not a listing. */
bool parse_listing(struct listing *listing, char *text, size_t size);

/* Read the listing of the bundle in ROOT; false where there is none. */
bool load_listing(struct listing *listing, const char *root, bool sound);
void free_listing(struct listing *listing);

/* Is the file below FOLDER what ENTRY says? If TRUSTED, its size and time stamp are enough; otherwise it is read. */
bool is_sound(int folder, const struct entry *entry, bool trusted);

/* Is there a whole bundle in ROOT, with all entries of WANTED? */
bool is_whole(const char *root, const struct listing *wanted, bool trusted);

/* Is the link below FOLDER what ENTRY says? */
bool links_to(int folder, const struct entry *entry);

/* The path that a link in ROOT leads to. */
char *target_of(const char *root, const struct entry *entry);

/* Some links of a bundle lead to what neither it nor this camera has. */
bool leads_nowhere(const char *root, const struct entry *entry);

#endif
