"""Refuse a release file that is older than one that the same mirror has sent before.

It is correctly signed, and the main suites' files are valid for ever: with an old one, a mirror could hide security
updates. So the store keeps the newest date of each suite and mirror. That is never cleaned.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import write_cache
from incamera.errors import IntegrityError, StoreError

if TYPE_CHECKING:
    from incamera.debian.release import Release
    from incamera.store import Store


def refuse_older(release: Release, base: str, suite: str, store: Store) -> None:
    """Raise IntegrityError when the mirror *base* has sent a newer release file of *suite*; else remember this one."""
    name = f"{suite}-{hashlib.sha256(base.encode()).hexdigest()[:16]}"
    path = store.root / "releases" / f"{name}.json"
    newest = _load_date(path)
    if newest is not None and release.date < newest:
        raise IntegrityError(
            f"{base} has sent a release file of {suite} from {_shown(release.date)}, but before that a newer one, from "
            f"{_shown(newest)}",
            hint="the mirror, or a proxy on the way, hides updates, or it has several servers that are not equally up "
            "to date: try again later, or set INCAMERA_DEBIAN_MIRROR (and INCAMERA_DEBIAN_SECURITY_MIRROR) to another "
            "mirror. For a snapshot of the past, set INCAMERA_DEBIAN_ALLOW_EXPIRED=1",
        )
    if newest is None or release.date > newest:
        # Another process may have learnt of a still newer one. In a read-only store, neither is kept.
        with suppress(StoreError), store.lock(f"release-{name}"):
            newest = _load_date(path)
            if newest is None or release.date > newest:
                write_cache(path, json.dumps({"mirror": base, "date": release.date.isoformat()}).encode() + b"\n")


def _load_date(path: Path) -> datetime | None:
    """Return the date in the file *path*; None when there is none, or it is damaged."""
    try:
        date = datetime.fromisoformat(json.loads(path.read_bytes())["date"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return date if date.tzinfo else None


def _shown(date: datetime) -> str:
    return f"{date:%Y-%m-%d %H:%M} UTC"
