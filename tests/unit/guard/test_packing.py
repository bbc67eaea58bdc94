"""How a deploy is packed: by what the line carries, and while other files are on their way."""

from __future__ import annotations

import asyncio
import io
import itertools
import lzma
import os
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from incamera.errors import BuildError
from incamera.guard.line import Line
from incamera.guard.packing import Packing
from incamera.guard.sending import group, send_packed
from incamera.guard.sync import Shipment, plan_shipment
from incamera.tree import list_tree

BOTH = frozenset({"gzip", "xz"})
KILOBYTE = 1024


def line_of(bytes_a_second: float, *, programs: frozenset[str] = BOTH, is_local: bool = False) -> Line:
    """Return a line over which two megabytes were sent at such a rate."""
    line = Line(programs, is_local)
    line.choose()
    send_over(line, bytes_a_second)
    send_over(line, bytes_a_second)
    return line


def send_over(line: Line, bytes_a_second: float) -> None:
    for _ in range(64):
        line.note_sent(16 * KILOBYTE, 16 * KILOBYTE / bytes_a_second)


@pytest.mark.parametrize(
    ("mbit", "programs", "packing"),
    [
        (2, BOTH, Packing.xz),
        (20, BOTH, Packing.more),
        (100, BOTH, Packing.fast),
        (2, frozenset({"gzip"}), Packing.more),
        (2, frozenset(), Packing.none),
        (100, frozenset(), Packing.none),
    ],
)
def test_packing_follows_the_rate_of_the_line(mbit: float, programs: frozenset[str], packing: Packing) -> None:
    assert line_of(mbit * 1e6 / 8, programs=programs).choose() is packing


def test_what_the_buffers_take_at_once_does_not_count() -> None:
    line = Line(BOTH)
    for _ in range(80):
        line.note_sent(64 * KILOBYTE, 0.0001)
    assert line.choose() is Packing.fast
    assert line.is_new is False, "what is packed need not wait for what is sent"
    send_over(line, 250_000)
    assert line.choose() is Packing.xz


def test_rate_that_varies_changes_the_packing_once() -> None:
    line, packings = Line(BOTH), []
    for number in range(200):
        for _ in range(16):
            line.note_sent(16 * KILOBYTE, 16 * KILOBYTE / (2_500_000 * (0.5, 0.8, 1.3, 1.9)[number % 4]))
        packings.append(line.choose())
    assert packings[0] is Packing.fast
    assert packings[-1] is Packing.more
    assert sum(one is not two for one, two in itertools.pairwise(packings)) == 1


def test_line_that_became_slower_gets_a_stronger_packing() -> None:
    line = line_of(12_500_000)
    assert line.choose() is Packing.fast
    send_over(line, 250_000)
    assert line.choose() is Packing.xz
    send_over(line, 12_500_000)
    assert line.choose() is Packing.xz, "the line is still waited for"


def at(line: Line, seconds: float) -> None:
    line.clock = lambda: seconds


@pytest.mark.parametrize(("blocked", "packing"), [(55.0, Packing.xz), (5.0, Packing.more)])
def test_xz_is_given_up_where_this_computer_packs_more_slowly_than_the_line_sends(
    blocked: float, packing: Packing
) -> None:
    line = line_of(250_000)
    at(line, 100)
    assert line.choose() is Packing.xz
    line.note_packed(os.urandom(20_000_000))  # 80 s with gzip
    line.note_sent(100 * KILOBYTE, blocked)
    at(line, 160)
    assert line.choose() is packing


def test_xz_is_given_up_where_the_camera_unpacks_it_more_slowly_than_gzip() -> None:
    line = line_of(250_000)
    at(line, 100)
    assert line.choose() is Packing.xz
    line.note_packed(os.urandom(1_000_000))  # 4 s with gzip
    line.note_sent(800 * KILOBYTE, 12.0)
    at(line, 112)
    assert line.choose() is Packing.more
    at(line, 200)
    line.note_sent(100 * KILOBYTE, 80.0)
    assert line.choose() is Packing.more, "it is not tried again"


def test_line_on_this_computer_is_packed_only_where_it_turns_out_slow_and_that_pays() -> None:
    assert line_of(7e6, is_local=True).choose() is Packing.none
    line = line_of(1e6, is_local=True)
    at(line, 100)
    assert line.choose() is Packing.more
    line.note_packed(bytes(6_000_000))  # 6 s plain
    line.note_sent(800 * KILOBYTE, 12.0)
    at(line, 112)
    assert line.choose() is Packing.none


