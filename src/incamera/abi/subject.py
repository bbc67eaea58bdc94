"""The subject of an audit: the ELF and Python files of a bundle, a wheel, an .eap, a folder or a single file."""

from __future__ import annotations

import json
import os
import posixpath
import re
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from incamera.abi.objects import Object
from incamera.elf import ELF_MAGIC, ElfFacts, ElfType, is_elf, read_elf, read_symbols
from incamera.errors import UsageError
from incamera.targets.architecture import Architecture

# Files with these suffixes are no ELF files, so they are not opened.
_SUFFIXES = """
.py .pyc .pyi .pyx .pxd .txt .md .rst .h .hpp .c .cpp .json .toml .html .css .js .svg .png .jpg .gz .xz .npz .npy .csv
.dat .pem .typed .f90 .in .tcl .xml .yml .yaml .cfg .ini .pickle .pkl .mat .zip .whl
"""
_NOT_ELF = frozenset(_SUFFIXES.split())
NAMED_AS_LIBRARY = re.compile(r".+\.so(?:\.[\w.]+)?")
_LINKER_SCRIPT = re.compile(rb"\s*(?:/\*.*?\*/\s*)*(?:OUTPUT_FORMAT|INPUT|GROUP)\s*\(", re.DOTALL)
_UNREADABLE = ElfFacts(machine="", bits=0)
_MAX_SOURCE_BYTES = 4_000_000


class Shape(StrEnum):
    bundle = "bundle"
    """A bundle, whose launcher starts Python."""
    loose = "loose"
    """Files that would be put into a bundle: a wheel, a folder, one file."""
    package = "package"
    """An ACAP application (.eap), which the camera starts."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is audited. Paths are relative to `root`.

    `objects`: its ELF files by path.
    `links`: its symbolic links, and what they link to.
    `sources`: its Python files.
    """

    name: str
    shape: Shape
    root: Path
    objects: Mapping[str, Object]
    links: Mapping[str, str]
    sources: tuple[str, ...] = ()
    program: str | None = None
    """In a bundle, the interpreter that its launcher starts."""
    libraries: tuple[str, ...] = ()
    """In a bundle, the folders in its launcher's library path."""
    wheel: str | None = None
    """The file name of a wheel."""
    installed: str | None = None
    """The folder in which a camera installs the package; None when the package doesn't say."""
    damage: Mapping[str, str] = field(default_factory=dict)
    """The archives that cannot be read, and why. A damaged ELF file is in `objects`."""

    def find(self, folder: str, name: str) -> Object | None:
        """Return the ELF file *name* in *folder*, following symbolic links; None when there is none."""
        path = posixpath.normpath(f"{folder}/{name}") if folder else name
        for _ in range(8):
            if path not in self.links:
                break
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), self.links[path]))
        return self.objects.get(path)


def guess_architecture(subject: Subject) -> Architecture:
    """Return the architecture that most of the ELF files are for; without any, that of the wheel's tag, else ARMv7."""
    counts = Counter(
        architecture
        for item in subject.objects.values()
        for architecture in Architecture
        if (item.facts.machine, item.facts.bits) == (architecture.facts.elf_machine, architecture.facts.bits)
    )
    if counts:
        return counts.most_common(1)[0][0]
    tagged = [architecture for architecture in Architecture if f"_{architecture.facts.wheel}" in (subject.wheel or "")]
    return next(iter(tagged), Architecture.armv7hf)


def library_names(subject: Subject) -> set[str]:
    """Return the names of the libraries that *subject* has, and of those that it needs."""
    names = {item.name for item in subject.objects.values()} | {path.rpartition("/")[2] for path in subject.links}
    return names | {name for item in subject.objects.values() for name in item.facts.needed}


@contextmanager
def open_subject(path: Path) -> Iterator[Subject]:
    """Return the file or folder at *path* as a subject; archives stay unpacked until the block ends.

    Raises UsageError for a file of no known kind, or one that cannot be read. A damaged archive raises nothing: the
    subject's `damage` describes it.
    """
    if path.is_dir():
        yield read_folder(path, name=path.name)
        return
    try:
        with path.open("rb") as stream:
            beginning = stream.read(4)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if beginning[:2] == b"PK" or path.suffix == ".whl":
        unpack, shape = _unpack_wheel, Shape.loose
    elif beginning[:2] == b"\x1f\x8b" or path.suffix == ".eap":
        unpack, shape = _unpack_package, Shape.package
    elif beginning == ELF_MAGIC or NAMED_AS_LIBRARY.fullmatch(path.name):
        yield _one_file(path)
        return
    else:
        raise UsageError(f"cannot audit {path}: it is neither an ELF file nor a wheel, an .eap or a folder")
    with tempfile.TemporaryDirectory(prefix="incamera-audit-") as folder:
        damage = {}
        try:
            unpack(path, Path(folder))
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, tarfile.TarError, zlib.error, RuntimeError) as error:
            damage[path.name] = str(error) or type(error).__name__
        except NotImplementedError as error:
            damage[path.name] = str(error)
        wheel = path.name if shape is Shape.loose else None
        yield read_folder(Path(folder), name=path.name, shape=shape, wheel=wheel, damage=damage)


