"""Meson's cross file, which describes the target, so that Meson does not examine this computer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.targets.architecture import Architecture
from incamera.toolchain.sysconfig import LDFLAGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from incamera.targets.target import Target
    from incamera.toolchain.options import Setting

# Meson's names for the processors, and the format of a long double there, which numpy would find out by running a
# program.
_CPU = {Architecture.armv7hf: ("arm", "armv7-a"), Architecture.aarch64: ("aarch64", "armv8-a")}
_LONG_DOUBLE = {Architecture.armv7hf: "IEEE_DOUBLE_LE", Architecture.aarch64: "IEEE_QUAD_LE"}
# Programs in the build's folder that work for the target. Meson would find them, but warns if the cross file doesn't
# name them.
_PROGRAMS = ("cmake", "cython", "pkg-config")


def write_cross_file(
    path: Path, target: Target, tools: Mapping[str, Path], binaries: Path, python: Path, emulator: Path | None
) -> Path:
    """Write the cross file *path* for *target*, and return *path*.

    *tools*: the compilers by name. *binaries*: the folder of all programs of the build. *emulator*: a script that runs
    programs of the target; None when there is none.
    """
    family, cpu = _CPU[target.architecture]
    programs = {
        "c": tools["cc"],
        "cpp": tools["c++"],
        **{name: tools[name] for name in ("ar", "nm", "objcopy", "ranlib", "strip") if name in tools},
        "python": python,
        "python3": python,
        **{name: binaries / name for name in _PROGRAMS if (binaries / name).exists()},
        **{script.name: script for script in sorted(binaries.glob("*-config")) if script.name not in _PROGRAMS},
        **({"exe_wrapper": emulator} if emulator else {}),
    }
    flags = ", ".join(map(_quoted, LDFLAGS.split()))
    lines = [
        "[binaries]",
        *(f"{name} = {_quoted(program)}" for name, program in programs.items()),
        "[properties]",
        "needs_exe_wrapper = true",
        f"longdouble_format = {_quoted(_LONG_DOUBLE[target.architecture])}",
        "[built-in options]",
        f"c_link_args = [{flags}]",
        f"cpp_link_args = [{flags}]",
        "[host_machine]",
        "system = 'linux'",
        f"cpu_family = {_quoted(family)}",
        f"cpu = {_quoted(cpu)}",
        "endian = 'little'",
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def with_cross_file(settings: Mapping[str, Setting], cross_file: Path) -> dict[str, Setting]:
    """Return meson-python's *settings* with the cross file before a recipe's options, and without downloads of wraps.

    (Meson would try the downloads, which are refused, for minutes.)
    """
    given = settings.get("setup-args", ())
    more = (given,) if isinstance(given, str) else given
    return {**settings, "setup-args": (f"--cross-file={cross_file}", "--wrap-mode=nodownload", *more)}


def _quoted(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