def test_tunnel_on_this_computer_gets_xz_when_gzip_has_paid() -> None:
    line = line_of(250_000, is_local=True)
    at(line, 100)
    assert line.choose() is Packing.more
    at(line, 101.5)
    assert line.choose() is Packing.more
    line.note_packed(bytes(4_000_000))  # 16 s plain
    line.note_sent(1_500 * KILOBYTE, 6.0)
    at(line, 106)
    assert line.choose() is Packing.xz


def test_small_files_go_first_until_the_rate_is_known() -> None:
    sizes = [9_000_000, *[100_000] * 30, 5_000_000]
    groups = list(group(range(len(sizes)), sizes))
    assert groups[0] == [1, 2]
    assert sorted(number for numbers in groups for number in numbers) == list(range(len(sizes)))
    assert sum(sizes[number] for numbers in groups[: groups.index([0])] for number in numbers) <= 4_400_000


def unpack(data: bytes, shipment: Shipment) -> tuple[list[str], dict[str, bytes]]:
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
        kinds.append(kind)
        if not kind:
            files |= read_plain(bytes(archive), shipment)
            continue
        data = zlib.decompress(archive, 31) if kind == "gzip" else lzma.decompress(archive)
        with tarfile.open(fileobj=io.BytesIO(data)) as members:
            files |= {member.name: stream.read() for member in members if (stream := members.extractfile(member))}
    return kinds, files


def read_plain(archive: bytes, shipment: Shipment) -> dict[str, bytes]:
    files, at = {}, 0
    while at < len(archive):
        (number,) = struct.unpack_from(">I", archive, at)
        entry = shipment.entries[number]
        files[entry.path] = archive[at + 4 : at + 4 + entry.size]
        at += 4 + entry.size
    return files


Send = Callable[[Line, float], tuple[bytes, int]]


@pytest.fixture
def shipment(tmp_path: Path) -> Shipment:
    root = tmp_path / "bundle"
    root.mkdir()
    for number in range(6):
        (root / f"{number}").write_bytes(os.urandom(700_001))
    return plan_shipment("app", root, list_tree(root))


@pytest.fixture
def send(shipment: Shipment) -> Send:
    def send(line: Line, rate: float) -> tuple[bytes, int]:
        """Send over a line of so many bytes a second. Returns what came, and the bytes that were told."""
        came, told, now = bytearray(), 0, 0.0

        async def write(data: bytes) -> None:
            nonlocal came, now
            came += data
            now += len(data) / rate

        def on_sent(size: int) -> None:
            nonlocal told
            told += size

        line.clock = lambda: now
        asyncio.run(send_packed(group(range(6), [700_001] * 6), shipment, line, write, on_sent))
        return bytes(came), told

    return send


def test_slow_line_gets_the_rest_in_xz(send: Send, shipment: Shipment) -> None:
    came, told = send(Line(BOTH), 200_000)
    kinds, files = unpack(came, shipment)
    assert kinds == ["gzip", "xz"]
    assert {name: len(data) for name, data in files.items()} == {str(number): 700_001 for number in range(6)}
    assert told > 6 * 700_001


@pytest.mark.parametrize("buffers", [100_000, 2_500_000])
def test_slow_tunnel_on_this_computer_is_noticed(tmp_path: Path, buffers: int) -> None:
    """Its own end takes all that its buffers hold at once. The way to the camera is slow."""
    root = tmp_path / "bundle"
    root.mkdir()
    count = 14 + buffers // 100_000
    text = os.urandom(50_000).hex().encode()
    for number in range(count):
        (root / f"{number}").write_bytes(text[number * 100 :] + text[: number * 100])
    shipment = plan_shipment("app", root, list_tree(root))
    came, now, drained = bytearray(), 0.0, 0.0
    rate = 40_000

    async def write(data: bytes) -> None:
        nonlocal now, drained
        came.extend(data)
        drained = max(len(came) - buffers, drained)
        now = max(now, drained / rate)

    line = Line(BOTH, is_local=True, clock=lambda: now)
    groups = group(range(count), [100_000] * count)
    asyncio.run(send_packed(groups, shipment, line, write, lambda size: None))
    kinds, files = unpack(bytes(came), shipment)
    assert kinds == ["", "gzip", "xz"]
    assert len(files) == count
    assert line.used == BOTH


def test_fast_line_gets_one_archive(send: Send, shipment: Shipment) -> None:
    kinds, files = unpack(send(Line(frozenset()), 1e8)[0], shipment)
    assert kinds == [""]
    assert len(files) == 6


def test_file_that_cannot_be_read_ends_the_transfer(send: Send, tmp_path: Path) -> None:
    (tmp_path / "bundle" / "5").write_bytes(b"short")
    with pytest.raises(BuildError, match="shorter than when the bundle was made"):
        send(Line(BOTH), 1e8)
