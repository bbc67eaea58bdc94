"""Wheels and folders of the user's own, as files in the store: a folder is packed into an sdist."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import tomllib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from incamera.build.git_checkout import ensure_checkout
from incamera.digest import Sha256
from incamera.errors import ConfigError, IntegrityError
from incamera.project.adoption.names import find_name
from incamera.project.files import UNREADABLE_HINT, project_files

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.git_source import GitSource
    from incamera.project.locked import Lock
    from incamera.project.settings import Project

_CHUNK = 1 << 20
# The time of all files in a packed folder: 1 January 2000. A wheel cannot have times before 1980.
_TIME = 946_684_800
# The largest block that deflate stores as it is.
_BLOCK = 65_535
# The version in the file name of a folder whose version only its back end knows.
UNKNOWN = Version("0")


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalFile:
    """A file in the store, made from a wheel or a folder. *version* is None where only the back end knows it."""

    filename: str
    sha256: Sha256
    size: int
    version: Version | None


def ensure_local_files(context: Context, project: Project, lock: Lock) -> None:
    """Put into the store what *lock*, a lock of *project*, has from paths.

    The paths of pyproject.toml are read, never those in the lockfile. Raises IntegrityError when something else is
    there than was locked.
    """
    for item in lock.distributions:
        if item.file is None or not (item.file.path or item.file.is_git):
            continue
        if context.store.find_blob(item.file.sha256) is not None:
            continue
        path = project.local[item.name] if item.file.path else ensure_checkout(context, project.git[item.name])
        if store_local(context, item.name, path).sha256 != item.file.sha256:
            raise IntegrityError(
                f"{path} is not what was locked as {item.name}", hint="renew the lockfile with `incamera lock`"
            )


def require_package(folder: Path, name: str, source: GitSource) -> Path:
    """Return *folder*, which came from *source*. Raises ConfigError when it is no package, or not *name*."""
    if not any((folder / file).is_file() for file in ("pyproject.toml", "setup.py")):
        raise ConfigError(
            f"{source} has neither pyproject.toml nor setup.py, so it cannot be built",
            hint="name the package's folder with subdirectory",
        )
    own = find_name(folder)
    if own is not None and canonicalize_name(own) != name:
        raise ConfigError(f"{source} is the package {own}, not {name}", hint="name each package as it is called")
    return folder


def store_local(context: Context, name: str, path: Path) -> LocalFile:
    """Put the wheel or folder at *path*, the distribution *name*, into the store. Raises ConfigError, StoreError."""
    store = context.store
    with store.temporary() as scratch:
        copy = scratch / "local"
        try:
            if path.is_dir():
                version = _pack(path, name, copy)
                filename = f"{name.replace('-', '_')}-{version or UNKNOWN}.tar.gz"
            else:
                version, filename = Version(path.name.split("-")[1]), path.name
                with path.open("rb") as source, copy.open("wb") as target:
                    for data in iter(lambda: source.read(_CHUNK), b""):
                        target.write(data)
        except OSError as error:
            if error.filename is None or Path(error.filename).is_relative_to(scratch):
                with store.reporting_disk_errors():
                    raise
            raise ConfigError(f"cannot read {error.filename}: {error.strerror}", hint=UNREADABLE_HINT) from error
        with copy.open("rb") as stream:
            sha256 = Sha256.of_stream(stream)
            stream.seek(0)
            if store.find_blob(sha256) is None:
                with store.writing_blob(sha256, name=filename) as blob:
                    for data in iter(lambda: stream.read(_CHUNK), b""):
                        blob.write(data)
        return LocalFile(filename=filename, sha256=sha256, size=copy.stat().st_size, version=version)


def _pack(folder: Path, name: str, target: Path) -> Version | None:
    """Write the files of *folder* to *target* as an sdist, and return its version where pyproject.toml has it.

    Equal files give equal bytes: on every computer, with every zlib.
    """
    version, metadata = _static_metadata(folder)
    top = f"{name}-{version or UNKNOWN}"
    with target.open("wb") as stream, _StoredGzip(stream) as packed, tarfile.open(mode="w|", fileobj=packed) as tar:
        for path in project_files(folder):
            if metadata is not None and path == "PKG-INFO":
                continue
            mode = (folder / path).stat().st_mode
            if not stat.S_ISREG(mode):  # a socket or a pipe
                continue
            with (folder / path).open("rb") as file:
                data = file.read()
            _add(tar, f"{top}/{path}", data, executable=bool(mode & stat.S_IXUSR))
        if metadata is not None:
            _add(tar, f"{top}/PKG-INFO", metadata, executable=False)
    return version


def _add(tar: tarfile.TarFile, name: str, data: bytes, *, executable: bool) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = len(data), _TIME, 0o755 if executable else 0o644
    tar.addfile(info, io.BytesIO(data))


class _StoredGzip(io.RawIOBase):
    """Writes gzip without compression to *target*: how well zlib compresses differs between its versions."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._crc = 0
        self._size = 0
        self._waiting = bytearray()
        target.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting += data
        self._crc, self._size = zlib.crc32(data, self._crc), self._size + len(data)
        while len(self._waiting) > _BLOCK:
            self._write_block(last=False)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._write_block(last=True)
            self._target.write(struct.pack("<II", self._crc, self._size & 0xFFFFFFFF))
        super().close()

    def _write_block(self, *, last: bool) -> None:
        block = bytes(self._waiting[:_BLOCK])
        del self._waiting[:_BLOCK]
        self._target.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)


def _static_metadata(folder: Path) -> tuple[Version | None, bytes | None]:
    """Return the version in the pyproject.toml of *folder*, and PKG-INFO; None for what only the back end knows."""
    try:
        table = tomllib.loads((folder / "pyproject.toml").read_text("utf-8")).get("project")
    except FileNotFoundError:
        return None, None
    if not isinstance(table, dict) or table.get("dynamic"):
        return None, None
    try:
        version = Version(table["version"])
        lines = [f"Name: {table['name']}", f"Version: {version}", *_dependency_fields(table)]
    except (InvalidRequirement, InvalidVersion, KeyError, TypeError, AttributeError):
        return None, None  # the build says what is wrong
    return version, "\n".join(["Metadata-Version: 2.2", *lines, ""]).encode()


def _dependency_fields(table: Mapping[str, Any]) -> Iterator[str]:
    if "requires-python" in table:
        yield f"Requires-Python: {table['requires-python']}"
    for text in table.get("dependencies", []):
        yield f"Requires-Dist: {Requirement(text)}"
    for extra, texts in table.get("optional-dependencies", {}).items():
        yield f"Provides-Extra: {extra}"
        for text in texts:
            requirement = Requirement(text)
            asked = f'extra == "{extra}"'
            requirement.marker = Marker(f"({requirement.marker}) and {asked}" if requirement.marker else asked)
            yield f"Requires-Dist: {requirement}"
