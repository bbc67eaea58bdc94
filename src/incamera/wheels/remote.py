"""Read the metadata in a wheel or an sdist: in a local file, or by fetching only the part of it that has them."""

from __future__ import annotations

import io
import re
from typing import IO, TYPE_CHECKING, cast

from packaging.utils import canonicalize_name

from incamera.archives import BadArchive, Kind, PackedStream, TarReader, open_zip
from incamera.errors import BuildError
from incamera.http import RangeNotSupported
from incamera.wheels.damage import reading_archive

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.http import Http
    from incamera.wheels.index import IndexFile

# Longer metadata are refused. In bytes.
_LIMIT = 8 * 1024 * 1024
# The last bytes of a wheel that are fetched first: most have their directory and metadata there.
_TAIL_BYTES = 96 * 1024
_STEP_BYTES = 64 * 1024
_MAX_REQUESTS = 6
# How many bytes of an sdist are fetched, step by step. Where PKG-INFO comes later, the whole file is needed.
_SDIST_STEPS = (64 * 1024, 448 * 1024, 1536 * 1024)


def find_wheel_metadata(file: IndexFile, http: Http) -> bytes:
    """Return METADATA of the wheel *file*, of which only the end is fetched.

    Raises RangeNotSupported when the whole wheel is needed, BuildError when it is damaged.
    """
    with reading_archive(file.filename):
        return _read_wheel(cast("IO[bytes]", _RemoteFile(http, file.url)), file.filename)


def read_wheel_metadata(path: Path, filename: str) -> bytes:
    """Return METADATA of the wheel at *path*; messages call it *filename*. Raises BuildError when it is damaged."""
    with reading_archive(filename), path.open("rb") as stream:
        return _read_wheel(stream, filename)


def find_pkg_info(file: IndexFile, http: Http) -> bytes | None:
    """Return PKG-INFO of the sdist *file*, of which only the beginning is fetched; None where it has none.

    Raises RangeNotSupported when the whole sdist is needed, BuildError when it is damaged.
    """
    with reading_archive(file.filename):
        if file.filename.endswith(".zip"):
            return _read_zip_sdist(cast("IO[bytes]", _RemoteFile(http, file.url)))
        return _stream_pkg_info(file, http)


def read_pkg_info(path: Path, filename: str) -> bytes | None:
    """Return PKG-INFO of the sdist at *path*; None where it has none. Raises BuildError when it is damaged."""
    with reading_archive(filename), path.open("rb") as stream:
        if filename.endswith(".zip"):
            return _read_zip_sdist(stream)
        return _find_in_tar(stream)


def _read_wheel(stream: IO[bytes], filename: str) -> bytes:
    """Return METADATA of the folder `*.dist-info`; where there are several, of the one with the wheel's name."""
    with open_zip(stream) as archive:
        infos = [info for info in archive.infos if re.fullmatch(r"[^/\\]+\.dist-info/METADATA", info.filename)]
        if len(infos) > 1:
            name = canonicalize_name(filename.partition("-")[0])
            infos = [info for info in infos if canonicalize_name(info.filename.partition("-")[0]) == name]
        if len(infos) != 1:
            raise BuildError(f"{filename} is not a wheel: it has no METADATA, or several")
        return archive.read(infos[0], limit=_LIMIT)


def _read_zip_sdist(stream: IO[bytes]) -> bytes | None:
    with open_zip(stream) as archive:
        info = next((info for info in archive.infos if _is_pkg_info(info.filename)), None)
        return None if info is None else archive.read(info, limit=_LIMIT)


def _is_pkg_info(name: str) -> bool:
    return re.fullmatch(r"(\./)?[^/]+/PKG-INFO", name) is not None


def _find_in_tar(stream: IO[bytes]) -> bytes | None:
    reader = TarReader(PackedStream(stream))
    for member in reader:
        if member.kind is Kind.file and _is_pkg_info(member.name):
            if member.size > _LIMIT:
                raise BadArchive(f"{member.name} is longer than {_LIMIT} bytes")
            return reader.read_all()
    return None


def _stream_pkg_info(file: IndexFile, http: Http) -> bytes | None:
    """Return PKG-INFO from the beginning of a .tar.gz, of which more and more is fetched."""
    data = b""
    for step in _SDIST_STEPS:
        part = http.get_range(file.url, len(data), step)
        data += part.data
        try:
            found = _find_in_tar(io.BytesIO(data))
        except BadArchive:
            if len(data) >= part.total:
                raise
            found = None  # only cut off: the archive has more
        if found is not None or len(data) >= part.total:
            return found
    raise RangeNotSupported(f"{file.url}: no PKG-INFO near the beginning")


class _RemoteFile(io.RawIOBase):
    """A file on a server. Only the parts that are read are fetched, at least 64 KiB at a time.

    Raises RangeNotSupported when too much of it is needed.
    """

    def __init__(self, http: Http, url: str) -> None:
        self._http = http
        self._url = url
        self._position = 0
        self._parts: list[tuple[int, bytes]] = []
        self._requests = 0
        self._size = 0
        self._fetch(-1, _TAIL_BYTES)

    def _fetch(self, first: int, size: int) -> None:
        if self._requests == _MAX_REQUESTS:
            raise RangeNotSupported(f"{self._url}: too much of it is needed")
        self._requests += 1
        part = self._http.get_range(self._url, first, size)
        if self._size not in (0, part.total):
            raise RangeNotSupported(f"{self._url}: it changes while it is read")
        self._size = part.total
        self._parts.append((part.first, part.data))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("seek before the beginning")
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        end = self._size if size < 0 else min(self._size, self._position + size)
        if end - self._position > _LIMIT:
            raise RangeNotSupported(f"{self._url}: too much of it is needed")
        found = b""
        while self._position < end:
            piece = self._at(self._position)
            if not piece:
                # At most up to the next part that was fetched: a large wheel's directory begins before the tail and
                # ends in it.
                known = [first for first, _ in self._parts if first > self._position]
                most = min([self._size, *known]) - self._position
                self._fetch(self._position, min(most, max(end - self._position, _STEP_BYTES)))
                continue
            piece = piece[: end - self._position]
            found += piece
            self._position += len(piece)
        return found

    def _at(self, position: int) -> bytes:
        for first, data in self._parts:
            if first <= position < first + len(data):
                return data[position - first :]
        return b""
