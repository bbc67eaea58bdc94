"""License keys, over the stand-in of the camera's library and on a desk."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.acap_video.conftest import NEWEST, STAND_INS, built_module, fresh_settings, video

import acap

__all__ = ["built_module", "fresh_settings", "video"]

KEY = {
    "application_id": "12345", "min_version": "1.0", "max_version": "2.99", "expires": "2999-12-31",
    "signature": "incamera",
}  # fmt: skip
Install = Callable[..., Path]


@pytest.fixture(params=["camera", "desk"])
def install(request: pytest.FixtureRequest, video: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a key for the app `counter`: install(expires="2001-01-01"), where None leaves a field out."""
    if request.param == "desk":
        monkeypatch.setenv("ACAP_LICENSES", str(tmp_path))
        folder = tmp_path
    else:
        ctypes.CDLL(str(STAND_INS / NEWEST / "liblicensekey.so.1"))
        monkeypatch.delenv("ACAP_LICENSES", raising=False)
        folder = tmp_path
        monkeypatch.setenv("INCAMERA_LICENSE_KEYS", str(folder))

    def write(**fields: str | None) -> Path:
        folder.mkdir(exist_ok=True)
        lines = [f"{name} = {value}\n" for name, value in (KEY | fields).items() if value is not None]
        path = folder / "counter.key"
        path.write_text("".join(lines), "utf-8")
        return path

    return write


def test_installed_key_is_valid_for_its_versions(install: Install) -> None:
    path = install()
    assert acap.license.is_valid("counter", 12345, "2.99")
    acap.license.require("counter", 12345, "1.0")
    assert acap.license.expires("counter", path) == "2999-12-31"
    assert acap.license.expires("counter", install(expires=None)) is None
    assert acap.license.is_valid("counter", 12345, "1")
    assert not acap.license.is_valid("counter", 12345, "3.0.1")


def test_app_without_a_key_is_refused(install: Install) -> None:
    assert not acap.license.is_valid("counter", 12345, "1.0")
    with pytest.raises(PermissionError, match=r"no valid license key for counter 1\.0") as caught:
        acap.license.require("counter", 12345, "1.0")
    assert isinstance(caught.value, acap.LicenseRefused)
    assert acap.license.state("counter", 12345, "1.0", "/nowhere") == "validation-error"
    assert acap.license.expires("counter", "/nowhere") is None


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "valid"),
        ({"expires": "2001-01-01"}, "expired-date"),
        ({"max_version": "1.1"}, "invalid-version"),
        ({"application_id": "7"}, "application-id-mismatch"),
        ({"application_id": "x7"}, "invalid-application-id"),
        ({"min_version": None}, "missing-fields"),
        ({"min_version": "one"}, "invalid-min-major"),
        ({"max_version": "two"}, "invalid-max-major"),
        (dict.fromkeys(KEY), "key-decoding-fails"),
    ],
)
def test_key_that_is_not_valid_tells_why(install: Install, fields: dict[str, str | None], state: str) -> None:
    assert acap.license.state("counter", 12345, "1.2", install(**fields)) == state


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"signature": "forged"}, "invalid-signature"),
        ({"device_id": "ACCC8E123456"}, "device-id-mismatch"),
        ({"device_id": "ACCC8E000000"}, "valid"),
    ],
)
@pytest.mark.parametrize("install", ["camera"], indirect=True)
def test_key_for_another_camera_is_not_valid(install: Install, fields: dict[str, str], state: str) -> None:
    assert acap.license.state("counter", 12345, "1.2", install(**fields)) == state


@pytest.mark.parametrize("version", ["", "one", "1.x", "-1.0"])
def test_version_that_is_none_is_refused(install: Install, version: str) -> None:
    with pytest.raises(ValueError, match="a version is two numbers"):
        acap.license.is_valid("counter", 12345, version)


def test_name_with_a_slash_is_refused(install: Install) -> None:
    with pytest.raises(ValueError, match="is no name of an app"):
        acap.license.is_valid("../counter", 12345, "1.0")
