"""Trees of unpacked Debian packages in the store, from which tools run on this host without being installed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from incamera.debian.closure import load_closure_rules, resolve_closure
from incamera.debian.fetch import fetch_debs
from incamera.debian.index import load_indexes
from incamera.debian.kept_release import MAX_AGE_SECONDS, Releases, forget_releases
from incamera.debian.rejected import forget_rejected
from incamera.debian.unpack import unpack_deb
from incamera.targets.suite import Suite, require_suite

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.debian.index import Deb, PackageIndex
    from incamera.targets.packages import DebSet

# Increase it when trees made from the same packages change.
_FORMAT = 1

# Manuals and translations, which no tool needs to run.
_DOCUMENTATION = tuple(f"usr/share/{name}/" for name in ("bug", "doc", "info", "lintian", "locale", "man"))

_index_lock = Lock()
_indexes: dict[tuple[str, str, str], PackageIndex] = {}
_releases = Releases(MAX_AGE_SECONDS)


def load_index(context: Context, suite: Suite, architecture: str) -> PackageIndex:
    """Return the package index of *suite* for a Debian *architecture*; each is loaded once in a process."""
    key = (str(context.mirror), suite.name, architecture)
    if key not in _indexes:
        index = load_indexes(suite, architecture, context.mirror, context.http, context.store, releases=_releases)
        with _index_lock:
            _indexes[key] = index
    return _indexes[key]


def ask_mirrors_again(context: Context) -> None:
    """Let `load_index` ask for the newest release files, and fetch the indexes that it has rejected before, too."""
    forget_releases(context.store)
    forget_rejected(context.store)


def ensure_deb_tree(
    context: Context,
    purpose: str,
    debs: DebSet,
    *,
    step: Step | None = None,
    select: Callable[[str], str | None] = lambda path: path,
    finish: Callable[[Path], None] = lambda tree: None,
) -> Path:
    """Return the tree of *debs* and the packages that they need; if the store does not have it, make it.

    *purpose* names the tree ("qemu"). *select* returns the path of a file in the tree, None to leave it out. *finish*
    is called with the new tree. Both must do the same for every tree of that *purpose*: they are not part of its key.
    The versions chosen the first time stay until the store is cleaned, so no network is needed again.

    Raises FetchError, ResolveError.
    """
    inputs = [_FORMAT, purpose, sorted(debs.roots), sorted(debs.leave_out), debs.suite, debs.architecture]
    key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]
    if found := context.store.find_tree("tools", key):
        return found
    index = load_index(context, require_suite(debs.suite), debs.architecture)
    rules = load_closure_rules().extended(excluded=dict.fromkeys(debs.leave_out, "not wanted in this tree"))
    closure = resolve_closure(index, debs.roots, rules)

    def select_file(path: str) -> str | None:
        return None if path.startswith(_DOCUMENTATION) else select(path)

    def build(tree: Path) -> None:
        unpack_debs(context, closure, tree, select_file, step=step)
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
    """Download *debs*, and unpack each into *tree* as soon as it has arrived.

    *select* returns the path of a file in the tree, None to leave it out. *on_files* is called with each deb and the
    paths of its files. Raises FetchError.
    """

    def unpack(deb: Deb, path: Path) -> None:
        with context.store.reading_blob(path, name=str(deb)):
            files = unpack_deb(path, tree, select)
        if on_files is not None:
            on_files(deb, files)

    if step is None:
        fetch_debs(debs, context.mirror, context.http, context.store, on_ready=unpack)
        return
    missing = sum(deb.size for deb in debs if context.store.find_blob(deb.sha256) is None)
    with _Shown(step, missing, sum(deb.size for deb in debs)) as shown:

        def unpack_and_tell(deb: Deb, path: Path) -> None:
            unpack(deb, path)
            shown.on_unpacked(deb.size)

        fetch_debs(
            debs,
            context.mirror,
            context.http,
            context.store,
            progress=shown.on_fetched,
            on_ready=unpack_and_tell,
            on_all_fetched=shown.on_all_fetched,
        )


class _Shown:
    """Shows in *step* how many of *missing* bytes have arrived, and from then on how many of *total* are unpacked."""

    def __init__(self, step: Step, missing: int, total: int) -> None:
        self._step = step
        self._missing = missing
        self._total = total
        self._phase = ExitStack()
        self._unpacked = 0
        self._advance: Callable[[int], None] | None = None
        self._lock = Lock()  # several threads unpack
        self.on_fetched: Callable[[int], None] = lambda _: None

    def __enter__(self) -> Self:
        if self._missing:
            phase = self._step.phase("downloading", "downloaded", self._missing)
            self.on_fetched = self._phase.enter_context(phase)
        else:
            self.on_all_fetched()
        return self

    def __exit__(self, *details: object) -> None:
        self._phase.close()

    def on_all_fetched(self) -> None:
        with self._lock:
            if self._advance is None:
                self._phase.close()
                phase = self._step.phase("unpacking", "unpacked", self._total)
                self._advance = self._phase.enter_context(phase)
                self._advance(self._unpacked)

    def on_unpacked(self, count: int) -> None:
        with self._lock:
            self._unpacked += count
            if self._advance is not None:
                self._advance(count)
