/* Messages, strings and memory. No printf: it would be a third of the program. */
#include "incamera.h"
#include "protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *program_name = "incamera";

/* End with "NAME: FIRST SECOND: what ERROR means" on standard error. */
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

void *require_memory(void *pointer) {
    if (!pointer)
        fail(EXIT_FAILED, "no memory left", NULL, 0);
    return pointer;
}

char *join(const char *first, const char *second, const char *third) {
    size_t a = strlen(first), b = strlen(second), c = strlen(third);
    char *text = require_memory(malloc(a + b + c + 1));
    memcpy(text, first, a);
    memcpy(text + a, second, b);
    memcpy(text + a + b, third, c + 1);
    return text;
}

char *join_path(const char *folder, const char *name) { return join(folder, "/", name); }

void say(const char *text) { write_all(1, text, strlen(text)); }

char *number_text(long number) {
    char digits[24], *start = digits + sizeof digits - 1;
    *start = 0;
    do
        *--start = (char)('0' + number % 10);
    while (number /= 10);
    return join(start, "", "");
}

/* Print "LABEL NUMBER\n". */
void say_number(const char *label, long number) {
    char *digits = number_text(number < 0 ? 0 : number), *start = join(label, " ", digits), *line = join(start, "\n", "");
    say(line);
    free(line);
    free(start);
    free(digits);
}
