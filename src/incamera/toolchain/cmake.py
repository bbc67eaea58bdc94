"""What CMake is told of the target: a toolchain file, and two short texts in CMake's own modules.

The toolchain file is named by an environment variable, so every CMake in a build reads it, whichever program starts it.
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
# CMake's searches for Python, besides the oldest, whose names are in capitals.
_PYTHONS = ("Python", "Python3")

# CMake reads this variable of the environment since 3.21.
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
    """Let CMake's modules in *tree*, build requirements, use what only a toolchain file of ours tells them.

    Copies of FindPython count too: scikit-build-core has one, for versions of CMake before 3.26.
    """
    for path in tree.glob("cmake/data/share/cmake-*/Modules/CMakeDetermineSystem.cmake"):
        path.write_text(_READ_ENVIRONMENT + path.read_text("utf-8"), "utf-8")
    for name in _PYTHONS:
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
    """*roots*: where anything may be found besides *sysroot*. Programs in them go before those of the sysroot."""
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
        # Programs too: CMake would go on to this computer's /usr/bin, past PATH.
        **{f"CMAKE_FIND_ROOT_PATH_MODE_{kind}": "ONLY" for kind in ("PROGRAM", "LIBRARY", "INCLUDE", "PACKAGE")},
        # What projects have registered for this user, or this computer, is not for the target.
        "CMAKE_FIND_USE_PACKAGE_REGISTRY": "OFF",
        "CMAKE_FIND_USE_SYSTEM_PACKAGE_REGISTRY": "OFF",
        **{f"CMAKE_{kind}_LINKER_FLAGS_INIT": LDFLAGS for kind in ("EXE", "MODULE", "SHARED")},
        **({"CMAKE_CROSSCOMPILING_EMULATOR": str(emulator)} if emulator else {}),
        # The compiler leaves out run paths of this computer; when it installs, CMake would miss them.
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        # pybind11's and scikit-build's names for what a module's file name ends with.
        "PYTHON_MODULE_EXTENSION": suffix,
        "PYTHON_MODULE_DEBUG_POSTFIX": "",
        "PYTHON_IS_DEBUG": "OFF",
        # pybind11's old search for Python would have the pointers of the target as long as this computer's.
        "PYTHON_SIZEOF_VOID_P": str(facts.bits // 8),
        # For FindPython: see _SET_SOABI.
        "INCAMERA_PYTHON_SOABI": suffix.removeprefix(".").removesuffix(".so"),
    }
    # As cache entries, so that the caller of CMake can give other values.
    hints: dict[str, object] = {
        "PYTHON_EXECUTABLE": python,
        "PYTHON_INCLUDE_DIR": headers,
        "PYTHON_LIBRARY": library,
        # pybind11 takes the values above, instead of those of the build's Python.
        "PYBIND11_PYTHONLIBS_OVERWRITE": "OFF",
    }
    libraries: dict[str, Path] = {}
    for name in _PYTHONS:
        # All of FindPython's input variables ("artifacts") that exist for CPython.
        hints |= {f"{name}_EXECUTABLE": python, f"{name}_INCLUDE_DIR": headers}
        hints |= {f"{name}_NumPy_INCLUDE_DIR": numpy} if numpy else {}
        libraries |= {f"{name}_LIBRARY": library, f"{name}_SABI_LIBRARY": library}
    lines = [
        *(f"set({name} {_quoted(value)})" for name, value in fixed.items()),
        *(f'set({name} {_quoted(value)} CACHE FILEPATH "")' for name, value in hints.items()),
        # Versions between these do not find the component Development.Module if they are told a library. They search
        # for one, and come upon the same.
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
