#include <Python.h>
#include <zlib.h>

#include "table.h"

#if LONG_SIZE != __SIZEOF_LONG__ || SIZE_THAT_A_PROGRAM_PRINTED != __SIZEOF_POINTER__
#error the program ran on another machine
#endif

static PyObject *version(PyObject *self, PyObject *unused) { return PyUnicode_FromString(zlibVersion()); }

static PyMethodDef methods[] = {{"version", version, METH_NOARGS, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "meson_runs", NULL, -1, methods};

PyMODINIT_FUNC PyInit_meson_runs(void) { return PyModule_Create(&module); }
