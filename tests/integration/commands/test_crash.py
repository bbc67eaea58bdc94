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

static PyMethodDef methods[] = {{"crash", crash, METH_O, NULL}, {NULL, NULL, 0, NULL}};
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


if sys.argv[1] == "thread":
    other = threading.Thread(target=call, args=("thread",))
    other.start()
    other.join()
call(sys.argv[1])
"""


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
