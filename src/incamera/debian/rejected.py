"""Remember which indexes a mirror could not give as its release file names them, so that they are not fetched again.

Such a mirror lacks them for days, while each lock would download the file that it has instead, and reject it.
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from incamera.disk import remove_tree, write_cache

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.debian.release import Release
    from incamera.digest import Sha256
    from incamera.store import Store

# A mirror whose release file is older than this is not in the middle of an update: mirrors update several times a day.
UPDATE_LASTS = timedelta(hours=12)
_DURING_UPDATE_SECONDS = 600
_REMEMBERED_SECONDS = 24 * 3600


def is_updating(release: Release) -> bool:
    """Whether the mirror that has *release* may still be in the middle of the update to it."""
    return datetime.now(UTC) - release.date <= UPDATE_LASTS


def remember_rejected(store: Store, base: str, sha256: Sha256, *, updating: bool) -> None:
    """Remember that the mirror *base* lacks the index with the hash *sha256*. While it is *updating*, for minutes."""
    until = time.time() + (_DURING_UPDATE_SECONDS if updating else _REMEMBERED_SECONDS)
    write_cache(_path(store, base, sha256), json.dumps({"until": until}).encode() + b"\n")


def is_rejected(store: Store, base: str, sha256: Sha256) -> bool:
    """Return whether the mirror *base* was found to lack the index with the hash *sha256*, not long ago."""
    try:
        until = float(json.loads(_path(store, base, sha256).read_bytes())["until"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return 0 <= until - time.time() <= _REMEMBERED_SECONDS


def forget_rejected(store: Store) -> None:
    """Let every mirror be asked again."""
    folder = _folder(store)
    if folder.exists():
        with store.reporting_disk_errors():
            remove_tree(folder)


def _folder(store: Store) -> Path:
    return store.root / "caches" / "debian-rejected"


def _path(store: Store, base: str, sha256: Sha256) -> Path:
    return _folder(store) / f"{hashlib.sha256(base.encode()).hexdigest()[:16]}-{sha256}.json"
