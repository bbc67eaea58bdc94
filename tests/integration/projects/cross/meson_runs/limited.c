#include <Python.h>

PyMODINIT_FUNC PyInit_limited(void) { return PyLong_FromLong(42); }
