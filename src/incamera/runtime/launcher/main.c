/* One static program that is two, by the name that it is called by: the launcher (python3) and the guard
   (incamera-guard). It must run on any camera, so it uses nothing but system calls and a little of musl. */
#include "output.h"
#include "protocol.h"
#include "verbs.h"

#include <string.h>

static int guard(int argc, char **argv) {
#define VERB(name, function) {name, function},
#define WORD(name, function) name "|"
    static const struct {
        const char *name;
        int (*function)(int, char **);
    } verbs[] = {VERBS(VERB)};
    program_name = GUARD;
    program_path = argv[0];
    for (size_t i = 0; argc > 1 && i < sizeof verbs / sizeof *verbs; i++)
        if (!strcmp(argv[1], verbs[i].name))
            return verbs[i].function(argc - 2, argv + 2);
    fail(EXIT_USAGE, "usage: " GUARD, VERBS(WORD) " ...", 0);
}

int main(int argc, char **argv) {
    const char *name = argc && argv[0] ? argv[0] : "";
    name = strrchr(name, '/') ? strrchr(name, '/') + 1 : name;
    /* A prefix, since deploying gives the guard a name with its digest behind. */
    return strncmp(name, GUARD, sizeof GUARD - 1) ? launch(argc, argv) : guard(argc, argv);
}
