#include <Python.h>

/* One source for three modules: what counts is the name of the file. */
#define INIT(name) PyMODINIT_FUNC PyInit_##name(void) { return PyLong_FromLong(42); }
INIT(one)
INIT(two)
INIT(stable)
