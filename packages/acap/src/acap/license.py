"""The app's license key.

    if not acap.license.is_valid("my_app", 12345, "1.2"):
        print("no license:", acap.license.state("my_app", 12345, "1.2", "/usr/local/packages/my_app/my_app.key"))

On a desk, ACAP_LICENSES names a folder with keys as text, such as my_app.key:

    application_id = 12345
    min_version = 1.0
    max_version = 2.99
    expires = 2027-12-31
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from .errors import LicenseRefused
from .on_desk import desk_path

__all__ = ["STATES", "expires", "is_valid", "require", "state"]

STATES = (
    "validation-error", "valid", "invalid-version", "expired-date", "application-id-mismatch", "device-id-mismatch",
    "missing-fields", "invalid-application-id", "invalid-min-major", "invalid-min-minor", "invalid-max-major",
    "invalid-max-minor", "key-decoding-fails", "invalid-signature",
)  # fmt: skip
"""What `state` returns."""


class _Asked(NamedTuple):
    app: bytes
    app_id: int
    major: int
    minor: int


def is_valid(app: str, app_id: int, version: str) -> bool:
    """Return whether the camera has a valid license key for the app.

    *app*: its name, *app_id*: the number that the vendor gave it, *version*: "1.2". Raises LibraryMissing.
    """
    return bool(_camera().verify(*_asked(app, app_id, version)))


def require(app: str, app_id: int, version: str) -> None:
    """Raise LicenseRefused if the camera has no valid license key for the app. The arguments are as in `is_valid`."""
    if not is_valid(app, app_id, version):
        raise LicenseRefused(
            f"this camera has no valid license key for {app} {version} (application {app_id})",
            hint="install one on the camera's page for apps",
            domain="licensekey",
        )


def state(app: str, app_id: int, version: str, path: str | os.PathLike[str]) -> str:
    """Return how the license key in the file *path* is: one of `STATES`. The other arguments are as in `is_valid`."""
    number = _camera().state(*_asked(app, app_id, version), os.fsencode(path))
    return STATES[number] if 0 <= number < len(STATES) else f"state {number}"


def expires(app: str, path: str | os.PathLike[str]) -> str | None:
    """Return the last day of the license key in the file *path*, "2027-12-31"; None if it has none, or is none."""
    day: str | None = _camera().expires(_name(app), os.fsencode(path))
    return day


def _asked(app: str, app_id: int, version: str) -> _Asked:
    major, _, minor = str(version).partition(".")
    if not (major.isdecimal() and (minor or "0").split(".")[0].isdecimal()):
        raise ValueError(f'a version is two numbers, as "1.2", not {version!r}')
    return _Asked(_name(app), app_id, int(major), int((minor or "0").split(".")[0]))


def _name(app: str) -> bytes:
    if not app or "/" in app or "\0" in app:
        raise ValueError(f"{app!r} is no name of an app")
    return app.encode()


def _camera() -> Any:
    if (folder := desk_path("ACAP_LICENSES")) is not None:
        from .desk.license import Keys

        return Keys(folder)
    from . import _license

    return _license
