/* The module incamera_agent._crash: tells where in C code an app has crashed. Python's faulthandler tells where in Python.

   It is imported after faulthandler.enable(), and so comes first at a crash. It prints one line, hands the signal over, and
   returns, so that faulthandler finds everything as it was.

   It also gives each thread of `threading` a signal stack. Only the main thread has one from faulthandler, and a thread
   whose stack has overflowed cannot run a handler on it.

   Python's own headers are not needed: what stands here is part of the stable ABI, for every Python from 3.2 on. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
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

typedef struct {
    const char *name;
    PyObject *(*call)(PyObject *self, PyObject *arguments, PyObject *keywords);
    int flags;
    const char *doc;
} PyMethodDef;

#define STABLE_ABI 3
#define ARGUMENTS_AND_KEYWORDS 3
PyObject *PyModule_Create2(PyModuleDef *definition, int version);
PyObject *PyCFunction_NewEx(PyMethodDef *definition, PyObject *self, PyObject *module);
PyObject *PyImport_GetModuleDict(void);
PyObject *PyDict_GetItemString(PyObject *dictionary, const char *key);
PyObject *PyObject_GetAttrString(PyObject *object, const char *name);
int PyObject_SetAttrString(PyObject *object, const char *name, PyObject *value);
PyObject *PyObject_Call(PyObject *callable, PyObject *arguments, PyObject *keywords);
PyObject *PyTuple_New(ssize_t size);
ssize_t PyTuple_Size(PyObject *tuple);
PyObject *PyTuple_GetItem(PyObject *tuple, ssize_t at);
int PyTuple_SetItem(PyObject *tuple, ssize_t at, PyObject *item);
int PyUnicode_CompareWithASCIIString(PyObject *text, const char *other);
void PyErr_Clear(void);
void Py_IncRef(PyObject *object);
void Py_DecRef(PyObject *object);

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP};
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
    /* A fault happens again by itself when we return. A signal that was sent, as by abort(), does not, and behind a
       breakpoint the program would go on. */
    if (info->si_code <= 0 || number == SIGTRAP)
        raise(number);
}

/* As much as faulthandler gives the main thread, twice. It takes no memory until it is used. */
#define SIGNAL_STACK (32 << 10)
/* A thread for which the app has chosen a smaller stack keeps all of it. */
#define LEAST_STACK (256 << 10)

/* The signal stack is at the far end of the thread's own, so it ends with the thread, and nothing overwrites it. */
static __attribute__((noinline)) PyObject *call_with_signal_stack(PyObject *function, PyObject *arguments, PyObject *keywords) {
    char memory[SIGNAL_STACK];
    stack_t stack = {.ss_sp = memory, .ss_size = sizeof memory}, other;
    bool has_it = sigaltstack(&stack, &other) == 0;
    PyObject *result = PyObject_Call(function, arguments, keywords);
    if (has_it)
        sigaltstack(&other, NULL);
    return result;
}

static size_t stack_size(void) {
    pthread_attr_t attributes;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &size);
        pthread_attr_destroy(&attributes);
    }
    return size;
}

static PyObject *run_thread(PyObject *function, PyObject *arguments, PyObject *keywords) {
    return (stack_size() < LEAST_STACK ? PyObject_Call : call_with_signal_stack)(function, arguments, keywords);
}

/* What `threading` starts: Thread._bootstrap. Python names what others start in the message of its error. */
static bool is_bootstrap(PyObject *function) {
    PyObject *name = PyObject_GetAttrString(function, "__name__");
    if (!name) {
        PyErr_Clear();
        return false;
    }
    bool is = PyUnicode_CompareWithASCIIString(name, "_bootstrap") == 0;
    Py_DecRef(name);
    return is;
}

static void drop(PyObject *object) {
    if (object)
        Py_DecRef(object);
}

static PyMethodDef run_thread_definition = {"_bootstrap", run_thread, ARGUMENTS_AND_KEYWORDS, NULL};

static PyObject *originals[2];

/* As *original*, with run_thread around the function. */
static PyObject *start_thread(PyObject *original, PyObject *arguments, PyObject *keywords) {
    ssize_t size = PyTuple_Size(arguments);
    if (size < 1 || !is_bootstrap(PyTuple_GetItem(arguments, 0)))
        return PyObject_Call(original, arguments, keywords);
    PyObject *run = PyCFunction_NewEx(&run_thread_definition, PyTuple_GetItem(arguments, 0), NULL);
    PyObject *changed = run ? PyTuple_New(size) : NULL;
    if (!changed) {
        drop(run);
        return NULL;
    }
    PyTuple_SetItem(changed, 0, run);
    for (ssize_t i = 1; i < size; i++) {
        PyObject *item = PyTuple_GetItem(arguments, i);
        Py_IncRef(item);
        PyTuple_SetItem(changed, i, item);
    }
    PyObject *result = PyObject_Call(original, changed, keywords);
    Py_DecRef(changed);
    return result;
}

static PyObject *start_new(PyObject *module, PyObject *arguments, PyObject *keywords) {
    (void)module;
    return start_thread(originals[0], arguments, keywords);
}

static PyObject *start_joinable(PyObject *module, PyObject *arguments, PyObject *keywords) {
    (void)module;
    return start_thread(originals[1], arguments, keywords);
}

static PyMethodDef starts[] = {{"start_new_thread", start_new, ARGUMENTS_AND_KEYWORDS, NULL},
                               {"start_joinable_thread", start_joinable, ARGUMENTS_AND_KEYWORDS, NULL}};

/* `threading` takes the functions from `_thread` when it is imported, under names of its own. */
static void wrap_starts(void) {
    static const char *const names[] = {"_start_new_thread", "_start_joinable_thread"};
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *thread = PyDict_GetItemString(modules, "_thread"), *threading = PyDict_GetItemString(modules, "threading");
    for (size_t i = 0; thread && i < sizeof starts / sizeof *starts; i++) {
        PyObject *original = originals[i] = PyObject_GetAttrString(thread, starts[i].name);
        PyObject *name = original ? PyObject_GetAttrString(original, "__module__") : NULL;
        PyObject *wrapped = name ? PyCFunction_NewEx(&starts[i], thread, name) : NULL;
        PyObject *own = wrapped && threading ? PyObject_GetAttrString(threading, names[i]) : NULL;
        if (wrapped)
            PyObject_SetAttrString(thread, starts[i].name, wrapped);
        if (own && own == original)
            PyObject_SetAttrString(threading, names[i], wrapped);
        PyErr_Clear(); /* a function that this Python does not have */
        drop(name);
        drop(wrapped);
        drop(own);
    }
}

static PyModuleDef definition = {.object = {1, NULL}, .name = "_crash", .size = -1};

PyObject *PyInit__crash(void);

__attribute__((visibility("default"))) PyObject *PyInit__crash(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = on_crash;
    for (size_t i = 0; i < COUNT; i++)
        sigaction(SIGNALS[i], &action, &before[i]);
    wrap_starts();
    return PyModule_Create2(&definition, STABLE_ABI);
}
