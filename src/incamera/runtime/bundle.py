"""Bundles: runtime and app in one tree, identified by the tree's digest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.disk import find_by_end
from incamera.errors import StoreError
from incamera.runtime.layout import APP, LIBRARIES, LIBRARY_NAMES
from incamera.runtime.missing import Missing
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.tree import Entry

MANIFEST = "bundle.json"
# Increase it when bundles made from the same inputs change.
FORMAT = 2
_BLOCK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle in the store.

    `version`: that of the app. `path`: its folder. `entries`: its files and links.
    `arguments`: the arguments of `bin/python3` that start the app.
    `missing`: libraries that it needs and does not have, so the camera must have them.
    `distributions`: name, version, source and reason of each.
    """

    name: str
    target: Target
    digest: str
    path: Path
    entries: tuple[Entry, ...]
    arguments: tuple[str, ...]
    missing: tuple[Missing, ...]
    distributions: tuple[Mapping[str, str], ...]
    version: str = "0"

    @property
    def tree_bytes(self) -> int:
        """The size of all files in bytes."""
        return sum(entry.size for entry in self.entries)

    @property
    def disk_bytes(self) -> int:
        """The space in bytes that it needs in a file system with blocks of 4096 bytes."""
        return sum(-(-entry.size // _BLOCK) * _BLOCK for entry in self.entries)

    @property
    def sonames(self) -> set[str]:
        """The sonames of the shared libraries that the bundle has, and of those that it needs from the device."""
        own = {entry.path.rpartition("/")[2] for entry in self.entries if entry.path.startswith(f"{LIBRARIES}/lib")}
        return own | {item.needs for item in self.missing}

    def library_names(self) -> dict[str, str]:
        """Return the original file name of each library (`libz.so.1.2.13`), by its file name in the bundle."""
        try:
            names: dict[str, str] = json.loads((self.path / LIBRARY_NAMES).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _damaged(self.path, error) from error
        return names


def find_in_bundle(bundle: Path, path: str) -> Path | None:
    """Return the file of the folder *bundle* that a device has as *path*, None for any other path.

    Where on the device a bundle's parts are depends on its form, so they are known by the ends of their paths.
    """
    return find_by_end(path, bundle.joinpath) or find_by_end(path, (bundle / APP).joinpath)


def link_tree(source: Path, destination: Path) -> None:
    """Copy the tree *source* to *destination*, with hard links in place of copies where the file system allows them.

    *destination* may exist already.
    """
    for folder, _, files in os.walk(source):
        target = destination / os.path.relpath(folder, source)
        target.mkdir(exist_ok=True)
        links = [name for name in os.listdir(folder) if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118, PTH208
        for name in {*files, *links}:
            link_file(Path(folder) / name, target / name)


def link_file(source: Path, destination: Path) -> None:
    """Make *destination* a hard link to the file *source*, or a copy of it where that is not possible."""
    if source.is_symlink():
        destination.symlink_to(source.readlink())
        return
    try:
        destination.hardlink_to(source)
    except OSError:
        import shutil  # lazy: start-up; an idle build copies nothing

        shutil.copy2(source, destination)


def add_app(tree: Path, project: Path, files: Sequence[str]) -> None:
    """Copy *files* of the folder *project* into the app's folder of the bundle in *tree*, and make them read-only."""
    import shutil  # lazy: start-up; an idle build copies nothing

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
    """Write the manifest of the bundle in *tree*, which `load_bundle` and the guard in the camera read."""
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
    """Return the bundle in the store's tree *path*. Raises StoreError when its manifest is damaged."""
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
            version=manifest["version"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"the bundle {path} is damaged: {error}", hint="remove damaged files with `incamera store verify`"
    )
