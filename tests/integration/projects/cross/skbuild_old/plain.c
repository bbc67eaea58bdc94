#include <Python.h>

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "plain", NULL, -1, NULL};

PyMODINIT_FUNC PyInit_plain(void) { return PyModule_Create(&module); }
