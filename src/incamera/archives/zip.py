"""Read zip archives, wheels above all, with bounded memory."""

from __future__ import annotations

import errno
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from incamera.archives.limits import LIMITS, BadArchive, Limits, TooLarge, shorten

_CHUNK = 1024 * 1024
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
# What the zipfile module raises for a damaged archive.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, LookupError, NotImplementedError, OverflowError, RuntimeError)


class ZipReader:
    """An open zip archive. *infos* are its members; folders are left out.

    Each method raises BadArchive for a damaged member.
    """

    def __init__(self, archive: zipfile.ZipFile, infos: tuple[zipfile.ZipInfo, ...]) -> None:
        self._archive = archive
        self.infos = infos

    def chunks(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the content of the member *info*, piece by piece; its checksum is verified at the end."""
        with reporting_zip_damage(), self._archive.open(info) as stream:
            while data := stream.read(_CHUNK):
                yield data

    def beginning(self, info: zipfile.ZipInfo, size: int) -> bytes:
        """Return the first *size* bytes of the member *info*."""
        with reporting_zip_damage(), self._archive.open(info) as stream:
            return stream.read(size)

    def read(self, info: zipfile.ZipInfo, *, limit: int | None = None) -> bytes:
        """Return the content of the member *info*. Raises BadArchive when it has more than *limit* bytes."""
        if limit is not None and info.file_size > limit:
            raise BadArchive(f"{shorten(info.filename)} is longer than {limit} bytes")
        return b"".join(self.chunks(info))


@contextmanager
def open_zip(file: Path | IO[bytes], limits: Limits = LIMITS) -> Iterator[ZipReader]:
    """Yield the open zip archive *file*. Raises BadArchive when it is damaged or exceeds *limits*.

    `clean_path` refuses paths that lead outside.
    """
    if isinstance(file, Path):
        with file.open("rb") as stream, open_zip(stream, limits) as reader:
            yield reader
        return
    with reporting_zip_damage():
        archive = zipfile.ZipFile(cast("IO[bytes]", _Metered(file, limits.header_bytes * 8)))
    with archive:
        infos = archive.infolist()
        limits.check_count(len(infos))
        for info in infos:
            _check(info, limits)
        limits.check_total(sum(info.file_size for info in infos), file.seek(0, 2))
        yield ZipReader(archive, tuple(info for info in infos if not info.is_dir()))


def _check(info: zipfile.ZipInfo, limits: Limits) -> None:
    name = info.filename
    if not name:
        raise BadArchive("a member has no name")
    limits.check_path(name)
    limits.check_size(name, info.file_size)
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise BadArchive(f"{shorten(name)} is encrypted, or compressed in an unusual way")


@contextmanager
def reporting_zip_damage() -> Iterator[None]:
    """Raise BadArchive in place of the errors of the zipfile module."""
    try:
        yield
    except BadArchive:
        raise
    except (*_DAMAGE, ValueError) as error:
        raise BadArchive(str(error) or type(error).__name__) from error


class _Metered:
    """Passes everything on to *stream*, but reads no more than *most* bytes at once: a directory that is too long.

    The zipfile module reads a directory of any length into memory, and content in pieces.
    """

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = most

    def read(self, size: int = -1) -> bytes:
        if size > self._most:
            raise TooLarge(f"its directory has more than {self._most} bytes")
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            raise BadArchive("it refers to bytes outside of it") from error

    def tell(self) -> int:
        return self._stream.tell()

    def seekable(self) -> bool:
        return True
