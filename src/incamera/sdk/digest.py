"""A digest of what is known of the camera's libraries, for cache keys. An idle build needs it, so it parses nothing."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"
# Increase this when equal tables give other files.
_FORMAT = 1


@cache
def sdk_digest() -> str:
    """Return a hash of all tables. Read once in a process."""
    digest = hashlib.sha256(str(_FORMAT).encode())
    for path in sorted(DATA.glob("*.toml")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
