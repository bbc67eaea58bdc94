"""The bundle: runtime and app in one tree, known by its digest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from incamera.errors import BuildError, StoreError
from incamera.runtime.layout import APP, LIBRARY_NAMES
from incamera.runtime.libraries import Missing
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.tree import Entry

MANIFEST = "bundle.json"
# Raise it when bundles made from the same inputs change.
FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """`arguments` follow `bin/python3` to start the app; `missing` are libraries that the camera must have."""

    name: str
    target: Target
    digest: str
    path: Path
    entries: tuple[Entry, ...]
    arguments: tuple[str, ...]
    missing: tuple[Missing, ...]
    distributions: tuple[Mapping[str, str], ...]

    @property
    def tree_bytes(self) -> int:
        return sum(entry.size for entry in self.entries)

    def library_names(self) -> dict[str, str]:
        """Return what each library was called before it was laid down by soname."""
        names: dict[str, str] = json.loads((self.path / LIBRARY_NAMES).read_text("utf-8"))
        return names


def link_tree(source: Path, destination: Path) -> None:
    """Make *destination* a tree like *source*, sharing its files where the file system can. *destination* may exist."""
    for folder, _, files in os.walk(source):
        target = destination / os.path.relpath(folder, source)
        target.mkdir(exist_ok=True)
        links = [name for name in os.listdir(folder) if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118, PTH208
        for name in {*files, *links}:
            link_file(Path(folder) / name, target / name)


def link_file(source: Path, destination: Path) -> None:
    if source.is_symlink():
        destination.symlink_to(source.readlink())
        return
    try:
        destination.hardlink_to(source)
    except OSError:
        shutil.copy2(source, destination)


def add_app(tree: Path, project: Path, files: Sequence[str], wheel: Path | None, *, entry: str | None) -> None:
    """Put the user's own code into *tree*: what is in *wheel*, or, where there is none, *files* of the *project*.

    *entry* is the file that is run: it comes from the project in either case.
    """
    app = tree / APP
    app.mkdir()
    if wheel is not None:
        install_wheel(wheel, app)
        files = [entry] if entry is not None else []
    for file in files:
        (app / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / file, app / file)
    for path in app.rglob("*"):
        if path.is_file():
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


def install_wheel(wheel: Path, folder: Path) -> None:
    """Unpack *wheel* into *folder*, importable from there. Raises BuildError when it is not a sound wheel."""
    from installer.exceptions import InstallerError
    from installer.sources import WheelFile

    try:
        with WheelFile.open(wheel) as source:
            source.validate_record(validate_contents=True)
            for (path, _, _), stream, executable in source.get_contents():
                # Scripts and data go to folders that a bundle has not; importable files are all that is wanted.
                parts = Path(path).parts
                if parts[0].endswith(".data"):
                    if parts[1] not in ("purelib", "platlib"):
                        continue
                    parts = parts[2:]
                target = folder.joinpath(*parts)
                if not target.resolve().is_relative_to(folder.resolve()):
                    raise BuildError(f"{wheel.name}: {path} points outside")
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as output:
                    shutil.copyfileobj(stream, output)
                target.chmod(0o755 if executable else 0o644)
    except (InstallerError, ValueError, OSError, BadZipFile) as error:
        raise BuildError(f"{wheel.name} is not a sound wheel: {error}") from error


def write_manifest(
    tree: Path,
    *,
    name: str,
    version: str,
    target: Target,
    arguments: Sequence[str],
    missing: Iterable[Missing],
    distributions: Sequence[Mapping[str, str]],
) -> None:
    """Write what a device, and later we, must know of the bundle."""
    manifest = {
        "schema": 1,
        "name": name,
        "version": version,
        "target": str(target),
        "arguments": list(arguments),
        "missing": [{"file": item.file, "needs": item.needs} for item in missing],
        "distributions": list(distributions),
    }
    path = tree / MANIFEST
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", "utf-8")
    path.chmod(0o444)


def load_bundle(path: Path, entries: Sequence[Entry], digest: str) -> Bundle:
    """Read back the bundle at *path*, a tree of the store. Raises StoreError when its manifest is damaged."""
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text("utf-8"))
        return Bundle(
            name=manifest["name"],
            target=Target.parse(manifest["target"]),
            digest=digest,
            path=path,
            entries=tuple(entries),
            arguments=tuple(manifest["arguments"]),
            missing=tuple(Missing(item["file"], item["needs"]) for item in manifest["missing"]),
            distributions=tuple(manifest["distributions"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the bundle {path} is damaged: {error}", hint="run `incamera store verify`") from error
