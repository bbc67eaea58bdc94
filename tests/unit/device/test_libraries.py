"""A device's libraries are read once for each firmware, with what they need there in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.transport.fake import FakeTransport, open_fake

from incamera.device.facts import DeviceFacts, DeviceLibrary
from incamera.device.libraries import ensure_libraries
from incamera.errors import DeviceError
from incamera.transport.device import Device, SshAddress

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


class Camera(FakeTransport):
    """A device with FILES; `read` are the paths that were asked for."""

    def __init__(self, page_kilobytes: int = 4) -> None:
        super().__init__(Device(name="cam", address=SshAddress(host="192.0.2.10")))
        self.files = {**FILES, "/proc/self/smaps": b"Size: 4 kB\nKernelPageSize:  %7d kB\n" % page_kilobytes}
        self.read: list[str] = []
        self.failure: DeviceError | None = None

    async def get_all(self, paths: Sequence[str], *, limit: int) -> dict[str, bytes]:
        self.read += paths
        if self.failure is not None:
            raise self.failure
        return await super().get_all(paths, limit=limit)


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def session(camera: Camera) -> Iterator[Session]:
    with open_fake(lambda: camera) as session:
        yield session


def facts(*more: str) -> DeviceFacts:
    libraries = [DeviceLibrary(path.rpartition("/")[2], path, path.rpartition("/")[2], 1) for path in (*FILES, *more)]
    return DeviceFacts(
        architecture="armv7l", kernel="", hostname="", system="", user="root", libc="2.31", loader="/lib/ld.so",
        memory=0, memory_available=0, boot="", tools=(), places=(), library_folders=("/lib", "/usr/lib"),
        libraries=tuple(libraries),
    )  # fmt: skip


def test_libraries_are_read_with_those_that_they_need(tmp_path: Path) -> None:
    with open_fake(lambda: Camera(page_kilobytes=16)) as session:
        table = ensure_libraries(session, facts(), ["libvdo.so.1", "libnowhere.so.1"], cache=tmp_path)
    assert set(table.rows) == {"libvdo.so.1", "libglib.so.0", "libc.so.6"}
    assert table.rows["libvdo.so.1"]["needs"] == {"libc.so.6": ["GLIBC_2.34"]}
    assert (table.rows["libvdo.so.1"]["time_bits"], table.rows["libc.so.6"]["time_bits"]) == (64, None)
    assert table.load_exports()["libc.so.6"] == ["puts GLIBC_2.4"]
    assert table.page_size == 16384


def test_library_is_read_once(session: Session, camera: Camera, tmp_path: Path) -> None:
    first = ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path)
    assert ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path) == first
    assert camera.read == ["/usr/lib/libglib.so.0"]
    more = ensure_libraries(session, facts(), ["libc.so.6"], cache=tmp_path)
    assert camera.read == ["/usr/lib/libglib.so.0", "/lib/libc.so.6"]
    assert set(more.load_exports()) == {"libglib.so.0", "libc.so.6"}


def test_other_firmware_is_read_again(session: Session, camera: Camera, tmp_path: Path) -> None:
    ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path)
    ensure_libraries(session, facts("/usr/lib/libnew.so.1"), ["libglib.so.0"], cache=tmp_path)
    assert camera.read == ["/usr/lib/libglib.so.0"] * 2


def test_file_that_is_no_library_has_no_row(session: Session, camera: Camera, tmp_path: Path) -> None:
    for _ in range(2):
        assert not ensure_libraries(session, facts(), ["libtext.so.1"], cache=tmp_path).rows
    assert camera.read == ["/usr/lib/libtext.so.1"]


def test_library_that_could_not_be_read_is_asked_for_again(session: Session, camera: Camera, tmp_path: Path) -> None:
    there, names = facts("/usr/lib/libgone.so.1"), ["libglib.so.0", "libgone.so.1"]
    for _ in range(2):
        table = ensure_libraries(session, there, names, cache=tmp_path)
        assert set(table.rows) == {"libglib.so.0"}
    assert sorted(camera.read) == ["/usr/lib/libglib.so.0", "/usr/lib/libgone.so.1", "/usr/lib/libgone.so.1"]


def test_failure_is_not_kept(session: Session, camera: Camera, tmp_path: Path) -> None:
    camera.failure = DeviceError("no memory")
    with pytest.raises(DeviceError, match="no memory"):
        ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path)
    camera.failure = None
    assert set(ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path).rows)


def test_damaged_cache_is_read_again(session: Session, camera: Camera, tmp_path: Path) -> None:
    ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path)
    for file in tmp_path.iterdir():
        assert re.fullmatch(r"(abi|symbols)-\w+\.json", file.name)
        file.write_text("{")
    assert set(ensure_libraries(session, facts(), ["libglib.so.0"], cache=tmp_path).rows) == {"libglib.so.0"}
