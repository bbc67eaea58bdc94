/* What the program says. No printf: it would be a third of the program. */
#include "output.h"
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

const char *program_name = "incamera", *program_path = "incamera";

bool write_all(int descriptor, const void *data, size_t size) {
    const char *bytes = data;
    while (size) {
        ssize_t written = write(descriptor, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes += written, size -= (size_t)written;
    }
    return true;
}

void let_go_of_host(void) {
    int nowhere = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        if (nowhere < 0)
            close(i);
        else
            dup2(nowhere, i);
    if (nowhere > 2)
        close(nowhere);
    setsid();
}

_Noreturn void fail(int code, const char *first, const char *second, int error) {
    const char *parts[] = {program_name, ": ", first, second ? " " : "", second ? second : "", error ? ": " : "",
                           error ? strerror(error) : "", "\n"};
    size_t size = 0;
    static char message[4096];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (const char *c = parts[i]; *c && size < sizeof message; c++)
            message[size++] = *c;
    write_all(2, message, size);
    _exit(code);
}

_Noreturn void fail_at_place(const char *first, const char *second, int error) {
    int code = EXIT_FAILED;
    if (error == ENOSPC || error == EDQUOT)
        code = EXIT_NO_SPACE;
    else if (error == EROFS)
        code = EXIT_READ_ONLY;
    else if (error == EIO || error == ENODEV || error == ENXIO || error == EHOSTDOWN || error == ESTALE)
        code = EXIT_UNREACHABLE;
    fail(code, first, second, error);
}

_Noreturn void fail_in_ram(const char *first, const char *second, int error) {
    fail(error == ENOSPC ? EXIT_NO_MEMORY : EXIT_FAILED, first, second, error);
}
