from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.targets.target import Target
from incamera.toolchain.wheel_check import check_wheel

ARMV7 = Target.parse("armv7hf-cp311")
AARCH64 = Target.parse("aarch64-cp311")
NAME = "demo-1.0-cp311-cp311-linux_armv7l.whl"


def elf(machine: int, bits: int) -> bytes:
    """Return the smallest file that is an ELF shared object for *machine*: a header."""
    ident = b"\x7fELF" + bytes([1 if bits == 32 else 2, 1, 1]) + bytes(9)
    address = "I" if bits == 32 else "Q"
    size, entry = (52, 40) if bits == 32 else (64, 64)
    return ident + struct.pack(f"<HHI{address * 3}IHHHHHH", 3, machine, 1, 0, 0, 0, 0, size, 0, 0, entry, 0, 0)


ARM_ELF, AARCH64_ELF, X86_ELF = elf(40, 32), elf(183, 64), elf(62, 64)
# Its nine program headers are missing, but its header is complete.
CUT_X86_ELF = X86_ELF[:54] + struct.pack("<HH", 56, 9) + X86_ELF[58:]


def wheel(folder: Path, files: Mapping[str, bytes], name: str = NAME) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("demo/__init__.py", "")
        for file, data in files.items():
            archive.writestr(file, data)
    return path


@pytest.mark.parametrize(
    "file",
    ["demo/_core.cpython-311-arm-linux-gnueabihf.so", "demo/_core.abi3.so", "demo.libs/libown.so.3", "demo/bin/tool"],
)
def test_binaries_for_the_target_are_accepted(tmp_path: Path, file: str) -> None:
    check_wheel(wheel(tmp_path, {file: ARM_ELF}), ARMV7)


def test_pure_wheel_is_accepted_for_every_target(tmp_path: Path) -> None:
    for target in (ARMV7, AARCH64):
        check_wheel(wheel(tmp_path, {}, "demo-1.0-py3-none-any.whl"), target)


@pytest.mark.parametrize("data", [X86_ELF, AARCH64_ELF, CUT_X86_ELF])
@pytest.mark.parametrize("file", ["demo/_core.cpython-311-arm-linux-gnueabihf.so", "demo/data/tool"])
def test_binary_for_another_machine_is_named(tmp_path: Path, file: str, data: bytes) -> None:
    with pytest.raises(BuildError, match=f"{file} is for"):
        check_wheel(wheel(tmp_path, {file: data}), ARMV7)


def test_module_with_another_pythons_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"_core.cpython-313.*must end with .cpython-311-arm-linux-gnueabihf.so"):
        check_wheel(wheel(tmp_path, {"demo/_core.cpython-313-arm-linux-gnueabihf.so": ARM_ELF}), ARMV7)


@pytest.mark.parametrize(
    "name", ["demo-1.0-cp311-cp311-linux_x86_64.whl", "demo-1.0-cp311-cp311-linux_aarch64.whl", "demo.whl"]
)
def test_wheel_with_another_platform_tag_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildError, match=name):
        check_wheel(wheel(tmp_path, {}, name), ARMV7)


def test_damaged_binary_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"demo/_core.abi3.so is a damaged ELF file"):
        check_wheel(wheel(tmp_path, {"demo/_core.abi3.so": ARM_ELF[:20]}), ARMV7)


def test_file_that_is_not_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"half a whe")
    with pytest.raises(BuildError, match="is not a wheel"):
        check_wheel(path, ARMV7)
