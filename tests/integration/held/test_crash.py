"""A crash in an app's own C code: what ended it, the line of the source, and the Python stack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cameras import on
from ..project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..command import Run

pytestmark = on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])

_SETTINGS = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["broken"]
package-dir = { "" = "src" }

[[tool.setuptools.ext-modules]]
name = "broken.core"
sources = ["src/broken/core.c"]
extra-compile-args = ["-g"]

[[tool.setuptools.ext-modules]]
name = "broken.library"
sources = ["src/broken/library.cc"]
extra-compile-args = ["-g"]
language = "c++"
"""
_CORE = """#include <Python.h>

static PyObject *crash(PyObject *self, PyObject *address) {
    return PyLong_FromLong(*(volatile int *)PyLong_AsVoidPtr(address));
}

static int deepen(volatile int *place) {
    volatile int frame[64] = {place[0]};
    return deepen(frame) + frame[0];
}

static PyObject *overflow(PyObject *self, PyObject *none) {
    volatile int start = 0;
    return PyLong_FromLong(deepen(&start));
}

static PyMethodDef methods[] = {
    {"crash", crash, METH_O, NULL}, {"overflow", overflow, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "core", NULL, -1, methods};
PyMODINIT_FUNC PyInit_core(void) { return PyModule_Create(&module); }
"""
_LIBRARY = """#include <Python.h>
#include <stdexcept>

extern "C" __attribute__((visibility("default"))) int crash(volatile int *place) {
    return *place;
}

extern "C" __attribute__((visibility("default"))) void fail() {
    throw std::runtime_error("nobody catches it");
}

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "library", NULL, -1, NULL};
PyMODINIT_FUNC PyInit_library(void) { return PyModule_Create(&module); }
"""
_APP = """import ctypes
import mmap
import signal
import sys
import tempfile
import threading

from broken import core, library

native = ctypes.CDLL(library.__file__)
kept = []


def cut_off_file():
    file = tempfile.TemporaryFile()
    file.truncate(mmap.PAGESIZE)
    pages = mmap.mmap(file.fileno(), mmap.PAGESIZE)
    kept.append(pages)
    file.truncate(0)
    return ctypes.addressof(ctypes.c_char.from_buffer(pages))


def call(case):
    if case == "module":
        core.crash(8)  # module
    elif case == "thread":
        core.crash(8)  # thread
    elif case == "library":
        native.crash(8)  # library
    elif case == "bus":
        core.crash(cut_off_file())  # bus
    elif case == "abort":
        native.fail()  # abort
    elif case == "trap":
        signal.raise_signal(signal.SIGTRAP)  # trap
    elif case == "overflow":
        core.overflow()  # overflow
    elif case == "deep thread":
        core.overflow()  # deep thread


if sys.argv[1].endswith("thread"):
    other = threading.Thread(target=call, args=(sys.argv[1],))
    other.start()
    other.join()
call(sys.argv[1])
"""

