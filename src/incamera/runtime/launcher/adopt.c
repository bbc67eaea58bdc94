/* A bundle that another computer wrote into a share is adopted by the device that has the share mounted. */
#include "files.h"
#include "listing.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE "usage: incamera-guard adopt", "APPS APP NAME [looks NUMBER] [previous NAME] [activate] [remake]"

/* A share's client may believe for a second that what was not there is still not there. */
static void await_bundle(const char *folder, long looks) {
    char *entries = join_path(folder, ENTRIES);
    while (access(entries, F_OK) < 0) {
        if (--looks <= 0)
            fail(EXIT_NOT_SEEN, "nothing has appeared as", entries, 0);
        sleep(1);
    }
    free(entries);
}

/* guard adopt: waits until the bundle can be seen: so many looks, one a second. Then old bundles are removed in the
   background, if there is a previous one, and the bundle is activated, if that is wanted: `remake`, as `activate --remake`. */
int guard_adopt(int argc, char **argv) {
    long looks = 1;
    bool activate = false, remake = false;
    char *previous = NULL;
    if (argc < 3 || !is_safe(argv[1]) || !is_safe(argv[2]))
        fail(EXIT_USAGE, USAGE, 0);
    for (int i = 3; i < argc; i++)
        if (!strcmp(argv[i], "looks") && i + 1 < argc)
            looks = (long)require_number(argv[++i], 3600, "not a number of looks:");
        else if (!strcmp(argv[i], "previous") && i + 1 < argc)
            previous = argv[++i];
        else if (!strcmp(argv[i], "activate"))
            activate = true;
        else if (!strcmp(argv[i], "remake"))
            remake = true;
        else
            fail(EXIT_USAGE, USAGE, 0);
    char *app = join_path(argv[0], argv[1]), *folder = join_path(app, argv[2]);
    refuse_taken(app, APP_DEPTH);
    await_bundle(folder, looks);
    if (previous && fork() == 0) {
        char *words[] = {argv[0], argv[1], argv[2], previous};
        let_go_of_host();
        return guard_tidy(4, words);
    }
    char *words[] = {"--remake", folder};
    return activate ? guard_activate(1 + remake, words + !remake) : 0;
}
