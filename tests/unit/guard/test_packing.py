"""How a deploy is packed: by what the line carries, and while other files are on their way."""

from __future__ import annotations

import asyncio
import io
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.guard.packing import Line, Packing, group, send_packed
from incamera.guard.sync import ARCHIVE_END, pack, plan_shipment
from incamera.tree import list_tree

ALL = frozenset(Packing)
KILOBYTE = 1024


def line_of(bytes_a_second: float, *, known: frozenset[Packing] = ALL) -> Line:
    """Return a line over which a megabyte was sent at such a rate."""
    line = Line(known)
    line.choose()
    for _ in range(64):
        line.note(16 * KILOBYTE, 16 * KILOBYTE / bytes_a_second)
    return line


@pytest.mark.parametrize(
    ("mbit", "known", "packing"),
    [
        (2, ALL, Packing.xz),
        (20, ALL, Packing.gzip),
        (100, ALL, Packing.gzip),
        (2, ALL - {Packing.xz}, Packing.gzip),
        (2, frozenset(), Packing.none),
    ],
)
def test_packing_follows_the_rate_of_the_line(mbit: float, known: frozenset[Packing], packing: Packing) -> None:
    assert line_of(mbit * 1e6 / 8, known=known).choose() is packing


def test_what_the_buffers_take_at_once_does_not_count() -> None:
    line = Line(ALL)
    line.note(128 * KILOBYTE, 5.0)
    assert line.choose() is Packing.gzip
    for _ in range(20):
        line.note(16 * KILOBYTE, 0.001)
    assert line.choose() is Packing.gzip


def test_xz_is_given_up_where_the_line_waits_for_it() -> None:
    now = 100.0
    line = line_of(250_000)
    line.clock = lambda: now
    assert line.choose() is Packing.xz
    now += 10
    line.note(100 * KILOBYTE, 9.0)
    assert line.choose() is Packing.xz
    now += 60
    line.note(100 * KILOBYTE, 1.0)
    assert line.choose() is Packing.gzip


def unpack(data: bytes) -> tuple[list[str], dict[str, bytes]]:
    """Return the packings of the archives in *data*, and all their files."""
    archives, at = [bytearray()], 0
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        archives[-1] += data[at + 4 : at + 4 + size]
        at += 4 + size
        if not size:
            archives.append(bytearray())
    assert not archives.pop(), "the last archive is ended"
    kinds: list[str] = []
    files: dict[str, bytes] = {}
    for archive in archives:
        kind = {b"\x1f\x8b": "gzip", b"\xfd7": "xz"}.get(bytes(archive[:2]), "")
        plain = {"gzip": lambda data: zlib.decompress(data, 31), "xz": lzma.decompress, "": bytes}[kind](bytes(archive))
        kinds.append(kind)
        with tarfile.open(fileobj=io.BytesIO(plain)) as members:
            files |= {member.name: stream.read() for member in members if (stream := members.extractfile(member))}
    return kinds, files


Send = Callable[[Line, float], tuple[bytes, int]]


@pytest.fixture
def send(tmp_path: Path) -> Send:
    root = tmp_path / "bundle"
    root.mkdir()
    for number in range(6):
        (root / f"{number}").write_bytes(os.urandom(700_001))
    shipment = plan_shipment("app", root, list_tree(root))

    def send(line: Line, seconds: float) -> tuple[bytes, int]:
        """Send over a line that takes so long for each piece. Returns what came, and the bytes that were told."""
        came, told, now = bytearray(), 0, 0.0

        async def write(data: bytes) -> None:
            nonlocal came, now
            came += data
            now += seconds

        def on_sent(size: int) -> None:
            nonlocal told
            told += size

        line.clock = lambda: now
        groups = (pack(shipment, numbers) for numbers in group(shipment, range(6)))
        asyncio.run(send_packed(groups, ARCHIVE_END, line, write, on_sent))
        return bytes(came), told

    return send


def test_slow_line_gets_the_rest_in_xz(send: Send) -> None:
    came, told = send(Line(ALL), 1.0)
    kinds, files = unpack(came)
    assert kinds == ["gzip", "xz"]
    assert {name: len(data) for name, data in files.items()} == {str(number): 700_001 for number in range(6)}
    assert told > 6 * 700_001


def test_fast_line_gets_one_archive(send: Send) -> None:
    kinds, files = unpack(send(Line(frozenset()), 0.001)[0])
    assert kinds == [""]
    assert len(files) == 6


def test_file_that_cannot_be_read_ends_the_transfer(send: Send, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "5").write_bytes(b"short")
    with pytest.raises(BuildError, match="shorter than when the bundle was made"):
        send(Line(ALL), 0.001)
