"""Puts back what trimming dropped and the code that stays imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.deb_trees import unpack_debs
from incamera.debian.index import Deb
from incamera.runtime import layout
from incamera.runtime.trimming import find_imported, select_units
from incamera.wheels.install import Places, install_wheel

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.locked import Lock
    from incamera.runtime.trimming import Unit

DEBIAN = "Debian's "
"""Begins the name of a Debian package where wheels have theirs, too."""


@dataclass(frozen=True, kw_only=True)
class Restoring:
    """Restores modules from the packages of *lock* into *tree*.

    *wheels* returns the lock's wheels by file name; it is called only if one is needed. *compile_files* byte-compiles
    files of the tree.
    """

    context: Context
    lock: Lock
    tree: Path
    wheels: Callable[[], Mapping[str, Path]]
    compile_files: Callable[[Sequence[str]], None]

    def restore_imported(
        self, folder: str, files: Sequence[str], dropped: Sequence[Unit], *, modules: Sequence[str] = ()
    ) -> list[Unit]:
        """Restore what *files* import of *dropped*, and what that imports; return what is still dropped.

        *files* are relative to *folder* of the tree, from which they are imported. *modules* are imported, too.
        """
        left = list(dropped)
        while left and (files or modules):
            imported = find_imported(self.tree / folder, files, left, modules=modules)
            if not imported:
                break
            left = [unit for unit in left if unit not in imported]
            restored, modules = self._restore(imported), ()
            folder = layout.PACKAGES
            files = [file.removeprefix(f"{folder}/") for file in restored if file.startswith(f"{folder}/")]
        return left

    def _restore(self, units: Sequence[Unit]) -> list[str]:
        """Unpack the files of *units*, and return the paths of their Python files."""
        keep = [pattern for unit in units for pattern in (unit.path, f"{unit.path}/*")]
        packages = {package for unit in units for package in unit.packages}
        target = self.lock.target
        files: list[str] = []
        debs = [Deb(**asdict(deb)) for deb in self.lock.debs if f"{DEBIAN}{deb.package}" in packages]
        if debs:
            select = select_units(layout.plan_layout(target, keep), units)
            unpack_debs(self.context, debs, self.tree, select, on_files=lambda _, unpacked: files.extend(unpacked))
        if any(package.endswith(".whl") for package in packages):
            select = select_units(layout.plan_wheel(keep), units)
            places = Places(folders=layout.wheel_folders(target), select=select)
            for name, wheel in sorted(self.wheels().items()):
                if name in packages:
                    files += install_wheel(wheel, self.tree, places, name=name)
        modules = sorted(file for file in files if file.endswith(".py") and not (self.tree / file).is_symlink())
        self.compile_files(modules)
        return modules
