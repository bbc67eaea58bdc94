"""Trees of what builds require, installed from files whose hashes are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.indexes import open_indexes
from incamera.toolchain.build_env import KIND, install_wheels
from incamera.toolchain.emulated_requirements import install_target_wheels
from incamera.toolchain.numpy_headers import generalise_headers
from incamera.wheels.fetch import fetch_files
from incamera.wheels.metadata import check_metadata

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.digest import Sha256
    from incamera.project.locked import LockedFile
    from incamera.toolchain.emulated_root import EmulatedRoot
    from incamera.toolchain.interpreter import BuildInterpreter

# Increase it when trees made from the same files change.
_FORMAT = 4


def ensure_requirement_tree(context: Context, interpreter: BuildInterpreter, files: Sequence[LockedFile]) -> Path:
    """Return a tree with the wheels *files* installed for *interpreter*. Raises FetchError, ToolFailed."""

    def install(tree: Path) -> None:
        from incamera.toolchain.cmake import complete_modules  # lazy: most trees exist

        install_wheels(context.store, interpreter, _fetch(context, files), tree)
        generalise_headers(tree)
        complete_modules(tree)

    key = _key((file.sha256 for file in files), interpreter.python, interpreter.tree.host.machine)
    tree, _ = context.store.ensure_tree(KIND, key, install)
    if files:
        from incamera.toolchain.build_folder import bytecode_cache, fill_bytecode_cache  # lazy: most trees exist

        fill_bytecode_cache(bytecode_cache(context.store.root, interpreter), interpreter, tree)
    return tree


def ensure_target_requirement_tree(
    context: Context, root: EmulatedRoot, files: Sequence[LockedFile], built: Mapping[Sha256, Path]
) -> Path:
    """Return a tree with the wheels *files*, and those *built* from sdists, installed for the target of *root*.

    *built* has the paths of wheels by the sha256 of their sdists. Raises FetchError, ToolFailed.
    """

    def install(tree: Path) -> None:
        wheels = _fetch(context, files) | {path.name: path for path in built.values()}
        install_target_wheels(context.store, root, wheels, tree)

    key = _key([*(file.sha256 for file in files), *(str(path) for path in built.values())], str(root.target))
    return context.store.ensure_tree(KIND, key, install)[0]


def _key(inputs: Iterable[str], *place: str) -> str:
    return hashlib.sha256(repr((_FORMAT, sorted(inputs), place)).encode()).hexdigest()


def _fetch(context: Context, files: Sequence[LockedFile]) -> dict[str, Path]:
    blobs = fetch_files(files, context.http, context.store, indexes=open_indexes(context))
    for file, blob in blobs.items():
        check_metadata(file, blob, context.store)
    return {file.filename: path for file, path in blobs.items()}
