"""Host tools out of Debian packages: fetched once into the store, run from there, never installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from incamera.targets.suite import Suite, require_suite

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.debian.index import Deb, PackageIndex
    from incamera.targets.packages import DebSet

# Raise it when trees made from the same packages change.
_FORMAT = 1

# What tools don't need of their packages: manuals, translations.
_WORDS = tuple(f"usr/share/{name}/" for name in ("bug", "doc", "info", "lintian", "locale", "man"))

_index_lock = Lock()
_indexes: dict[tuple[str, str, str], PackageIndex] = {}


def load_index(context: Context, suite: Suite, architecture: str) -> PackageIndex:
    """Return the suite's package index; asked for once in a process, however many steps want it."""
    from incamera.debian.index import load_indexes

    key = (str(context.mirror), suite.name, architecture)
    if key not in _indexes:
        index = load_indexes(suite, architecture, context.mirror, context.http, context.store)
        with _index_lock:
            _indexes[key] = index
    return _indexes[key]


def ensure_deb_tree(
    context: Context,
    purpose: str,
    debs: DebSet,
    *,
    step: Step | None = None,
    select: Callable[[str], str | None] = lambda path: path,
    finish: Callable[[Path], None] = lambda tree: None,
) -> Path:
    """Return a tree of *debs*, unpacked; *purpose* is what it's for ("qemu").

    *select* chooses among the files, and *finish* completes the new tree: the same for each tree of that *purpose*.
    What was resolved the first time stays until the store is cleaned: no network is needed again.
    """
    wish = [_FORMAT, purpose, sorted(debs.roots), sorted(debs.leave_out), debs.suite, debs.architecture]
    key = hashlib.sha256(json.dumps(wish).encode()).hexdigest()[:32]
    if found := context.store.find_tree("tools", key):
        return found

    from incamera.debian.closure import load_closure_rules, resolve_closure

    index = load_index(context, require_suite(debs.suite), debs.architecture)
    rules = load_closure_rules().extended(excluded=dict.fromkeys(debs.leave_out, "not wanted in this tree"))
    closure = resolve_closure(index, debs.roots, rules)

    def build(tree: Path) -> None:
        unpack_debs(context, closure, tree, lambda path: None if path.startswith(_WORDS) else select(path), step=step)
        finish(tree)

    return context.store.ensure_tree("tools", key, build)[0]


def unpack_debs(
    context: Context,
    debs: Sequence[Deb],
    tree: Path,
    select: Callable[[str], str | None],
    *,
    step: Step | None = None,
    on_files: Callable[[Deb, Sequence[str]], None] | None = None,
) -> None:
    """Fetch *debs* and unpack each as soon as it is there. *on_files* is told which files each brought."""
    from incamera.debian.fetch import fetch_debs
    from incamera.debian.unpack import unpack_deb

    def unpack(deb: Deb, path: Path) -> None:
        files = unpack_deb(path, tree, select)
        if on_files is not None:
            on_files(deb, files)

    total = sum(deb.size for deb in debs if context.store.find_blob(deb.sha256) is None)
    if step is None:
        fetch_debs(debs, context.mirror, context.http, context.store, on_ready=unpack)
        return
    with step.progress(total) as progress:
        fetch_debs(debs, context.mirror, context.http, context.store, progress=progress, on_ready=unpack)
