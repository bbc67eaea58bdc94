"""The initramfs archive, read back by an independent reader of the format."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

from incamera.virtual import cpio


def read_newc(data: bytes) -> Iterator[tuple[str, int, bytes, tuple[int, int]]]:
    offset = 0
    while True:
        assert data[offset : offset + 6] == b"070701"
        fields = [int(data[offset + 6 + 8 * n : offset + 14 + 8 * n], 16) for n in range(13)]
        name_size, size = fields[11], fields[6]
        name = data[offset + 110 : offset + 110 + name_size]
        assert name.endswith(b"\0")
        start = (offset + 110 + name_size + 3) // 4 * 4
        if name == b"TRAILER!!!\0":
            assert not data[start:].strip(b"\0")
            return
        yield name[:-1].decode(), fields[1], data[start : start + size], (fields[9], fields[10])
        offset = (start + size + 3) // 4 * 4


MEMBERS = [
    cpio.file("sbin/init", b"\x7fELF and so on", 0o755),
    cpio.file("etc/empty", b""),
    cpio.link("lib/libz.so.1", "libz.so.1.2"),
    cpio.character_device("dev/console", 5, 1),
    cpio.folder("/mnt/flash/root", 0o700),
]


def test_archive_has_all_members() -> None:
    found = {name: rest for name, *rest in read_newc(cpio.write_cpio(MEMBERS))}
    assert found["sbin/init"] == [stat.S_IFREG | 0o755, b"\x7fELF and so on", (0, 0)]
    assert found["etc/empty"] == [stat.S_IFREG | 0o644, b"", (0, 0)]
    assert found["lib/libz.so.1"] == [stat.S_IFLNK | 0o777, b"libz.so.1.2", (0, 0)]
    assert found["dev/console"] == [stat.S_IFCHR | 0o600, b"", (5, 1)]
    assert found["mnt/flash/root"][0] == stat.S_IFDIR | 0o700


def test_folders_come_before_their_content() -> None:
    names = [
        name for name, *_ in read_newc(cpio.write_cpio([*MEMBERS, cpio.file("mnt-x", b""), cpio.file("mnt/a", b"")]))
    ]
    for name in names:
        parent = name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(name)


def test_order_of_members_does_not_change_the_archive() -> None:
    assert cpio.write_cpio(MEMBERS) == cpio.write_cpio(reversed(MEMBERS))


def test_path_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="etc/empty"):
        cpio.write_cpio([*MEMBERS, cpio.link("etc/empty", "x")])
