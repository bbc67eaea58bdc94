/* The module incamera_agent._crash: tells where in C code an app has crashed. Python's faulthandler tells where in Python.

   It is imported after faulthandler.enable(), and so comes first at a crash. It prints one line, hands the signal over, and
   returns, so that faulthandler finds everything as it was. Python's own headers are not needed: what stands here is part of
   the stable ABI, for every Python from 3.2 on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <ucontext.h>
#include <unistd.h>

typedef struct {
    ssize_t references;
    void *type;
} PyObject;

typedef struct {
    PyObject object;
    PyObject *(*init)(void);
    ssize_t index;
    PyObject *copy;
    const char *name, *doc;
    ssize_t size;
    void *methods, *slots, *traverse, *clear, *free;
} PyModuleDef;

#define STABLE_ABI 3
PyObject *PyModule_Create2(PyModuleDef *definition, int version);

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define COUNT (sizeof SIGNALS / sizeof *SIGNALS)
static struct sigaction before[COUNT];

static char line[4096];
static size_t used;

static void add(const char *text, size_t size) {
    if (size > sizeof line - used)
        size = sizeof line - used;
    memcpy(line + used, text, size);
    used += size;
}

static void add_text(const char *text) { add(text, strlen(text)); }

static void add_hex(uintptr_t number) {
    for (int shift = (int)sizeof number * 8 - 4; shift >= 0; shift -= 4)
        if (number >> shift || !shift)
            add(&"0123456789abcdef"[number >> shift & 15], 1);
}

/* Read a number of /proc/self/maps; *TEXT is behind it afterwards. */
static uintptr_t take_hex(const char **text) {
    uintptr_t number = 0;
    for (;; (*text)++)
        if (**text >= '0' && **text <= '9')
            number = number << 4 | (uintptr_t)(**text - '0');
        else if (**text >= 'a' && **text <= 'f')
            number = number << 4 | (uintptr_t)(**text - 'a' + 10);
        else
            return number;
}

/* Where ADDRESS is if MAPPING, a line of /proc/self/maps, has it: "PATH+OFFSET", the offset in the file. */
static bool add_if_in(const char *mapping, uintptr_t address) {
    uintptr_t start = take_hex(&mapping), end = *mapping == '-' ? (mapping++, take_hex(&mapping)) : 0;
    if (address < start || address >= end || strlen(mapping) < 6)
        return false;
    mapping += 6; /* " r-xp " */
    uintptr_t offset = take_hex(&mapping);
    const char *path = strchr(mapping, '/');
    if (!path)
        return false;
    add_text(path);
    add_text("+0x");
    add_hex(address - start + offset);
    return true;
}

static bool add_place(const char *what, uintptr_t address) {
    static char mapping[4096 + 128], data[1024];
    size_t size = 0, before_it = used;
    int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    bool found = false;
    add_text(what);
    for (ssize_t got; maps >= 0 && !found && (got = read(maps, data, sizeof data)) > 0;)
        for (ssize_t i = 0; i < got && !found; i++) {
            if (data[i] != '\n') {
                if (size < sizeof mapping - 1)
                    mapping[size++] = data[i];
                continue;
            }
            mapping[size] = 0;
            size = 0;
            found = add_if_in(mapping, address);
        }
    if (maps >= 0)
        close(maps);
    if (!found)
        used = before_it;
    return found;
}

static void tell(const ucontext_t *context) {
#if defined __aarch64__
    uintptr_t at = context->uc_mcontext.pc, caller = context->uc_mcontext.regs[30];
#elif defined __arm__
    uintptr_t at = context->uc_mcontext.arm_pc, caller = context->uc_mcontext.arm_lr & ~(uintptr_t)1;
#else
    uintptr_t at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP], caller = 0;
#endif
    used = 0;
    bool found = add_place("C code at ", at);
    /* The return address is behind the call. */
    found = (caller && add_place(found ? ", called from " : "C code called from ", caller - 1)) || found;
    if (found) {
        add_text("\n");
        if (write(2, line, used) < 0)
            return;
    }
}

static void on_crash(int number, siginfo_t *info, void *context) {
    size_t i = 0;
    while (i < COUNT - 1 && SIGNALS[i] != number)
        i++;
    sigaction(number, &before[i], NULL);
    if (info->si_code > 0)
        tell(context);
    else
        raise(number); /* it was sent, as by abort(), and comes again when we return; a fault happens again by itself */
}

static PyModuleDef definition = {.object = {1, NULL}, .name = "_crash", .size = -1};

PyObject *PyInit__crash(void);

__attribute__((visibility("default"))) PyObject *PyInit__crash(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_crash;
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &action, &before[i]);
    return PyModule_Create2(&definition, STABLE_ABI);
}
