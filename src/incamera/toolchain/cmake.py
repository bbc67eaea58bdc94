"""CMake's toolchain file. It's named by a variable, so every CMake in a build reads it, whoever starts it."""

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
    suffix = extension_suffix(target)
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
        "PYTHON_IS_DEBUG": "OFF",
    }
    # As cache entries: whoever calls CMake may know better.
    hints = {
        "PYTHON_EXECUTABLE": python,
        "PYTHON_INCLUDE_DIR": headers,
        # An empty archive: a module takes what it needs of Python from the program that loads it.
        "PYTHON_LIBRARY": tools["cc"].parent.parent / f"linker-scripts/libpython{target.python}.a",
    }
    for name in _PYTHONS:
        hints |= {
            f"{name}_EXECUTABLE": hints["PYTHON_EXECUTABLE"],
            f"{name}_INCLUDE_DIR": headers,
            f"{name}_LIBRARY": hints["PYTHON_LIBRARY"],
        }
    lines = [
        *(f"set({name} {_quoted(value)})" for name, value in fixed.items()),
        *(f'set({name} {_quoted(value)} CACHE FILEPATH "")' for name, value in hints.items()),
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
