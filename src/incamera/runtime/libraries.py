"""Finds the shared libraries that a tree needs, from the NEEDED entries of its ELF files.

Libraries in sub-folders are found, too. Debian's alternatives system would link them (numpy needs `libblas.so.3`, which
is in a folder of its own), but its scripts are not run here. All libraries are put into one folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.elf import clear_executable_stack, is_elf, read_elf, read_needed, read_symbols
from incamera.errors import BuildError
from incamera.runtime.layout import LIBRARIES
from incamera.runtime.missing import Missing

if TYPE_CHECKING:
    from incamera.elf import ElfFacts
    from incamera.runtime.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Collected:
    """The result of `collect_libraries`.

    `missing`: the libraries that are needed and were not found.
    `real_names`: the original file name of each library, which often has its version.
    """

    missing: tuple[Missing, ...]
    real_names: Mapping[str, str]


def read_libraries(bundle: Bundle) -> dict[str, ElfFacts]:
    """Return the facts of each shared library in the library folder of *bundle*, by file name."""
    found = {}
    for path in sorted((bundle.path / LIBRARIES).glob("*.so*")):
        with suppress(OSError, ValueError):
            found[path.name] = read_elf(path)
    return found


def index_libraries(staged: Path) -> dict[str, Path]:
    """Return the libraries below *staged* by file name, links included. One in the top folder hides others."""
    found: dict[str, Path] = {}
    for path in sorted(staged.rglob("*.so*"), key=lambda path: (-len(path.parts), str(path))):
        found[path.name] = path
    return found


def find_elf_files(tree: Path, folders: Iterable[str]) -> list[str]:
    """Return the paths of the ELF files in *folders* of *tree*, relative to it, sorted."""
    paths = []
    for folder in folders:
        for path in (tree / folder).rglob("*"):
            named_so = ".so" in path.name or path.parent.name == "libexec"
            if named_so and path.is_file() and not path.is_symlink() and is_elf(path):
                paths.append(path.relative_to(tree).as_posix())
    return sorted(paths)


def find_missing(tree: Path, folder: str) -> list[Missing]:
    """Return the libraries that ELF files in *folder* of a complete *tree* need, and that it does not have.

    Raises BuildError for a damaged file.
    """
    missing = []
    for file in find_elf_files(tree, (folder,)):
        for name in _read_needed(tree, file):
            if not (tree / "lib" / name).exists() and not _has_private(tree, file, name):
                missing.append(Missing(file, name))
    return missing


def collect_libraries(
    tree: Path, roots: Iterable[str], available: Mapping[str, Path], extra: Iterable[str] = ()
) -> Collected:
    """Link the libraries *extra*, those that the files *roots* need, and all that these need into `lib/` of *tree*.

    *roots* are paths in *tree*. *available* has the libraries by name. Raises BuildError for a damaged file.
    """
    library_folder = tree / "lib"
    missing = []
    real_names = {}
    files = list(roots)
    needed = [("runtime", name) for name in extra]
    while files or needed:
        if files:
            file = files.pop()
            needed += [(file, name) for name in _read_needed(tree, file)]
            continue
        file, name = needed.pop()
        placed = library_folder / name
        if placed.exists():
            continue
        # A private library, which the file finds through its own run path, stays where it is.
        if file != "runtime" and _has_private(tree, file, name):
            continue
        source = available.get(name)
        if source is None or not source.exists():
            missing.append(Missing(file, name))
            continue
        library_folder.mkdir(exist_ok=True)
        real = source.resolve()
        placed.hardlink_to(real)
        clear_executable_stack(placed)
        real_names[name] = real.name
        files.append(f"lib/{name}")
    return Collected(tuple(sorted(set(missing), key=lambda item: (item.needs, item.file))), real_names)


def link_duplicates(folder: Path, duplicates: Mapping[str, str]) -> None:
    """Replace each library of *duplicates* in *folder* by a link to its replacement, if that exports all its symbols.

    Debian's OpenBLAS has a `liblapack.so.3`, 4 MB whose functions `libopenblas.so.0` has, too. Raises BuildError for a
    damaged library.
    """
    for name, replacement in duplicates.items():
        duplicate, other = folder / name, folder / replacement
        if not (duplicate.is_file() and other.is_file()) or duplicate.is_symlink():
            continue
        try:
            same = read_symbols(duplicate).exports <= read_symbols(other).exports
        except ValueError as error:
            raise BuildError(f"{name}: {error}") from error
        if same:
            duplicate.unlink()
            duplicate.symlink_to(replacement)


def _has_private(tree: Path, file: str, name: str) -> bool:
    """Return whether the library *name* is beside *file*, or in a folder of its run path (`$ORIGIN/…`)."""
    if (tree / file).with_name(name).exists():
        return True
    for folder in read_elf(tree / file).run_path:
        origin, _, rest = folder.replace("${ORIGIN}", "$ORIGIN").partition("$ORIGIN")
        if not origin and ((tree / file).parent / rest.lstrip("/") / name).exists():
            return True
    return False


def _read_needed(tree: Path, file: str) -> tuple[str, ...]:
    try:
        return read_needed(tree / file)
    except ValueError as error:
        raise BuildError(f"{file}: {error}") from error
