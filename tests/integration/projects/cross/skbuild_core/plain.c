#include <Python.h>
#include <zlib.h>

#include "table.h"

#if LONG_SIZE != __SIZEOF_LONG__
#error the program ran on another machine
#endif

static PyObject *version(PyObject *self, PyObject *unused) { return PyUnicode_FromString(zlibVersion()); }

static PyMethodDef methods[] = {{"version", version, METH_NOARGS, NULL}, {NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "plain", NULL, -1, methods};

PyMODINIT_FUNC PyInit_plain(void) { return PyModule_Create(&module); }
