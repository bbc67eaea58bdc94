"""The subject of an audit: the ELF and Python files of a bundle, a wheel, an .eap, a folder or a single file."""

from __future__ import annotations

import dataclasses
import json
import posixpath
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from incamera.abi.objects import Object
from incamera.abi.unpack import NAMED_AS_LIBRARY, NOT_ELF, SCRIPT_MAGIC, unpack_package, unpack_wheel
from incamera.abi.wheel_record import RecordProblems
from incamera.archives import GZIP_MAGIC, BadArchive, FolderReader, list_folder, open_inside, open_regular, read_inside
from incamera.elf import ELF_MAGIC, ElfFacts, ElfType, Symbols, read_lazy_functions, read_loadable, read_symbols
from incamera.errors import StoreError, UsageError
from incamera.targets.architecture import Architecture

_LINKER_SCRIPT = re.compile(rb"\s*+(?:/\*(?:[^*]|\*(?!/))*+\*/\s*+)*+(?:OUTPUT_FORMAT|INPUT|GROUP)\s*+\(")
_SCRIPT_BYTES = 2000
NOT_AN_ELF_FILE = "it is not an ELF file"
_ZIP_MAGIC = b"PK\x03\x04"
_MAX_LINKS = 40  # more make the kernel give up
_UNREADABLE = ElfFacts(machine="", bits=0)
MAX_SETTINGS_BYTES = 1_000_000
# The folder of the bundle in an .eap that `incamera package` has made.
PACKED_BUNDLE = "bundle"
# Files that describe a package, and are no part of the app.
_DESCRIPTIONS = frozenset({"package.conf", "manifest.json", "param.conf", "cgi.conf", "LICENSE"})


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
    `scripts`: in a package, its files that begin with the name of an interpreter (`#!`), without Python files.
    `files`: all its files, also those that are not audited.
    """

    name: str
    shape: Shape
    root: Path
    objects: Mapping[str, Object]
    links: Mapping[str, str]
    sources: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    program: str | None = None
    """In a bundle, the interpreter that its launcher starts."""
    libraries: tuple[str, ...] = ()
    """In a bundle, the folders in its launcher's library path."""
    wheel: str | None = None
    """The file name of a wheel."""
    record: RecordProblems = field(default_factory=RecordProblems)
    """How a wheel's files differ from its RECORD."""
    installed: str | None = None
    """The folder in which a camera installs the package; None when the package doesn't say."""
    damage: Mapping[str, str] = field(default_factory=dict)
    """The archives that cannot be read, and why. A damaged ELF file is in `objects`."""
    is_packed: bool = False
    """Whether it is a bundle in an .eap: it is started by its own loader on each camera, whatever that has."""
    outside: tuple[str, ...] = ()
    """In an .eap with a bundle, the ELF files that are not in the bundle. They are not audited."""
    emptiness: str = ""
    """What there is instead of files that a camera could use; "" where there are such files."""

    @property
    def app(self) -> str | None:
        """The name of the program that the camera starts; None when the package doesn't say."""
        return self.installed.rpartition("/")[2] if self.installed is not None else None

    def read(self, path: str, *, limit: int) -> bytes:
        """Return the content of the regular file *path*. Raises OSError, or BadArchive when longer than *limit*."""
        return read_inside(self.root, path, limit=limit)

    def find(self, folder: str, name: str) -> Object | None:
        """Return the ELF file *name* in *folder*, following symbolic links; None when there is none."""
        path = self.resolve(f"{folder}/{name}" if folder else name)
        return self.objects.get(path) if path is not None else None

    def resolve(self, path: str) -> str | None:
        """Return where *path* leads when all links on the way are followed, as the kernel follows them.

        The result is relative to `root`, or absolute for a file of the camera. None for a loop, and for a link that
        leads out of a folder whose place in the camera is not known.
        """
        rest, done = path.split("/")[::-1], ""
        for _ in range(_MAX_LINKS + 1):
            while rest:
                part = rest.pop()
                if part in ("", "."):
                    continue
                if part == "..":
                    if not done:
                        return self._leave(["..", *reversed(rest)])
                    done = done.rpartition("/")[0]
                    continue
                done = f"{done}/{part}" if done else part
                if done in self.links:
                    break
            else:
                return done
            target, done = self.links[done], done.rpartition("/")[0]
            if target.startswith("/"):
                inside = self.locate(posixpath.join(target, *reversed(rest)))
                if inside.startswith("/"):
                    return inside
                target, done, rest = inside, "", []
            rest += target.split("/")[::-1]
        return None

    def _leave(self, parts: Sequence[str]) -> str | None:
        """Return the absolute path of *parts*, which lead out of the package; None where its place is not known."""
        return self.locate(posixpath.join(self.installed, *parts)) if self.installed is not None else None

    def locate(self, path: str) -> str:
        """Return the absolute *path* in a camera: relative to `root` where it is in the installed package."""
        path = posixpath.normpath(path)
        if self.installed and (path == self.installed or path.startswith(self.installed + "/")):
            return path.removeprefix(self.installed).lstrip("/")
        return path