# For each back end: pyproject.toml, further files, and the line that crashes.
_MESON = """
[build-system]
requires = ["meson-python>=0.17"]
build-backend = "mesonpy"

[tool.meson-python.args]
setup = ["-Ddebug=true"]
"""
_MESON_BUILD = """project('broken', 'c', version: '1')
python = import('python').find_installation(pure: false)
python.install_sources('src/broken/__init__.py', 'src/broken/__main__.py', subdir: 'broken')
python.extension_module('core', 'src/broken/core.c', install: true, subdir: 'broken')
"""
_CMAKE = """
[build-system]
requires = ["scikit-build-core>=0.11"]
build-backend = "scikit_build_core.build"

[tool.scikit-build]
wheel.packages = ["src/broken"]
cmake.build-type = "RelWithDebInfo"
"""
_CMAKE_LISTS = """cmake_minimum_required(VERSION 3.20...4.0)
project(broken LANGUAGES C)
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
python_add_library(core MODULE WITH_SOABI src/broken/core.c)
install(TARGETS core DESTINATION broken)
"""
_CYTHON = """
[build-system]
requires = ["setuptools>=77", "cython>=3.1"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["broken"]
package-dir = { "" = "src" }
"""
_SETUP = """from Cython.Build import cythonize
from setuptools import Extension, setup

core = Extension("broken.core", ["src/broken/core.pyx"], extra_compile_args=["-g"])
setup(ext_modules=cythonize([core], emit_linenums=True))
"""
_PYX = """def crash(size_t address):
    cdef volatile int *place = <volatile int *>address
    return place[0]
"""
_BACK_ENDS = {
    "meson-python": (_MESON, {"meson.build": _MESON_BUILD, "src/broken/core.c": _CORE}, "src/broken/core.c, line 4"),
    "scikit-build-core": (
        _CMAKE,
        {"CMakeLists.txt": _CMAKE_LISTS, "src/broken/core.c": _CORE},
        "src/broken/core.c, line 4",
    ),
    "cython": (_CYTHON, {"setup.py": _SETUP, "src/broken/core.pyx": _PYX}, "src/broken/core.pyx, line 3"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = write_project(tmp_path_factory.mktemp("broken"), name="broken", settings='entry = "broken"')
    (project / "app.py").unlink()
    with (project / "pyproject.toml").open("a") as file:
        file.write(_SETTINGS)
    package = project / "src" / "broken"
    package.mkdir(parents=True)
    for name, text in (("__init__.py", ""), ("__main__.py", _APP), ("core.c", _CORE), ("library.cc", _LIBRARY)):
        (package / name).write_text(text)
    return project


@pytest.mark.parametrize(
    ("case", "signal", "where"),
    [
        ("module", "SIGSEGV", " in src/broken/core.c, line 4"),
        pytest.param("thread", "SIGSEGV", " in src/broken/core.c, line 4", marks=pytest.mark.matrix),
        pytest.param("bus", "SIGBUS", " in src/broken/core.c, line 4", marks=pytest.mark.matrix),
        pytest.param("library", "SIGSEGV", " in src/broken/library.cc, line 5", marks=pytest.mark.matrix),
        pytest.param("abort", "SIGABRT", "", marks=pytest.mark.matrix),
        pytest.param("trap", "SIGTRAP", "", marks=pytest.mark.matrix),
        pytest.param("overflow", "SIGSEGV", " in src/broken/core.c, line ", marks=pytest.mark.matrix),
        pytest.param("deep thread", "SIGSEGV", " in src/broken/core.c, line ", marks=pytest.mark.matrix),
    ],
)
def test_crash_names_the_signal_and_the_line(
    camera: VirtualCamera, project: Path, incamera: Run, case: str, signal: str, where: str
) -> None:
    words = ("run", "-C", project, "--device", camera.name, "--", case)
    done = incamera(*words, env={"INCAMERA_COLD": "0"})
    assert f"the app was killed by {signal}{where}" in done.err
    (line,) = [number for number, text in enumerate(_APP.splitlines(), 1) if text.endswith(f"# {case}")]
    assert f'/src/broken/__main__.py", line {line} in call' in done.err
    assert "incamera_agent" not in done.err


@pytest.mark.matrix
@pytest.mark.parametrize("back_end", _BACK_ENDS)
def test_line_is_named_whatever_has_built_the_module(
    camera: VirtualCamera, incamera: Run, tmp_path: Path, back_end: str
) -> None:
    settings, files, where = _BACK_ENDS[back_end]
    project = write_project(tmp_path / "broken", name="broken", settings='entry = "broken"')
    (project / "app.py").unlink()
    with (project / "pyproject.toml").open("a") as file:
        file.write(settings)
    main = "from broken import core\n\ncore.crash(8)\n"
    for name, text in {"src/broken/__init__.py": "", "src/broken/__main__.py": main, **files}.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    done = incamera("run", "-C", project, "--device", camera.name, env={"INCAMERA_COLD": "0"})
    assert f"the app was killed by SIGSEGV in {where}" in done.err
    assert '/src/broken/__main__.py", line 3 in <module>' in done.err
