"""Install wheels into a folder, from which they can be imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name, canonicalize_version

from incamera.errors import BuildError
from incamera.wheels.archive import open_wheel
from incamera.wheels.scripts import SCRIPT_START

if TYPE_CHECKING:
    from incamera.wheels.archive import WheelArchive

Select = Callable[[str], str | None]
_IMPORTABLE = {"purelib": "", "platlib": ""}
_SCHEMES = ("purelib", "platlib", "headers", "scripts", "data")
# A script of a wheel starts with one of these lines; installing names the real interpreter (PEP 427).
_INTERPRETER = re.compile(rb"\A#!pythonw?[^\n]*\n")
# Files that many packages install by mistake. Nothing imports them by these names.
_STRAY_FOLDERS = ("benchmarks", "doc", "docs", "example", "examples", "test", "tests")
_MODULES = (".py", ".so", ".pth")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where a wheel's files go.

    *folders* maps a scheme (`purelib`, `data`) to its folder; files of other schemes are left out. *select* maps a
    file's path to another path, or to None to leave it out. *owners* maps the path of each file that is there already
    to its package, and gets those of the wheel. *is_reserved* says which paths no package may have.
    """

    folders: Mapping[str, str] = field(default_factory=lambda: _IMPORTABLE)
    select: Select = lambda path: path
    owners: dict[str, str] = field(default_factory=dict)
    is_reserved: Callable[[str], bool] = lambda path: False
    warn: Callable[[str], None] = lambda text: None


def install_wheel(wheel: Path, root: Path, places: Places | None = None, *, name: str | None = None) -> list[str]:
    """Unpack *wheel* into *root* and return the files that were written, relative to it.

    *name* is the wheel's file name, where *wheel* has another one, as in the store. Without *places*, only what can be
    imported is unpacked. Raises BuildError when the wheel is not valid, or another package has one of its files with
    other contents.
    """
    places = places or Places()
    written: dict[str, str] = {}
    with open_wheel(wheel, name) as archive:
        folders = _Folders(root, archive.name)
        for member in archive.members:
            installed = installed_path(member, archive, places.folders)
            path = places.select(installed) if installed is not None else None
            if path is None:
                continue
            if places.is_reserved(path):
                raise BuildError(f"{archive.name}: {path} would replace a file of the runtime")
            if path in written:
                raise BuildError(f"{archive.name} is not a valid wheel: {written[path]} and {member} are both {path}")
            written[path] = member
            target = folders.place(path)
            if target.is_symlink() or target.exists():
                del written[path]
                _share_file(archive, member, target, path, places)
                continue
            scheme, _ = split_scheme(member, archive)
            with target.open("xb") as sink:
                if scheme == "scripts":
                    sink.write(_INTERPRETER.sub(lambda _: SCRIPT_START.encode(), archive.read(member), count=1))
                else:
                    archive.copy(member, sink)
            target.chmod(0o755 if scheme == "scripts" or archive.is_executable(member) else 0o644)
    places.owners.update(dict.fromkeys(written, archive.name))
    return list(written)


def split_scheme(member: str, archive: WheelArchive) -> tuple[str, str]:
    """Return the scheme of the file *member* of a wheel, and its path in the folder of that scheme."""
    top, _, rest = member.partition("/")
    if not top.endswith(".data") or _spelled(top, ".data") != _spelled(archive.dist_info, ".dist-info"):
        return "purelib", member
    scheme, _, path = rest.partition("/")
    if scheme not in _SCHEMES:
        raise BuildError(f"{archive.name} is not a valid wheel: {member} is of no known kind: {', '.join(_SCHEMES)}")
    return scheme, path


def _spelled(folder: str, ending: str) -> tuple[str, str]:
    """Return the name and the version in `Own.Name-1.0.data`, in one spelling: tools differ in how they write them."""
    name, _, version = folder.removesuffix(ending).partition("-")
    return canonicalize_name(name), canonicalize_version(version)


def installed_path(member: str, archive: WheelArchive, folders: Mapping[str, str] = _IMPORTABLE) -> str | None:
    """Return where the file *member* of a wheel is installed; None when *folders* lack its scheme."""
    scheme, path = split_scheme(member, archive)
    if scheme not in folders or not path:
        return None
    if scheme == "headers":
        path = f"{archive.dist_info.partition('-')[0]}/{path}"
    return f"{folders[scheme]}/{path}" if folders[scheme] else path


def _share_file(archive: WheelArchive, member: str, target: Path, path: str, places: Places) -> None:
    """Let another package's file *target* stay for *member*. Raises BuildError unless that changes nothing."""
    scheme, inside = split_scheme(member, archive)
    if target.is_file() and not target.is_symlink():
        ours, other = archive.read(member), target.read_bytes()
        if ours == other or (target.name == "__init__.py" and _is_namespace(ours) and _is_namespace(other)):
            return
    owner = places.owners.get(path, "another package")
    is_module = inside.endswith(_MODULES) and scheme in _IMPORTABLE
    top, slash, _ = inside.partition("/")
    if top in _STRAY_FOLDERS if slash else not is_module:
        places.warn(f"{archive.name} and {owner} both have {path}: that of {owner} is used")
        return
    raise BuildError(
        f"{archive.name} and {owner} both have {path}, with other contents",
        hint="use one of the two: remove one from the dependencies, or take both from one source, "
        'as [tool.incamera.sources] NAME = "deb" does',
    )


def _is_namespace(data: bytes) -> bool:
    """Return whether the module *data* only declares a namespace package, or nothing at all."""
    if b"extend_path" in data or b"declare_namespace" in data:
        return True
    try:
        body = ast.parse(data).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)


class _Folders:
    """Makes the folders for the files of the wheel *name*; refuses one that a link leads outside of *root*."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._real_root = root.resolve()
        self._name = name
        self._known: set[Path] = set()

    def place(self, path: str) -> Path:
        target = self._root / path
        parent = target.parent
        if parent not in self._known:
            try:
                parent.mkdir(parents=True, exist_ok=True)
            except (FileExistsError, NotADirectoryError) as error:
                raise BuildError(f"{self._name}: {path} needs a folder where another package has a file") from error
            if not parent.resolve().is_relative_to(self._real_root):
                raise BuildError(f"{self._name}: {path} leads outside of the folder")
            self._known.add(parent)
        if target.is_dir() and not target.is_symlink():
            raise BuildError(f"{self._name}: another package has a folder where {path} goes")
        return target
