"""Install wheels into a folder, from which they can be imported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.wheels.archive import open_wheel

if TYPE_CHECKING:
    from incamera.wheels.archive import WheelArchive

Select = Callable[[str], str | None]
_IMPORTABLE = ("purelib", "platlib")


def install_wheel(
    wheel: Path, folder: Path, *, name: str | None = None, select: Select = lambda path: path
) -> list[str]:
    """Unpack *wheel* into *folder* and return the files that were written, relative to it.

    *name* is the wheel's file name, where *wheel* has another one, as in the store. *select* maps a file's path in
    *folder* to another path, or to None to leave it out. Scripts, headers and data files are left out, since a bundle
    has no places for them. Raises BuildError when the wheel is not valid, or its files collide with another package's.
    """
    written = []
    with open_wheel(wheel, name) as archive:
        folders = _Folders(folder, archive.name)
        for member in archive.members:
            installed = installed_path(member, archive)
            path = select(installed) if installed is not None else None
            if path is None:
                continue
            target = folders.place(path)
            target.unlink(missing_ok=True)  # never write through a link that another package left there
            with target.open("xb") as sink:
                archive.copy(member, sink)
            target.chmod(0o755 if archive.is_executable(member) else 0o644)
            written.append(path)
    return written


def installed_path(member: str, archive: WheelArchive) -> str | None:
    """Return where the file *member* of a wheel is installed; None when it cannot be imported."""
    top, _, rest = member.partition("/")
    if top != archive.dist_info.removesuffix(".dist-info") + ".data":
        return member
    scheme, _, path = rest.partition("/")
    return path if scheme in _IMPORTABLE and path else None


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
