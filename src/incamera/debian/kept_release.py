"""Keep what a release file said for some minutes, so that not every command asks the mirror again.

It was checked when it came, and its date is checked again. As with the pages of package indexes, news of the last ten
minutes may be missed; `incamera lock --upgrade` asks again.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from incamera.debian.release import IndexFile, Release
from incamera.digest import Sha256
from incamera.disk import remove_tree, write_cache

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.store import Store

# As long as PyPI's pages may be used, and Debian's own mirrors follow each other within a quarter of an hour.
MAX_AGE_SECONDS = 600
_PREFIX = "main/binary-"


@dataclass(frozen=True, slots=True)
class Releases:
    """The release files that a process has *fetched*, by URL and rules, and how old one of the store may be."""

    max_age: float = 0
    fetched: dict[str, Release] = field(default_factory=dict)


def keep_release(store: Store, base: str, suite: str, release: Release) -> None:
    """Remember *release*, which the archive at *base* has just sent for *suite*."""
    kept = {
        "asked": time.time(),
        "codename": release.codename,
        "date": release.date.isoformat(),
        "valid-until": release.valid_until and release.valid_until.isoformat(),
        "by-hash": release.by_hash,
        "files": {path: [file.sha256, file.size] for path, file in release.files.items() if path.startswith(_PREFIX)},
    }
    write_cache(_path(store, base, suite), json.dumps(kept).encode() + b"\n")


def find_release(store: Store, base: str, suite: str, *, max_age: float) -> Release | None:
    """Return what `keep_release` remembered less than *max_age* seconds ago; None when there is no such thing."""
    try:
        kept = json.loads(_path(store, base, suite).read_bytes())
        if not 0 <= time.time() - kept["asked"] < max_age:
            return None
        return Release(
            codename=kept["codename"],
            date=_date(kept["date"]),
            valid_until=_date(kept["valid-until"]) if kept["valid-until"] else None,
            by_hash=bool(kept["by-hash"]),
            files={path: IndexFile(Sha256(sha256), int(size)) for path, (sha256, size) in kept["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def forget_releases(store: Store) -> None:
    """Let every mirror be asked again."""
    folder = _folder(store)
    if folder.exists():
        with store.reporting_disk_errors():
            remove_tree(folder)


def _date(text: Any) -> datetime:
    date = datetime.fromisoformat(text)
    if date.tzinfo is None:
        raise ValueError("a date without a time zone")
    return date


def _folder(store: Store) -> Path:
    return store.root / "caches" / "debian-releases"


def _path(store: Store, base: str, suite: str) -> Path:
    # The suite may have a slash in it, and the address may have anything.
    return _folder(store) / f"{hashlib.sha256(f'{base} {suite}'.encode()).hexdigest()[:32]}.json"
