"""Trim the bundle of a package to what its app can import. The answer is kept as long as the bundle is the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.build.stdlib_sources import unpack_stdlib_sources
from incamera.disk import write_cache
from incamera.eap.trim import FORMAT, Trim, parse_record, plan_trim
from incamera.errors import UsageError
from incamera.project.lockfile import find_lock
from incamera.units import format_bytes, format_count

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle

_MOST_RECORD_BYTES = 10_000_000


def read_record(path: Path) -> list[str]:
    """Return the modules that the file *path* of a recorded run names. Raises UsageError."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_RECORD_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="name the file of a recorded run") from error
    modules = parse_record(text)
    if not modules:
        raise UsageError(
            f"{path} names no modules",
            hint="it has one module a line, or what `python -X importtime` prints",
        )
    return list(dict.fromkeys(modules))


def ensure_trim(context: Context, project: Project, bundle: Bundle, recorded: Sequence[str]) -> Trim:
    """Return what stays of *bundle* in a trimmed package; the modules *recorded* do in any case. Raises FetchError."""
    inputs = [FORMAT, bundle.digest, list(recorded), list(project.keep)]
    key = hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]
    path = context.store.root / "caches" / "trims" / f"{key}.json"
    with context.reporter.step("trim") as step:
        trim = _load(path)
        if trim is None:
            lock = find_lock(project, bundle.target)
            assert lock is not None  # the bundle was made of it
            with tempfile.TemporaryDirectory(prefix="incamera-trim-") as folder:
                unpack_stdlib_sources(context, lock, Path(folder))
                trim = plan_trim(
                    bundle.path,
                    bundle.entries,
                    bundle.target,
                    Path(folder),
                    arguments=bundle.arguments,
                    recorded=recorded,
                    keep=project.keep,
                )
            write_cache(path, json.dumps(asdict(trim)).encode())
        else:
            step.cached = True
        sizes = {entry.path: entry.size for entry in bundle.entries}
        kept = sum(sizes[source] for source in trim.kept.values())
        step.note(f"{format_count(len(trim.kept), 'file')}, {format_bytes(kept)} of {format_bytes(bundle.tree_bytes)}")
    if trim.opaque:
        context.reporter.warn(
            f"{trim.opaque[0]} hides what it imports, so all modules stay in the package"
            + (f"; {len(trim.opaque) - 1} more do, too" if len(trim.opaque) > 1 else "")
        )
    return trim


def _load(path: Path) -> Trim | None:
    try:
        document = json.loads(path.read_bytes())
        return Trim(dict(document["kept"]), tuple(document["dropped"]), tuple(document["opaque"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
