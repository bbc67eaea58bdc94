"""A device's libraries are read once for each firmware, with what they need there in turn."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from tests.unit.abi.elf_maker import make_elf

from incamera.device.facts import DeviceFacts, DeviceLibrary
from incamera.device.libraries import ensure_libraries
from incamera.errors import DeviceError
from incamera.transport.protocols import Program, ProgramResult

if TYPE_CHECKING:
    from incamera.transport.session import Session

FILES = {
    "/lib/libc.so.6": make_elf(soname="libc.so.6", defines=["GLIBC_2.4", "GLIBC_2.31"], exports=["puts@GLIBC_2.4"]),
    "/usr/lib/libvdo.so.1": make_elf(
        soname="libvdo.so.1",
        needed=["libglib.so.0", "libc.so.6", "libelsewhere.so.1"],
        needs={"libc.so.6": ["GLIBC_2.34"]},
        imports=["__time64@GLIBC_2.34"],
    ),
    "/usr/lib/libglib.so.0": make_elf(soname="libglib.so.0", exports=["g_free"]),
    "/usr/lib/libtext.so.1": b"not an ELF file",
    "/usr/lib/libnot-asked-for.so.1": make_elf(),
}


@dataclass
class Shell:
    """A device's shell, as far as reading files goes."""

    page_kilobytes: int = 4
    read: list[str] = field(default_factory=list)
    # `tar` ends after so many bytes.
    cut: int | None = None
    device: str = "cam"

    def run(self, program: Program, *, timeout: float = 0) -> ProgramResult:
        if program.arguments[0] == "grep":
            return ProgramResult(0, b"KernelPageSize:  %7d kB\n" % self.page_kilobytes, b"")
        paths = program.arguments[5:]
        output = io.BytesIO()
        with tarfile.open(fileobj=output, mode="w") as archive:
            for path in paths:
                self.read.append(f"/{path}")
                if f"/{path}" in FILES:
                    member = tarfile.TarInfo(path)
                    member.size = len(FILES[f"/{path}"])
                    archive.addfile(member, io.BytesIO(FILES[f"/{path}"]))
        return ProgramResult(0 if self.cut is None else 1, output.getvalue()[: self.cut], b"tar: no memory\n")


def facts(*more: str) -> DeviceFacts:
    libraries = [DeviceLibrary(path.rpartition("/")[2], path, path.rpartition("/")[2], 1) for path in (*FILES, *more)]
    return DeviceFacts(
        architecture="armv7l", kernel="", hostname="", system="", user="root", libc="2.31", loader="/lib/ld.so",
        memory=0, memory_available=0, boot="", tools=(), places=(), library_folders=("/lib", "/usr/lib"),
        libraries=tuple(libraries),
    )  # fmt: skip


def test_what_is_asked_for_is_read_with_what_it_needs(tmp_path: Path) -> None:
    shell = Shell(page_kilobytes=16)
    table = ensure_libraries(cast("Session", shell), facts(), ["libvdo.so.1", "libnowhere.so.1"], cache=tmp_path)
    assert set(table.rows) == {"libvdo.so.1", "libglib.so.0", "libc.so.6"}
    assert table.rows["libvdo.so.1"]["needs"] == {"libc.so.6": ["GLIBC_2.34"]}
    assert (table.rows["libvdo.so.1"]["time_bits"], table.rows["libc.so.6"]["time_bits"]) == (64, None)
    assert table.load_exports()["libc.so.6"] == ["puts GLIBC_2.4"]
    assert table.page_size == 16384


def test_nothing_is_read_twice(tmp_path: Path) -> None:
    shell = Shell()
    first = ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path)
    assert ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path) == first
    assert shell.read == ["/usr/lib/libglib.so.0"]
    more = ensure_libraries(cast("Session", shell), facts(), ["libc.so.6"], cache=tmp_path)
    assert shell.read == ["/usr/lib/libglib.so.0", "/lib/libc.so.6"]
    assert set(more.load_exports()) == {"libglib.so.0", "libc.so.6"}


def test_another_firmware_is_read_anew(tmp_path: Path) -> None:
    shell = Shell()
    ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path)
    ensure_libraries(cast("Session", shell), facts("/usr/lib/libnew.so.1"), ["libglib.so.0"], cache=tmp_path)
    assert shell.read == ["/usr/lib/libglib.so.0"] * 2


def test_what_is_no_library_has_no_row(tmp_path: Path) -> None:
    shell = Shell()
    for _ in range(2):
        assert not ensure_libraries(cast("Session", shell), facts(), ["libtext.so.1"], cache=tmp_path).rows
    assert shell.read == ["/usr/lib/libtext.so.1"]


def test_what_did_not_come_is_asked_for_again(tmp_path: Path) -> None:
    there, names = facts("/usr/lib/libgone.so.1"), ["libglib.so.0", "libgone.so.1"]
    shell = Shell()
    for _ in range(2):
        table = ensure_libraries(cast("Session", shell), there, names, cache=tmp_path)
        assert set(table.rows) == {"libglib.so.0"}
    assert sorted(shell.read) == ["/usr/lib/libglib.so.0", "/usr/lib/libgone.so.1", "/usr/lib/libgone.so.1"]


@pytest.mark.parametrize("cut", [0, 700])
def test_half_an_answer_is_an_error_and_nothing_is_kept(cut: int, tmp_path: Path) -> None:
    shell = Shell(cut=cut)
    with pytest.raises(DeviceError, match="cannot read the libraries of cam: tar: no memory"):
        ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path)
    shell.cut = None
    assert set(ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path).rows)


def test_a_damaged_cache_is_read_anew(tmp_path: Path) -> None:
    shell = Shell()
    ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path)
    for file in tmp_path.iterdir():
        assert re.fullmatch(r"(abi|symbols)-\w+\.json", file.name)
        file.write_text("{")
    assert set(ensure_libraries(cast("Session", shell), facts(), ["libglib.so.0"], cache=tmp_path).rows) == {
        "libglib.so.0"
    }
