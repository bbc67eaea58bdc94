"""Repair a wheel that was cross-built, as auditwheel does.

The libraries that its build made are copied into it, and found through relative run paths. No path of the computer that
built it remains. Its tags say which system it needs. Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from incamera import proc
from incamera.elf import is_elf, read_elf, read_symbols
from incamera.errors import BuildError
from incamera.wheels.archive import open_wheel
from incamera.wheels.install import installed_path
from incamera.wheels.platform_tag import find_platform_tag
from incamera.wheels.write import write_wheel

if TYPE_CHECKING:
    from incamera.elf import ElfFacts
    from incamera.targets.target import Target

_ORIGIN = re.compile(r"\$(?:ORIGIN|\{ORIGIN\})(?:/(.*))?")


def repair_wheel(
    wheel: Path,
    destination: Path,
    target: Target,
    *,
    private: Mapping[str, Path],
    provided: Callable[[str], bool],
    patchelf: Sequence[str],
    drop: Sequence[str] = (),
) -> Path:
    """Write the repaired *wheel* into the folder *destination*, and return its path, whose name has the new tags.

    *private* maps the soname of each library that the build made to its file. *provided* says whether the system or the
    bundle has a library with that soname. *patchelf* is the command line of that program. Files of the wheel whose path
    matches a pattern in *drop* are left out. Raises BuildError that names the file when it cannot be repaired.
    """
    destination.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".repair-", dir=destination) as scratch, open_wheel(wheel) as archive:
        root = Path(scratch) / "wheel"
        places: dict[str, str] = {}
        for member in archive.members:
            if any(fnmatchcase(member, pattern) for pattern in drop):
                continue
            path = root / member
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as sink:
                archive.copy(member, sink)
            path.chmod(0o755 if archive.is_executable(member) else 0o644)
            place = installed_path(member, archive)
            if place is not None and is_elf(path):
                places[member] = place
        repair = _Repair(wheel.name, root, target, private, provided, patchelf)
        repair.add_wheel_files(places)
        repair.run()
        name = write_wheel(
            root, wheel.name, archive.dist_info, Path(scratch) / "made", _tags(wheel.name, repair.binaries, target)
        )
        made = Path(scratch) / "made"
        return made.replace(destination / name)


@dataclass(slots=True, eq=False)
class _Binary:
    """An ELF file of the wheel.

    *member* is its path in the archive, *place* its path once installed. *soname* is a new soname for it, or None.
    *renamed* maps libraries that it needs to their new sonames.
    """

    member: str
    place: str
    facts: ElfFacts
    is_module: bool = False
    soname: str | None = None
    renamed: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.place)

    @property
    def name(self) -> str:
        return posixpath.basename(self.place)


class _Repair:
    def __init__(
        self,
        wheel: str,
        root: Path,
        target: Target,
        private: Mapping[str, Path],
        provided: Callable[[str], bool],
        patchelf: Sequence[str],
    ) -> None:
        self._wheel = wheel
        self._root = root
        self._target = target
        self._private = private
        self._provided = provided
        self._patchelf = patchelf
        self._libraries_folder = f"{wheel.partition('-')[0]}.libs"
        self._vendored: dict[str, _Binary] = {}
        self.binaries: list[_Binary] = []

    def add_wheel_files(self, places: Mapping[str, str]) -> None:
        for member, place in sorted(places.items()):
            binary = _Binary(member, place, self._read(self._root / member, member))
            binary.is_module = _is_module(self._root / member)
            self.binaries.append(binary)

    def run(self) -> None:
        for binary in self.binaries:  # the list grows as private libraries are added
            run_path = self._find_libraries(binary)
            self._patch(binary, run_path)
        for binary in self.binaries:
            binary.facts = self._read(self._root / binary.member, binary.member)

    def _read(self, path: Path, name: str) -> ElfFacts:
        try:
            facts = read_elf(path)
        except ValueError as error:
            raise BuildError(f"{self._wheel}: {name} is a damaged ELF file: {error}") from error
        wanted = self._target.architecture.facts
        if facts.machine != wanted.elf_machine or facts.bits != wanted.bits:
            machine = facts.machine.removeprefix("EM_")
            raise BuildError(
                f"{self._wheel}: {name} is for {machine} ({facts.bits} bits), not for {self._target.architecture}"
            )
        return facts

    def _find_libraries(self, binary: _Binary) -> list[str]:
        """Find the libraries that *binary* needs; return its new run path. Raises BuildError when one is missing."""
        run_path = [entry for entry in map(_inner_path, binary.facts.run_path) if entry is not None]
        run_path = list(dict.fromkeys(entry for entry in run_path if self._leads_inside(binary, entry)))
        for needed in binary.facts.needed:
            name = posixpath.basename(needed)
            library = self._find_own(name, binary, run_path) or self._vendor(name)
            if library is not None:
                entry = posixpath.relpath(library.folder or ".", binary.folder or ".")
                if entry not in run_path:
                    run_path.append(entry)
                name = library.soname or name
            elif not self._provided(name):
                raise BuildError(
                    f"{self._wheel}: {binary.place} needs {name}, which neither the wheel nor the system has",
                    hint="add the Debian package that has it to dev or debs in [sdist] of this package's recipe",
                )
            if name != needed:
                binary.renamed[needed] = name
        return run_path

    def _leads_inside(self, binary: _Binary, entry: str) -> bool:
        folder = posixpath.normpath(posixpath.join(binary.folder, entry))
        if folder == ".." or folder.startswith("../"):
            return False
        return folder == "." or any((other.folder + "/").startswith(folder + "/") for other in self.binaries)

    def _find_own(self, name: str, binary: _Binary, run_path: Sequence[str]) -> _Binary | None:
        """Return the library called *name* in the wheel: the one that the loader would find, else the first."""
        found = [
            other
            for other in self.binaries
            if other.soname is None and name in (other.facts.soname or other.name, other.name)
        ]
        near = {posixpath.normpath(posixpath.join(binary.folder, entry)) for entry in run_path}
        return next((other for other in found if (other.folder or ".") in near), found[0] if found else None)

    def _vendor(self, name: str) -> _Binary | None:
        """Copy the private library *name* into the wheel, with a hash in its new name, which makes that unique."""
        if name not in self._private:
            return None
        if name not in self._vendored:
            source = self._private[name]
            with source.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()[:8]
            stem, dot, version = name.partition(".so")
            soname = f"{stem}-{digest}{dot}{version}"
            member = f"{self._libraries_folder}/{soname}"
            path = self._root / member
            path.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, path)
            path.chmod(0o755)
            self._vendored[name] = _Binary(member, member, self._read(path, str(source.name)), soname=soname)
            self.binaries.append(self._vendored[name])
        return self._vendored[name]

    def _patch(self, binary: _Binary, run_path: Sequence[str]) -> None:
        # One call for each option: patchelf confuses names when it changes several kinds at once.
        options: list[list[str]] = []
        if binary.soname is not None:
            options.append(["--set-soname", binary.soname])
        if binary.renamed:
            renamed = sorted(binary.renamed.items())
            options.append([word for names in renamed for word in ("--replace-needed", *names)])
        entries = ["$ORIGIN" if entry == "." else f"$ORIGIN/{entry}" for entry in run_path]
        if not entries and binary.facts.run_path:
            options.append(["--remove-rpath"])
        elif entries != list(binary.facts.run_path):
            options.append(["--set-rpath", ":".join(entries)])
        path = self._root / binary.member
        for words in options:
            proc.run([*self._patchelf, *words, path], purpose=f"repair {binary.place}")


def _is_module(path: Path) -> bool:
    """Whether the ELF file at *path* is an extension module: by its name, else by its PyInit_ function."""
    if re.search(r"\.(cpython-[^.]*|abi3)\.so$", path.name):
        return True
    return path.name.endswith(".so") and any(name.startswith("PyInit_") for name in read_symbols(path).exports)


def _inner_path(entry: str) -> str | None:
    """Return *entry* of a run path relative to the folder of its file; None for an absolute path."""
    match = _ORIGIN.fullmatch(entry)
    return None if match is None else posixpath.normpath(match[1] or ".")


def _tags(wheel: str, binaries: Sequence[_Binary], target: Target) -> str | None:
    """Return the tags that fit *binaries* (`cp311-cp311-manylinux_2_36_armv7l`); None when the wheel has none.

    The tags for Python and ABI stay, unless they promise for an extension module more Pythons than can import it.
    """
    if not binaries:
        return None
    python, abi, _ = wheel.removesuffix(".whl").split("-")[-3:]
    platform = find_platform_tag(
        [binary.facts for binary in binaries],
        {name for binary in binaries for name in (binary.name, binary.facts.soname) if name},
        target.architecture.facts.wheel,
    )
    modules = [binary for binary in binaries if binary.is_module]
    is_limited = all(binary.name.endswith(".abi3.so") for binary in modules)
    if modules and (abi == "none" or (abi == "abi3" and any(".cpython-" in binary.name for binary in modules))):
        python = f"cp{target.python.replace('.', '')}"
        abi = "abi3" if is_limited else python
    return f"{python}-{abi}-{platform}"
