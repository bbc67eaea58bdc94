"""Sets up CMake for the target: writes a toolchain file, and adds a few lines to CMake's own modules.

An environment variable names the toolchain file, so every CMake in a build reads it, whichever program starts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.toolchain.sysconfig import LDFLAGS, extension_suffix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from incamera.targets.target import Target

_TOOLS = {
    "cc": ("C_COMPILER", "ASM_COMPILER"),
    "c++": ("CXX_COMPILER",),
    "ar": ("AR", "C_COMPILER_AR", "CXX_COMPILER_AR"),
    "ranlib": ("RANLIB", "C_COMPILER_RANLIB", "CXX_COMPILER_RANLIB"),
    "nm": ("NM",),
    "objcopy": ("OBJCOPY",),
    "objdump": ("OBJDUMP",),
    "readelf": ("READELF",),
    "strip": ("STRIP",),
    "ld": ("LINKER",),
}
# FindPython and FindPython3: the prefixes of their variables. (Those of the deprecated FindPythonInterp and
# FindPythonLibs are in capitals.)
_FIND_PYTHON_PREFIXES = ("Python", "Python3")

# CMake 3.21 and newer read this environment variable themselves.
_READ_ENVIRONMENT = """\
# Added by incamera: older versions of CMake do not read the environment variable.
if(NOT CMAKE_TOOLCHAIN_FILE AND DEFINED ENV{CMAKE_TOOLCHAIN_FILE})
  set(CMAKE_TOOLCHAIN_FILE "$ENV{CMAKE_TOOLCHAIN_FILE}" CACHE FILEPATH "")
endif()
"""
# FindPython has no input variable for SOABI, and empties the result variable first. When it cross-compiles, it asks
# `python3-config`, and only if the component Interpreter is not requested. CMake 4.1 and newer ask the interpreter, if
# the project sets policy CMP0190 to NEW.
_SET_SOABI = """
# Added by incamera: CMake does not ask the interpreter when it cross-compiles, so the result would be empty.
if(CMAKE_CROSSCOMPILING AND DEFINED INCAMERA_PYTHON_SOABI)
  set({name}${{{name}_ARTIFACTS_PREFIX}}_SOABI "${{INCAMERA_PYTHON_SOABI}}")
endif()
"""


def complete_modules(tree: Path) -> None:
    """Add the lines above to the CMake modules in *tree*, the folder of a build's requirements.

    Copies of FindPython get them too: scikit-build-core has one, for versions of CMake before 3.26.
    """
    for path in tree.glob("cmake/data/share/cmake-*/Modules/CMakeDetermineSystem.cmake"):
        path.write_text(_READ_ENVIRONMENT + path.read_text("utf-8"), "utf-8")
    for name in _FIND_PYTHON_PREFIXES:
        for path in tree.rglob(f"Find{name}.cmake"):
            path.write_text(path.read_text("utf-8") + _SET_SOABI.format(name=name), "utf-8")


def write_toolchain_file(
    path: Path,
    target: Target,
    tools: Mapping[str, Path],
    sysroot: Path,
    roots: Sequence[Path],
    python: Path,
    emulator: Path | None,
) -> Path:
    """Write the toolchain file for *target* to *path*, and return *path*.

    *tools*: the programs by their names, such as "cc". *roots*: the folders that CMake searches before *sysroot*, for
    programs too. *python*: the build's Python. *emulator*: the program that runs programs of the target.
    """
    facts = target.architecture.facts
    headers = sysroot / f"usr/include/python{target.python}"
    # An empty archive: a module takes what it needs of Python from the program that loads it.
    library = tools["cc"].parent.parent / f"linker-scripts/libpython{target.python}.a"
    suffix = extension_suffix(target)
    numpy = _find_numpy_headers(roots)
    fixed = {
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": facts.machines[0],
        "CMAKE_LIBRARY_ARCHITECTURE": facts.gnu,
        **{f"CMAKE_{name}": str(tools[tool]) for tool, names in _TOOLS.items() if tool in tools for name in names},
        "CMAKE_FIND_ROOT_PATH": ";".join(map(str, (*roots, sysroot, sysroot.joinpath("usr").resolve().parent))),
        # Also for programs: CMake would otherwise search this computer's /usr/bin, even if PATH does not have it.
        **{f"CMAKE_FIND_ROOT_PATH_MODE_{kind}": "ONLY" for kind in ("PROGRAM", "LIBRARY", "INCLUDE", "PACKAGE")},
        # Packages that other projects registered for this user or this computer are not for the target.
        "CMAKE_FIND_USE_PACKAGE_REGISTRY": "OFF",
        "CMAKE_FIND_USE_SYSTEM_PACKAGE_REGISTRY": "OFF",
        **{f"CMAKE_{kind}_LINKER_FLAGS_INIT": LDFLAGS for kind in ("EXE", "MODULE", "SHARED")},
        **({"CMAKE_CROSSCOMPILING_EMULATOR": str(emulator)} if emulator else {}),
        # Otherwise CMake replaces the build's run path when it installs, and fails if it is not in the file. It is not:
        # the compiler driver leaves out run paths of this computer.
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        # The suffix of an extension module's file name, for pybind11 and scikit-build.
        "PYTHON_MODULE_EXTENSION": suffix,
        "PYTHON_MODULE_DEBUG_POSTFIX": "",
        "PYTHON_IS_DEBUG": "OFF",
        # pybind11's older search for Python would otherwise take the pointer size of this computer.
        "PYTHON_SIZEOF_VOID_P": str(facts.bits // 8),
        # For FindPython: see _SET_SOABI.
        "INCAMERA_PYTHON_SOABI": suffix.removeprefix(".").removesuffix(".so"),
    }
    # These are cache entries, so that the caller of CMake can give other values.
    hints: dict[str, object] = {
        "PYTHON_EXECUTABLE": python,
        "PYTHON_INCLUDE_DIR": headers,
        "PYTHON_LIBRARY": library,
        # So pybind11 takes the values above instead of those of the build's Python.
        "PYBIND11_PYTHONLIBS_OVERWRITE": "OFF",
    }
    libraries: dict[str, Path] = {}
    for name in _FIND_PYTHON_PREFIXES:
        # All of FindPython's input variables ("artifacts") that exist for CPython.
        hints |= {f"{name}_EXECUTABLE": python, f"{name}_INCLUDE_DIR": headers}
        hints |= {f"{name}_NumPy_INCLUDE_DIR": numpy} if numpy else {}
        libraries |= {f"{name}_LIBRARY": library, f"{name}_SABI_LIBRARY": library}
    lines = [
        *(f"set({name} {_quoted(value)})" for name, value in fixed.items()),
        *(f'set({name} {_quoted(value)} CACHE FILEPATH "")' for name, value in hints.items()),
        # With a library given, versions between these do not find the component Development.Module. Without one they
        # search for it, and find this one.
        "if(CMAKE_VERSION VERSION_LESS 3.18 OR NOT CMAKE_VERSION VERSION_LESS 3.24)",
        *(f'  set({name} {_quoted(value)} CACHE FILEPATH "")' for name, value in libraries.items()),
        "endif()",
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _find_numpy_headers(roots: Sequence[Path]) -> Path | None:
    headers = (header for root in roots for header in sorted(root.glob("numpy/*core/include/numpy/arrayobject.h")))
    return next((header.parents[1] for header in headers), None)


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
