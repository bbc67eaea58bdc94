#include <pybind11/pybind11.h>

PYBIND11_MODULE(classic, module) { module.attr("answer") = 42; }
