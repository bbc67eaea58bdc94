"""The bundle: runtime and app in one tree, known by its digest."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import StoreError
from incamera.runtime.layout import APP, LIBRARIES, LIBRARY_NAMES
from incamera.runtime.missing import Missing
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.tree import Entry

MANIFEST = "bundle.json"
# Raise it when bundles made from the same inputs change.
FORMAT = 1
_BLOCK = 4096


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

    @property
    def disk_bytes(self) -> int:
        """What it takes of a file system, which gives whole blocks: with ten thousand small files a tenth more."""
        return sum(-(-entry.size // _BLOCK) * _BLOCK for entry in self.entries)

    @property
    def sonames(self) -> set[str]:
        """The shared libraries that the bundle has, and those that it needs of the device."""
        own = {entry.path.rpartition("/")[2] for entry in self.entries if entry.path.startswith(f"{LIBRARIES}/lib")}
        return own | {item.needs for item in self.missing}

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


def add_app(tree: Path, project: Path, files: Sequence[str]) -> None:
    """Put *files* of the *project*, the user's own code, into *tree*."""
    app = tree / APP
    app.mkdir(exist_ok=True)
    for file in files:
        (app / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(project / file, app / file)
    for path in app.rglob("*"):
        if path.is_file():
            path.chmod(0o555 if path.stat().st_mode & 0o100 else 0o444)


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
