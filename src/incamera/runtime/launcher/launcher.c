/* The launcher: starts the bundle's Python through the loader that is named in the bundle, from any path.

   The library path is handed to the loader on its command line, never in the environment: what Python starts may be
   the camera's own programs, and those must find the camera's own libraries. */
#include "files.h"
#include "output.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

struct settings {
    char *program, *loader, *libraries;
};

static _Noreturn void fail_launch(const char *path, int error) {
    if (error == EACCES)
        fail(EXIT_CANNOT_EXECUTE, "cannot execute (is its file system mounted noexec?)", path, error);
    fail(EXIT_NOT_FOUND, "the bundle is damaged, deploy it again:", path, error);
}

/* The bundle: the folder two levels above this program, by whatever name or link it was called. */
static char *find_root(char **own_name) {
    char *path = require_memory(malloc(PATH_MAX));
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (size < 0)
        fail(EXIT_NOT_FOUND, "cannot read the path of this program from", "/proc/self/exe", errno);
    path[size] = 0;
    char *slash = strrchr(path, '/');
    *slash = 0;
    *own_name = slash + 1;
    slash = strrchr(path, '/');
    if (!slash)
        fail(EXIT_NOT_FOUND, "there is no bundle around", path, 0);
    *slash = 0;
    return path;
}

static char *inside(const char *root, const char *path) {
    return *path == '/' ? copy_text(path) : join_path(root, path);
}

static char *join_libraries(const char *root, char *list) {
    char *joined = NULL;
    for (char *rest = list, *item; (item = strsep(&rest, ":"));) {
        if (!*item)
            continue;
        char *path = inside(root, item);
        char *longer = joined ? join(joined, ":", path) : path;
        if (joined) {
            free(joined);
            free(path);
        }
        joined = longer;
    }
    return joined;
}

static void read_settings(const char *root, const char *path, char *text, struct settings *settings) {
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        if (!*line || *line == '#')
            continue;
        char *key = strsep(&line, " ");
        if (!line || !*line)
            fail(EXIT_NOT_FOUND, "a setting without a value in", path, 0);
        if (!strcmp(key, "program"))
            settings->program = inside(root, line);
        else if (!strcmp(key, "loader"))
            settings->loader = inside(root, line);
        else if (!strcmp(key, "libraries"))
            settings->libraries = join_libraries(root, line);
        else if (!strcmp(key, "env")) {
            char *name = strsep(&line, " ");
            if (!line || !*line)
                fail(EXIT_NOT_FOUND, "a setting without a value in", path, 0);
            setenv(name, inside(root, line), 0);
        } else
            fail(EXIT_NOT_FOUND, "an unknown setting in", path, 0);
    }
}

int launch(int argc, char **argv) {
    char *own_name;
    char *root = find_root(&own_name);
    struct settings settings = {0};

    char *path = join_path(root, "etc/launcher");
    char *text = read_file(path, NULL);
    if (!text)
        fail_launch(path, errno);
    read_settings(root, path, text, &settings);
    /* What was found out about this very device when the bundle was deployed has the last word. */
    path = join_path(root, "device/launcher");
    text = read_file(path, NULL);
    if (text)
        read_settings(root, path, text, &settings);
    else if (errno != ENOENT)
        fail_launch(path, errno);

    /* The agent asks to adopt the orphans of what it runs, so that it finds them. Python itself cannot say so. */
    if (getenv(SUBREAPER_VARIABLE)) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        unsetenv(SUBREAPER_VARIABLE);
    }
    if (!settings.program || !settings.loader || !settings.libraries)
        fail(EXIT_NOT_FOUND, "program, loader or libraries are missing in", join_path(root, "etc/launcher"), 0);
    if (access(settings.program, R_OK) < 0)
        fail_launch(settings.program, errno);

    /* sys.executable comes from argv[0], and subprocess and multiprocessing start that again: it must exist. */
    const char *called = argc && argv[0] ? argv[0] : "";
    called = strrchr(called, '/') ? strrchr(called, '/') + 1 : called;
    char *bin = join_path(root, "bin");
    char *name = join_path(bin, called);
    if (!*called || access(name, X_OK) < 0)
        name = join_path(bin, own_name);

    char **words = require_memory(calloc((size_t)argc + 8, sizeof *words));
    int count = 0;
    words[count++] = settings.loader;
    words[count++] = "--library-path";
    words[count++] = settings.libraries;
    words[count++] = "--argv0";
    words[count++] = name;
    words[count++] = settings.program;
    for (int i = 1; i < argc; i++)
        words[count++] = argv[i];
    execv(settings.loader, words);
    fail_launch(settings.loader, errno);
}