def read_folder(
    root: Path,
    *,
    name: str,
    shape: Shape | None = None,
    wheel: str | None = None,
    damage: Mapping[str, str] | None = None,
) -> Subject:
    """Return the files in *root* as a subject. Without *shape*, it follows from the files.

    *wheel*: the file name of the wheel that they come from. *damage*: the archives that could not be unpacked.
    """
    objects: dict[str, Object] = {}
    links: dict[str, str] = {}
    sources = []
    for path, entry in sorted(_walk(root)):
        suffix = posixpath.splitext(path)[1]
        if entry.is_symlink():
            links[path] = str(Path(entry.path).readlink())
        elif suffix == ".py":
            sources.append(path)
        elif suffix not in _NOT_ELF and entry.is_file(follow_symlinks=False):
            found = read_object(root, path)
            if found is not None:
                objects[path] = found
    launcher = _read_launcher(root)
    if launcher:
        shape = Shape.bundle
    elif shape is None:
        package = (root / "package.conf").exists() or (root / "manifest.json").exists()
        shape = Shape.package if package else Shape.loose
    return Subject(
        name=name,
        shape=shape,
        root=root,
        objects=objects,
        links=links,
        sources=tuple(sources),
        program=launcher.get("program"),
        libraries=tuple(launcher.get("libraries", "lib").split(":")),
        wheel=wheel,
        installed=_installation_folder(root) if shape is Shape.package else None,
        damage=damage or {},
    )


def read_object(root: Path, path: str) -> Object | None:
    """Return the ELF file at *path* below *root*; None for another file, unless its name is that of a library."""
    file = root / path
    name = path.rpartition("/")[2]
    try:
        if not is_elf(file):
            if not NAMED_AS_LIBRARY.fullmatch(name) or _is_linker_script(file):
                return None
            return Object(path, _UNREADABLE, damage="it is not an ELF file")
        facts = read_elf(file)
    except (OSError, ValueError) as error:
        return Object(path, _UNREADABLE, damage=str(error))
    if facts.type is ElfType.object and not NAMED_AS_LIBRARY.fullmatch(name):
        return None  # an object file, for the linker only
    return Object(path, facts, read=partial(read_symbols, file))


def _one_file(path: Path) -> Subject:
    found = read_object(path.parent, path.name)
    objects = {path.name: found} if found is not None else {}
    damage = {} if objects else {path.name: "it is an object file, which can be linked but not loaded"}
    return Subject(name=path.name, shape=Shape.loose, root=path.parent, objects=objects, links={}, damage=damage)


def _walk(root: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(root / prefix) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(root, f"{path}/")
            else:
                yield path, entry


def _is_linker_script(file: Path) -> bool:
    with file.open("rb") as stream:
        return _LINKER_SCRIPT.match(stream.read(2000)) is not None


def _read_launcher(root: Path) -> dict[str, str]:
    try:
        text = (root / "etc" / "launcher").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    settings = dict(line.split(" ", 1) for line in text.splitlines() if " " in line and line[0] != "#")
    return settings if "program" in settings else {}


def _installation_folder(root: Path) -> str | None:
    name: Any = None
    try:
        name = json.loads((root / "manifest.json").read_bytes())["acapPackageConf"]["setup"]["appName"]
    except (OSError, ValueError, LookupError, TypeError):
        try:
            text = (root / "package.conf").read_text("utf-8", "replace")
            match = re.search(r"""^APPNAME=["']?([\w.-]+)""", text, re.MULTILINE)
            name = match[1] if match else None
        except OSError:
            return None
    return f"/usr/local/packages/{name}" if isinstance(name, str) and name else None


def _unpack_wheel(path: Path, folder: Path) -> None:
    """Unpack the files that an audit reads: ELF files, files named like libraries, Python files, and WHEEL."""
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            name = item.filename
            if not name or name.endswith("/") or posixpath.splitext(name)[1] in _NOT_ELF - {".py"}:
                continue
            with archive.open(item) as stream:
                beginning = stream.read(4)
            wanted = beginning == ELF_MAGIC or NAMED_AS_LIBRARY.fullmatch(name.rpartition("/")[2])
            if wanted or (name.endswith(".py") and item.file_size < _MAX_SOURCE_BYTES) or name.endswith("/WHEEL"):
                archive.extract(item, folder)


def _unpack_package(path: Path, folder: Path) -> None:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.isdir() or member.isfile() or member.issym():
                archive.extract(member, folder, filter=_keep_link_target)


def _keep_link_target(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Filter *member* as `tarfile.data_filter` does, but allow symbolic links to files of the camera (absolute paths).

    That is safe: the audit reads where a link leads, but never follows it.
    """
    if member.issym():
        filtered = tarfile.data_filter(member.replace(linkname="x", deep=False), folder)
        return filtered.replace(linkname=member.linkname, deep=False)
    return tarfile.data_filter(member, folder)