def guess_architecture(subject: Subject) -> Architecture:
    """Return the architecture that most of the ELF files are for; without any, that of the wheel's tag, else ARMv7.

    A package is for that of its programs: it may have libraries for others, too.
    """
    items = list(subject.objects.values())
    if subject.shape is Shape.package:
        items = [item for item in items if item.facts.is_program] or items
    counts = Counter(
        architecture
        for item in items
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
        yield read_folder(path, name=path.name or path.resolve().name or str(path))
        return
    try:
        stream = open_regular(path)
    except OSError as error:
        hint = "correct the path" if isinstance(error, FileNotFoundError) else "make it readable"
        raise UsageError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    except BadArchive as error:
        raise UsageError(f"cannot audit {path}: {error}") from error
    with stream:
        beginning = stream.read(4)
        if path.suffix == ".whl":
            shape = Shape.loose
        elif beginning[:2] == GZIP_MAGIC or path.suffix == ".eap":
            shape = Shape.package
        elif beginning == _ZIP_MAGIC:
            raise UsageError(
                f"cannot audit {path}: it is a zip archive, but no wheel by its name",
                hint="unpack it and name the folder, or the files in it",
            )
        elif beginning == ELF_MAGIC or NAMED_AS_LIBRARY.fullmatch(path.name):
            yield _one_file(path)
            return
        else:
            raise UsageError(
                f"cannot audit {path}: it is neither an ELF file nor a wheel, an .eap or a folder",
                hint="name such a file; without one, the project's own bundle is audited",
            )
        with tempfile.TemporaryDirectory(prefix="incamera-audit-") as folder:
            stream.seek(0)
            yield _unpack(path.name, stream, Path(folder), shape)


def _unpack(name: str, stream: BinaryIO, folder: Path, shape: Shape) -> Subject:
    links: dict[str, str] = {}
    files: list[str] = []
    damage = {}
    record = RecordProblems()
    try:
        if shape is Shape.package:
            for path, target in unpack_package(stream, folder):
                if target is None:
                    files.append(path)
                else:
                    links[path] = target
        else:
            files += unpack_wheel(stream, folder, record)
    except BadArchive as error:
        damage[name] = str(error)
    except OSError as error:
        raise StoreError(
            f"cannot unpack {name} into {folder}: {error.strerror}", hint="set TMPDIR to a folder on a larger disk"
        ) from error
    wheel = name if shape is Shape.loose else None
    if shape is Shape.package and (found := _find_packed_bundle(folder, name, links, damage, files)) is not None:
        return found
    found = read_folder(folder, name=name, shape=shape, wheel=wheel, links=links, damage=damage, files=files)
    return dataclasses.replace(found, record=record) if wheel is not None and not damage else found


def _find_packed_bundle(
    root: Path, name: str, links: Mapping[str, str], damage: Mapping[str, str], files: Sequence[str]
) -> Subject | None:
    """Return the bundle in the package at *root* that `incamera package` has made; None when it is another package."""
    folder = root / PACKED_BUNDLE
    if not (folder / "etc" / "launcher").is_file():
        return None
    prefix = f"{PACKED_BUNDLE}/"
    inside = [path.removeprefix(prefix) for path in files if path.startswith(prefix)]
    own_links = {path.removeprefix(prefix): target for path, target in links.items() if path.startswith(prefix)}
    bundle = read_folder(folder, name=name, links=own_links, damage=damage, files=inside)
    if bundle.shape is not Shape.bundle:
        return None
    beside = read_folder(root, name=name, shape=Shape.package)
    if not _starts_bundle(root, beside.app):
        return None
    outside = [path for path in beside.objects if not path.startswith(prefix)]
    return dataclasses.replace(bundle, is_packed=True, outside=tuple(outside))


def _starts_bundle(root: Path, app: str | None) -> bool:
    """Return whether the program *app* of the package at *root* is the script that starts the package's bundle."""
    try:
        text = read_inside(root, app, limit=MAX_SETTINGS_BYTES) if app is not None else b""
    except (OSError, BadArchive):
        return False
    return text.startswith(b"#!") and f"/{PACKED_BUNDLE}/bin/python3".encode() in text


def read_folder(
    root: Path,
    *,
    name: str,
    shape: Shape | None = None,
    wheel: str | None = None,
    links: Mapping[str, str] | None = None,
    damage: Mapping[str, str] | None = None,
    files: Sequence[str] | None = None,
) -> Subject:
    """Return the files in *root* as a subject. Without *shape*, it follows from the files.

    *wheel*: the file name of the wheel that they come from. *links*: symbolic links of the archive, which are not in
    the folder. *damage*: the archives that could not be unpacked. *files*: all files of the archive, of which the
    folder has those that are audited.
    """
    objects: dict[str, Object] = {}
    sources = []
    others = []
    listing = list_folder(root)
    with FolderReader(root) as reader:
        for path in listing.files:
            suffix = posixpath.splitext(path)[1]
            if suffix == ".py":
                sources.append(path)
            elif suffix not in NOT_ELF:
                found = read_object(root, path, reader.open)
                if found is not None:
                    objects[path] = found
                else:
                    others.append(path)
    launcher: dict[str, str] = {}
    if shape is None:
        if "package.conf" in listing.files or "manifest.json" in listing.files:
            shape = Shape.package
        else:
            # A file of that name in another folder makes no bundle: much in a bundle need not work.
            launcher = _read_launcher(root)
            shape = Shape.bundle if launcher.get("program") in objects else Shape.loose
            launcher = launcher if shape is Shape.bundle else {}
    return Subject(
        name=name,
        shape=shape,
        root=root,
        objects=objects,
        links={**listing.links, **(links or {})},
        sources=tuple(sources),
        scripts=tuple(path for path in others if _is_script(root, path)) if shape is Shape.package else (),
        files=frozenset(path.removeprefix("./") for path in (listing.files if files is None else files)),
        program=launcher.get("program"),
        libraries=tuple(launcher.get("libraries", "lib").split(":")),
        wheel=wheel,
        installed=_installation_folder(root) if shape is Shape.package else None,
        damage={**listing.problems, **(damage or {})},
        emptiness=_describe_emptiness(
            shape, listing.files if files is None else files, {**listing.links, **(links or {})}
        )
        or _describe_strangers(shape, wheel, objects, sources),
    )


def _describe_emptiness(shape: Shape, files: Sequence[str], links: Mapping[str, str]) -> str:
    """Return what there is instead of files that a camera could use; "" where there are such files."""
    described = [path.removeprefix("./") for path in files]
    descriptions = [path for path in described if shape is Shape.package and path in _DESCRIPTIONS]
    if len(descriptions) < len(files):
        return ""
    if descriptions:
        return f"only {' and '.join(sorted(descriptions))}" + (" and links" if links else "")
    return "only links" if links else "no files at all"


def _describe_strangers(shape: Shape, wheel: str | None, objects: Mapping[str, Object], sources: Sequence[str]) -> str:
    """Return what a folder has instead of files that an audit reads. A wheel or a package may have none of them."""
    if shape is Shape.loose and wheel is None and not objects and not sources:
        return "neither ELF files nor Python files"
    return ""


def read_object(root: Path, path: str, open_file: Callable[[str], BinaryIO] | None = None) -> Object | None:
    """Return the ELF file at *path* below *root*; None for another file, unless its name is that of a library.

    *open_file* opens it, as `open_inside` does.
    """
    name = path.rpartition("/")[2]
    try:
        with open_file(path) if open_file is not None else open_inside(root, path) as stream:
            beginning = stream.read(_SCRIPT_BYTES)
            if not beginning.startswith(ELF_MAGIC):
                if not NAMED_AS_LIBRARY.fullmatch(name) or _LINKER_SCRIPT.match(beginning):
                    return None
                return Object(path, _UNREADABLE, damage=NOT_AN_ELF_FILE)
            facts, problem = read_loadable(stream)
    except (OSError, ValueError) as error:
        return Object(path, _UNREADABLE, damage=str(error))
    if facts.type is ElfType.object and not NAMED_AS_LIBRARY.fullmatch(name):
        return None  # an object file, for the linker only
    if problem:
        return Object(path, facts, damage=problem)
    item = Object(path, facts, read=partial(_read_symbols, root, path))
    item.read_lazy = partial(_read_lazy, root, path)
    return item


def _is_script(root: Path, path: str) -> bool:
    try:
        with open_inside(root, path) as stream:
            return stream.read(len(SCRIPT_MAGIC)) == SCRIPT_MAGIC
    except (OSError, ValueError):
        return False


def _read_symbols(root: Path, path: str) -> Symbols:
    with open_inside(root, path) as stream:
        return read_symbols(stream)


def _read_lazy(root: Path, path: str) -> frozenset[str]:
    with open_inside(root, path) as stream:
        return read_lazy_functions(stream)


def _one_file(path: Path) -> Subject:
    found = read_object(path.parent, path.name)
    objects = {path.name: found} if found is not None else {}
    damage = {} if objects else {path.name: "it is an object file, which can be linked but not loaded"}
    return Subject(name=path.name, shape=Shape.loose, root=path.parent, objects=objects, links={}, damage=damage)


def _read_launcher(root: Path) -> dict[str, str]:
    try:
        text = read_inside(root, "etc/launcher", limit=MAX_SETTINGS_BYTES).decode("utf-8")
    except (OSError, ValueError):
        return {}
    settings = dict(line.split(" ", 1) for line in text.splitlines() if " " in line and line[0] != "#")
    return settings if "program" in settings else {}


def _installation_folder(root: Path) -> str | None:
    name: Any = None
    try:
        name = json.loads(read_inside(root, "manifest.json", limit=MAX_SETTINGS_BYTES))["acapPackageConf"]["setup"][
            "appName"
        ]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        try:
            text = read_inside(root, "package.conf", limit=MAX_SETTINGS_BYTES).decode("utf-8", "replace")
            match = re.search(r"""^APPNAME=["']?([\w.-]+)""", text, re.MULTILINE)
            name = match[1] if match else None
        except (OSError, BadArchive):
            return None
    return f"/usr/local/packages/{name}" if isinstance(name, str) and name else None
