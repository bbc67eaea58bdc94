"""Which shared libraries a tree needs, found from the NEEDED entries of its own files.

This also does what maintainer scripts would have done: numpy asks for `libblas.so.3`, which lies in a folder of its own
until Debian's alternatives system links it. We search the sub-folders too, and lay everything flat by soname.
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
    """`real_names` keeps what each library was called before it was laid down by soname: often its version."""

    missing: tuple[Missing, ...]
    real_names: Mapping[str, str]


def read_libraries(bundle: Bundle) -> dict[str, ElfFacts]:
    """Return the shared libraries of *bundle* by the sonames they are asked for."""
    found = {}
    for path in sorted((bundle.path / LIBRARIES).glob("*.so*")):
        with suppress(OSError, ValueError):
            found[path.name] = read_elf(path)
    return found


def index_libraries(staged: Path) -> dict[str, Path]:
    """Return the libraries below *staged* by file name, links included; the top folder wins."""
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
    """Return what the ELF files in *folder* of a finished *tree* need, but neither `lib/` nor their own folder has."""
    missing = []
    for file in find_elf_files(tree, (folder,)):
        for name in _read_needed(tree, file):
            if not (tree / "lib" / name).exists() and not _has_private(tree, file, name):
                missing.append(Missing(file, name))
    return missing


def collect_libraries(
    tree: Path, roots: Iterable[str], available: Mapping[str, Path], extra: Iterable[str] = ()
) -> Collected:
    """Put into `lib/` what *roots* (paths in *tree*) and *extra* (library names) need, and what those need in turn.

    Raises BuildError for a file that cannot be read.
    """
    library_folder = tree / "lib"
    missing = []
    real_names = {}
    waiting = list(roots)
    asked = [("runtime", name) for name in extra]
    while waiting or asked:
        if waiting:
            file = waiting.pop()
            asked += [(file, name) for name in _read_needed(tree, file)]
            continue
        file, name = asked.pop()
        placed = library_folder / name
        if placed.exists():
            continue
        # A private library, found through a path relative to the file that asks for it, stays where it is.
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
        waiting.append(f"lib/{name}")
    return Collected(tuple(sorted(set(missing), key=lambda item: (item.needs, item.file))), real_names)


def link_doubles(folder: Path, doubles: Mapping[str, str]) -> None:
    """Make each library of *doubles* in *folder* a link to the one it names, if that one exports all that it does.

    Debian's OpenBLAS brings `liblapack.so.3`, 4 MB of what `libopenblas.so.0` has, too.
    """
    for name, other in doubles.items():
        double, whole = folder / name, folder / other
        if not (double.is_file() and whole.is_file()) or double.is_symlink():
            continue
        try:
            same = read_symbols(double).exports <= read_symbols(whole).exports
        except ValueError as error:
            raise BuildError(f"{name}: {error}") from error
        if same:
            double.unlink()
            double.symlink_to(other)


def _has_private(tree: Path, file: str, name: str) -> bool:
    """Is *name* beside *file*, or in a folder that *file* names by `$ORIGIN`?"""
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
