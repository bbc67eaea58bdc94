"""What meson and CMake are told of the target, so that they ask nothing of this computer."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest

from incamera.targets.target import Target
from incamera.toolchain.cmake import write_toolchain_file
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
def test_meson_hears_of_the_target(tmp_path: Path, target: Target, family: str, long_double: str) -> None:
    parser = read_cross_file(tmp_path, target, Path("/emulator"))
    assert parser["host_machine"]["cpu_family"] == f"'{family}'"
    assert parser["host_machine"]["endian"] == "'little'"
    assert parser["properties"]["longdouble_format"] == f"'{long_double}'"
    assert parser["binaries"]["exe_wrapper"] == "'/emulator'"
    # Python answers with the target's sysconfig, and a quote in a path is one.
    assert parser["binaries"]["python"].endswith("it\\'s a folder/bin/python3'")
    assert {"c", "cpp", "ar", "strip", "pkg-config", "cython", "numpy-config", "pybind11-config"} <= set(
        parser["binaries"]
    )
    assert "cmake" not in parser["binaries"]


def test_without_an_emulator_meson_is_not_told_of_one(tmp_path: Path) -> None:
    parser = read_cross_file(tmp_path, ARMV7, None)
    assert "exe_wrapper" not in parser["binaries"]
    assert parser["properties"]["needs_exe_wrapper"] == "true"


@pytest.mark.parametrize("given", ["-Dblas=openblas", ("-Dblas=openblas",)])
def test_a_recipes_options_come_after_the_cross_file(given: str | tuple[str, ...]) -> None:
    settings = with_cross_file({"setup-args": given, "compile-args": "-j1"}, Path("/build/target.ini"))
    assert settings == {
        "setup-args": ("--cross-file=/build/target.ini", "--wrap-mode=nodownload", "-Dblas=openblas"),
        "compile-args": "-j1",
    }


def test_cmake_hears_of_the_target_and_searches_nothing_else(tmp_path: Path) -> None:
    folder, sysroot = tmp_path / 'a "$build"', tmp_path / "sysroot"
    (sysroot / "usr").mkdir(parents=True)
    path = write_toolchain_file(
        tmp_path / "file.cmake", ARMV7, tools(folder / "bin"), sysroot, [folder], folder / "bin/python3", None
    )
    values = {}
    for line in path.read_text().splitlines():
        match = re.fullmatch(r'set\((\w+) "((?:[^"\\]|\\.)*)"( CACHE FILEPATH "")?\)', line)
        assert match, line
        values[match[1]] = re.sub(r"\\(.)", r"\1", match[2])
    assert values["CMAKE_SYSTEM_PROCESSOR"] == "armv7l"
    assert values["CMAKE_C_COMPILER"] == str(folder / "bin/cc")
    assert values["CMAKE_FIND_ROOT_PATH"].split(";")[:2] == [str(folder), str(sysroot)]
    for kind in ("PROGRAM", "LIBRARY", "INCLUDE", "PACKAGE"):
        assert values[f"CMAKE_FIND_ROOT_PATH_MODE_{kind}"] == "ONLY"
    assert values["PYTHON_MODULE_EXTENSION"] == ".cpython-311-arm-linux-gnueabihf.so"
    for name in ("PYTHON", "Python", "Python3"):
        assert values[f"{name}_INCLUDE_DIR"] == str(sysroot / "usr/include/python3.11")
        assert values[f"{name}_EXECUTABLE"] == str(folder / "bin/python3")
    assert "CMAKE_CROSSCOMPILING_EMULATOR" not in values
