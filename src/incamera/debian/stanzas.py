"""The stanzas of one package index, found by the names of packages, and a form of them that is fast to open.

An index has some 60,000 stanzas (48 MB), of which a lock needs some hundreds. Decompressing and scanning one takes
0.3 s. So the store keeps its text with tables: which packages there are, where their stanzas begin, and checksums of
the text. They are opened in some milliseconds, and only the stanzas that are asked for are read.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import zlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from incamera.disk import write_cache

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.digest import Sha256

# Raise it when the tables change.
_FORMAT = 2
# Two architectures and two archives of two suites.
_KEPT_FILES = 8
_MARKER = b"Package: "
_END = b"\n\n"
_NUMBERS: Final = "I"  # 32 bits
_FOOTER_BYTES = 256
# Of the text, for which there is a checksum each. One of each stanza would take five times as long to make.
_BLOCK_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class _Table:
    """*names* are sorted; `starts[n]` is where the stanza of `names[n]` begins. *checks*: of each block, if known.

    *provides* has a line `virtual<TAB>package` for each name that a package provides; they are sorted, too.
    """

    names: list[bytes]
    starts: array[int]
    checks: array[int]
    provides: bytes


class Stanzas:
    """The stanzas of an index, whose text is *size* bytes of *data*.

    *reload* returns the text when what is at hand proves to be damaged; without it, nothing is checked.
    """

    def __init__(
        self, data: bytes | mmap.mmap, size: int, table: _Table, reload: Callable[[], bytes] | None = None
    ) -> None:
        self._data = data
        self._size = size
        self._table = table
        self._reload = reload
        self._provides: list[bytes] | None = None
        self._sound: set[int] = set()  # blocks

    @property
    def names(self) -> list[bytes]:
        """The names of the packages, sorted; one that has several stanzas is there several times."""
        return self._table.names

    def find(self, name: bytes) -> list[bytes]:
        """Return the stanzas of the package *name*, in the order of the index."""
        names = self._table.names
        first = bisect_left(names, name)
        return [self._read(number) for number in range(first, bisect_right(names, name, first))]

    def providers(self, virtual: str) -> list[str]:
        """Return the names of the packages that provide *virtual*, sorted."""
        if self._provides is None:
            self._provides = self._table.provides.split(b"\n") if self._table.provides else []
        beginning = f"{virtual}\t".encode()
        found = []
        for number in range(bisect_left(self._provides, beginning), len(self._provides)):
            line = self._provides[number]
            if not line.startswith(beginning):
                break
            found.append(line[len(beginning) :].decode("utf-8", "replace"))
        return found

    def _read(self, number: int) -> bytes:
        start = self._table.starts[number]
        end = self._end(start)
        if self._reload is not None and not self._is_sound(start, end + len(_END)):
            self._data, self._reload = self._reload(), None
            self._size = len(self._data)
            end = self._end(start)
        return self._data[start:end]

    def _end(self, start: int) -> int:
        end = self._data.find(_END, start, self._size)
        return end if end >= 0 else self._size

    def _is_sound(self, start: int, end: int) -> bool:
        """Whether the blocks with the bytes from *start* to *end* are those that were written."""
        for number in range(start // _BLOCK_BYTES, -(-min(end, self._size) // _BLOCK_BYTES)):
            if number not in self._sound:
                place = number * _BLOCK_BYTES
                block = self._data[place : min(place + _BLOCK_BYTES, self._size)]
                if zlib.crc32(block) != self._table.checks[number]:
                    return False
                self._sound.add(number)
        return True

    def dump(self) -> tuple[bytes, bytes, bytes]:
        """Return the form of the stanzas that `open_stanzas` reads: the text, the tables, and where they are."""
        text, table = bytes(self._data[: self._size]), self._table
        whole = memoryview(text)
        blocks = (whole[place : place + _BLOCK_BYTES] for place in range(0, len(text), _BLOCK_BYTES))
        checks = array(_NUMBERS, [zlib.crc32(block) for block in blocks])
        names = b"\n".join(table.names)
        tables = b"".join([names, table.starts.tobytes(), checks.tobytes(), table.provides])
        place = {"form": _form(), "text": self._size, "names": len(names), "count": len(table.names)}
        footer = json.dumps({"place": place, "check": _check(place, tables)}).encode()
        return text, tables, footer.ljust(_FOOTER_BYTES)


def scan_stanzas(text: bytes) -> Stanzas:
    """Return the stanzas of the index *text*. Nothing of them is parsed but the names."""
    places = sorted(_scan_packages(text))
    table = _Table(
        names=[name for name, _ in places],
        starts=array(_NUMBERS, [start for _, start in places]),
        checks=array(_NUMBERS),
        provides=b"\n".join(sorted(_scan_provides(text))),
    )
    return Stanzas(text, len(text), table)


def open_stanzas(folder: Path, sha256: Sha256, load: Callable[[], bytes]) -> Stanzas:
    """Return the stanzas of the index whose file has the hash *sha256*, from the file with that name in *folder*.

    When there is no such file, or it is damaged, *load* returns the index's text, and the file is written.
    """
    path = folder / sha256

    def reload() -> bytes:
        with suppress(OSError):
            path.unlink()  # so that the next process writes it again
        return load()

    found = _open(path, reload)
    if found is None:
        found = scan_stanzas(load())
        write_cache(path, *found.dump())
        _keep_newest(folder)
    return found


def _open(path: Path, reload: Callable[[], bytes]) -> Stanzas | None:
    """Return the stanzas in the file *path*; None when there is none, or its tables are damaged or of another form."""
    try:
        with path.open("rb") as stream:
            stream.seek(-_FOOTER_BYTES, os.SEEK_END)
            end = stream.tell()
            footer = json.loads(stream.read())
            place = footer["place"]
            size, count, names = place["text"], place["count"], place["names"]
            stream.seek(size)
            tables = stream.read(end - size)
            if place["form"] != _form() or footer["check"] != _check(place, tables):
                return None
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    starts, checks = array(_NUMBERS), array(_NUMBERS)
    numbers = count * starts.itemsize
    starts.frombytes(tables[names : names + numbers])
    provides = names + numbers + -(-size // _BLOCK_BYTES) * checks.itemsize
    checks.frombytes(tables[names + numbers : provides])
    known = tables[:names].split(b"\n") if count else []
    return Stanzas(data, size, _Table(known, starts, checks, tables[provides:]), reload)


def _check(place: Mapping[str, object], tables: bytes) -> int:
    return zlib.crc32(json.dumps(place).encode(), zlib.crc32(tables))


def _form() -> list[object]:
    return [_FORMAT, sys.byteorder, array(_NUMBERS).itemsize]


def _keep_newest(folder: Path) -> None:
    """Remove all but the files of *folder* that were used last. What another process has open stays readable."""
    with suppress(OSError):
        files = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[_KEPT_FILES:]:
            path.unlink()


def _scan_packages(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each stanza's package name, and at which byte it begins. `Package` is always its first field."""
    start = 0 if data.startswith(_MARKER) else data.find(b"\n" + _MARKER) + 1
    while start or data.startswith(_MARKER):
        end = data.find(b"\n", start)
        if end < 0:
            end = len(data)
        yield data[start + len(_MARKER) : end].strip(), start
        start = data.find(_END + _MARKER, end) + 2
        if start == 1:
            return


def _scan_provides(data: bytes) -> Iterator[bytes]:
    """Yield `virtual<TAB>package` for each name that a package provides."""
    marker = b"\nProvides: "
    place = data.find(marker)
    while place >= 0:
        begin = place + len(marker)
        end = data.find(b"\n", begin)
        while end >= 0 and data[end + 1 : end + 2] in (b" ", b"\t"):
            end = data.find(b"\n", end + 1)
        start = data.rfind(_END, 0, place) + len(_END)
        start = 0 if start == 1 else start
        if data.startswith(_MARKER, start):
            package = data[start + len(_MARKER) : data.find(b"\n", start)].strip()
            for item in data[begin : end if end >= 0 else len(data)].split(b","):
                if words := item.split(None, 1):
                    yield b"%s\t%s" % (words[0], package)
        place = data.find(marker, begin)
