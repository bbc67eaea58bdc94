"""Meson's cross file and CMake's toolchain file, which describe the target."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from incamera.targets.target import Target
from incamera.toolchain.cmake import complete_modules, write_toolchain_file
from incamera.toolchain.meson import with_cross_file, write_cross_file

ARMV7, AARCH64 = Target.parse("armv7hf-cp311"), Target.parse("aarch64-cp313")


def tools(binaries: Path) -> dict[str, Path]:
    return {name: binaries / name for name in ("cc", "c++", "ar", "ranlib", "strip")}


def read_cross_file(tmp_path: Path, target: Target, emulator: Path | None) -> configparser.ConfigParser:
    binaries = tmp_path / "it's a folder/bin"
    binaries.mkdir(parents=True)
    for name in ("pkg-config", "numpy-config", "pybind11-config", "cython"):
        (binaries / name).touch()
    path = write_cross_file(tmp_path / "cross", target, tools(binaries), binaries, binaries / "python3", emulator)
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path)
    return parser


@pytest.mark.parametrize(
    ("target", "family", "long_double"), [(ARMV7, "arm", "IEEE_DOUBLE_LE"), (AARCH64, "aarch64", "IEEE_QUAD_LE")]
)
def test_cross_file_describes_the_target(tmp_path: Path, target: Target, family: str, long_double: str) -> None:
    parser = read_cross_file(tmp_path, target, Path("/emulator"))
    assert parser["host_machine"]["cpu_family"] == f"'{family}'"
    assert parser["host_machine"]["endian"] == "'little'"
    assert parser["properties"]["longdouble_format"] == f"'{long_double}'"
    assert parser["binaries"]["exe_wrapper"] == "'/emulator'"
    # A quote in a path is escaped.
    assert parser["binaries"]["python"].endswith("it\\'s a folder/bin/python3'")
    assert {"c", "cpp", "ar", "strip", "pkg-config", "cython", "numpy-config", "pybind11-config"} <= set(
        parser["binaries"]
    )
    assert "cmake" not in parser["binaries"]


def test_cross_file_without_an_emulator_has_no_exe_wrapper(tmp_path: Path) -> None:
    parser = read_cross_file(tmp_path, ARMV7, None)
    assert "exe_wrapper" not in parser["binaries"]
    assert parser["properties"]["needs_exe_wrapper"] == "true"


@pytest.mark.parametrize("given", ["-Dblas=openblas", ("-Dblas=openblas",)])
def test_recipes_options_come_after_the_cross_file(given: str | tuple[str, ...]) -> None:
    settings = with_cross_file({"setup-args": given, "compile-args": "-j1"}, Path("/build/target.ini"))
    assert settings == {
        "setup-args": ("--cross-file=/build/target.ini", "--wrap-mode=nodownload", "-Dblas=openblas"),
        "compile-args": "-j1",
    }


def read_toolchain_file(path: Path) -> dict[str, str]:
    values = {}
    for line in path.read_text().splitlines():
        if line.startswith("if(CMAKE_VERSION") or line == "endif()":
            continue
        match = re.fullmatch(r' *set\((\w+) "((?:[^"\\]|\\.)*)"( CACHE FILEPATH "")?\)', line)
        assert match, line
        values[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    return values


def test_toolchain_file_describes_the_target_and_limits_the_search(tmp_path: Path) -> None:
    folder, sysroot = tmp_path / 'a "$build"', tmp_path / "sysroot"
    (sysroot / "usr").mkdir(parents=True)
    path = write_toolchain_file(
        tmp_path / "file.cmake", ARMV7, tools(folder / "bin"), sysroot, [folder], folder / "bin/python3", None
    )
    values = read_toolchain_file(path)
    assert values["CMAKE_SYSTEM_PROCESSOR"] == "armv7l"
    assert values["CMAKE_C_COMPILER"] == str(folder / "bin/cc")
    assert values["CMAKE_FIND_ROOT_PATH"].split(";")[:2] == [str(folder), str(sysroot)]
    for kind in ("PROGRAM", "LIBRARY", "INCLUDE", "PACKAGE"):
        assert values[f"CMAKE_FIND_ROOT_PATH_MODE_{kind}"] == "ONLY"
    assert values["PYTHON_MODULE_EXTENSION"] == ".cpython-311-arm-linux-gnueabihf.so"
    for name in ("PYTHON", "Python", "Python3"):
        assert values[f"{name}_INCLUDE_DIR"] == str(sysroot / "usr/include/python3.11")
        assert values[f"{name}_EXECUTABLE"] == str(folder / "bin/python3")
        assert values[f"{name}_LIBRARY"] == str(folder / "linker-scripts/libpython3.11.a")
    assert not [name for name in values if "NumPy" in name]
    assert "CMAKE_CROSSCOMPILING_EMULATOR" not in values


@pytest.mark.parametrize(
    ("target", "pointer", "soabi"),
    [(ARMV7, "4", "cpython-311-arm-linux-gnueabihf"), (AARCH64, "8", "cpython-313-aarch64-linux-gnu")],
)
def test_toolchain_file_has_what_cmake_does_not_find_out(
    tmp_path: Path, target: Target, pointer: str, soabi: str
) -> None:
    header = tmp_path / "requirements/numpy/_core/include/numpy/arrayobject.h"
    header.parent.mkdir(parents=True)
    header.touch()
    folder = tmp_path / "build"
    roots = [folder, tmp_path / "requirements"]
    path = write_toolchain_file(
        tmp_path / "file.cmake", target, tools(folder / "bin"), tmp_path / "sysroot", roots, folder / "python3", None
    )
    values = read_toolchain_file(path)
    assert values["INCAMERA_PYTHON_SOABI"] == soabi
    assert values["PYTHON_SIZEOF_VOID_P"] == pointer
    for name in ("Python", "Python3"):
        assert values[f"{name}_NumPy_INCLUDE_DIR"] == str(header.parents[1])
        assert values[f"{name}_SABI_LIBRARY"] == values[f"{name}_LIBRARY"]


def test_cmakes_modules_and_copies_of_them_are_completed(tmp_path: Path) -> None:
    modules = tmp_path / "cmake/data/share/cmake-3.15/Modules"
    copies = tmp_path / "scikit_build_core/resources/find_python"
    for folder in (modules, copies):
        folder.mkdir(parents=True)
        for name in ("FindPython", "FindPython3", "FindPythonLibs"):
            (folder / f"{name}.cmake").write_text(f"# {name}\n")
    (modules / "CMakeDetermineSystem.cmake").write_text("# system\n")
    complete_modules(tmp_path)
    system = (modules / "CMakeDetermineSystem.cmake").read_text()
    assert system.index("ENV{CMAKE_TOOLCHAIN_FILE}") < system.index("# system")
    for folder in (modules, copies):
        assert "set(Python${Python_ARTIFACTS_PREFIX}_SOABI " in (folder / "FindPython.cmake").read_text()
        assert "set(Python3${Python3_ARTIFACTS_PREFIX}_SOABI " in (folder / "FindPython3.cmake").read_text()
        assert (folder / "FindPythonLibs.cmake").read_text() == "# FindPythonLibs\n"
