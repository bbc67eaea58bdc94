/* The module `ean13`: read(picture) -> str | None. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "reader.h"

static PyObject *read_from(PyObject *module, PyObject *object)
{
    (void)module;
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_STRIDED_RO) < 0)
        return NULL;
    if (view.ndim != 2 || view.itemsize != 1 || view.strides[1] != 1) {
        PyBuffer_Release(&view);
        PyErr_SetString(PyExc_ValueError, "a picture has rows of bytes, as frame.y has");
        return NULL;
    }
    struct picture picture = {view.buf, view.shape[1], view.shape[0], view.strides[0]};
    char digits[DIGITS + 1];
    bool found;
    Py_BEGIN_ALLOW_THREADS
    found = read_barcode(&picture, digits);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    if (!found)
        Py_RETURN_NONE;
    return PyUnicode_FromString(digits);
}

static PyMethodDef functions[] = {
    {"read", read_from, METH_O, "Return the digits of the barcode (EAN-13) in a picture of shape (height, width), or None."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "ean13", "Reads barcodes.", 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_ean13(void)
{
    return PyModule_Create(&definition);
}
