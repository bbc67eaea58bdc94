"""License keys on a desk: files of text, as those of the virtual camera.

application_id = 12345
min_version = 1.0
max_version = 2.99
expires = 2027-12-31
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

_VALIDATION_ERROR, _VALID, _VERSION, _EXPIRED, _OTHER_APP, _MISSING, _NOT_DECODED = 0, 1, 2, 3, 4, 6, 12
_BAD_ID, _BAD_MIN, _BAD_MAX = 7, 8, 10
_FIELDS = ("application_id", "min_version", "max_version", "expires")


class Keys:
    """What `acap._license` is for a camera."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def verify(self, app: bytes, app_id: int, major: int, minor: int) -> bool:
        return self.state(app, app_id, major, minor, self._path(app)) == _VALID

    def _path(self, app: bytes) -> bytes:
        return os.fsencode(self._folder / f"{app.decode()}.key")

    def state(self, app: bytes, app_id: int, major: int, minor: int, path: bytes) -> int:
        key = _read(path)
        if key is None:
            return _VALIDATION_ERROR
        if not key:
            return _NOT_DECODED
        if not all(key.get(field) for field in _FIELDS[:3]):
            return _MISSING
        least, most = _version(key["min_version"]), _version(key["max_version"])
        if not key["application_id"].isdecimal():
            return _BAD_ID
        if least is None or most is None:
            return _BAD_MIN if least is None else _BAD_MAX
        if int(key["application_id"]) != app_id:
            return _OTHER_APP
        if not least <= (major, minor) <= most:
            return _VERSION
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        return _EXPIRED if key.get("expires", today) < today else _VALID

    def expires(self, app: bytes, path: bytes) -> str | None:
        return (_read(path) or {}).get("expires")


def _read(path: bytes) -> dict[str, str] | None:
    """Return the fields of the key in the file *path*, or None if there is no such file."""
    try:
        text = Path(os.fsdecode(path)).read_text("utf-8", "replace")
    except OSError:
        return None
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() in _FIELDS}


def _version(text: str) -> tuple[int, int] | None:
    major, _, minor = text.partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None
