"""Reading anybody's package, and predicting what a camera will answer to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.vapix.packages import make_package, manifest

from incamera.eap.prediction import CameraState, predict
from incamera.eap.summary import read_summary
from incamera.errors import ConfigError

CAMERA = CameraState(version="12.10.68", architecture="armv7hf", takes_unsigned=True)
CONF = 'PACKAGENAME="Own"\nAPPTYPE="mips"\nAPPNAME="old_app"\nVENDOR="me"\nAPPMAJORVERSION="2"\nAPPMINORVERSION="3"\n'


def test_package_is_read(tmp_path: Path) -> None:
    found = read_summary(make_package(tmp_path / "own.eap"))
    assert (found.name, found.version, found.architecture, found.vendor_id) == (
        *("own_app", "1.0.0", "armv7hf", "1234567890"),
    )
    assert found.size == (tmp_path / "own.eap").stat().st_size
    assert not found.is_signed
    assert read_summary(make_package(tmp_path / "own.eap", signed=True)).is_signed


def test_package_of_the_older_kind_is_read(tmp_path: Path) -> None:
    found = read_summary(make_package(tmp_path / "old.eap", False, conf=CONF))
    assert (found.name, found.version, found.architecture, found.manifest) == ("old_app", "2.3.0", "mips", None)
    new = CameraState(version="13.0.33", architecture="mips")
    assert [verdict.code for verdict in predict(found, new)] == [29]


@pytest.mark.parametrize(
    ("document", "conf"),
    [([], ""), ({"acapPackageConf": 1}, ""), (manifest("../x"), ""), (False, ""), (False, "APPNAME=")],
)
def test_package_that_names_no_app_is_refused(document: Any, conf: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_summary(make_package(tmp_path / "own.eap", document, conf=conf))


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"\x1f\x8b", bytes(1000), b"\x1f\x8b" + bytes(1000)])
def test_what_is_no_package_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "own.eap").write_bytes(data)
    with pytest.raises(ConfigError, match="is not a package"):
        read_summary(tmp_path / "own.eap")


@pytest.mark.parametrize(
    ("document", "camera", "code"),
    [
        (manifest(), CAMERA, None),
        (manifest(architecture="all"), CAMERA, None),
        (manifest(), CameraState(version="12.10.68", architecture="aarch64"), 5),
        (manifest(), CameraState(version="12.10.68", architecture="armv7hf", takes_unsigned=False), 2),
        (manifest(), CameraState(version="12.10.68", architecture="armv7hf", installed={"OWN_APP": "1"}), 14),
        (manifest(runMode="sometimes"), CAMERA, 29),
        (manifest(runMode="respawnOnFailure"), CameraState(version="11.11.192", architecture="armv7hf"), 29),
        # The range is looked at from 12.10 on, by the build.
        (manifest(compatibleOsVersions=[{"min": "12.11", "max": "13"}]), CAMERA, 5),
        (
            manifest(compatibleOsVersions=[{"min": "12.11", "max": "13"}]),
            CameraState(version="12.9.57", architecture="armv7hf"),
            None,
        ),
        (manifest(compatibleOsVersions=[{"min": "12.10.68", "max": "12"}]), CAMERA, None),
        ({**manifest(), "schemaVersion": "1.7.0"}, CAMERA, 29),
        # What is not known of an AXIS OS is not predicted.
        (manifest(), CameraState(version="10.12.323", architecture="armv7hf"), None),
    ],
)
def test_answer_of_the_camera_is_predicted(
    document: dict[str, Any], camera: CameraState, code: int | None, tmp_path: Path
) -> None:
    verdicts = predict(read_summary(make_package(tmp_path / "own.eap", document)), camera)
    assert [verdict.code for verdict in verdicts if verdict.code is not None] == ([code] if code else [])


def test_signed_package_needs_no_switch_and_a_downgrade_is_a_note(tmp_path: Path) -> None:
    camera = CameraState(
        version="12.10.68", architecture="armv7hf", takes_unsigned=False, installed={"own_app": "1.10.0"}
    )
    (verdict,) = predict(read_summary(make_package(tmp_path / "own.eap", signed=True)), camera)
    assert verdict.code is None
    assert "1.10.0 is installed, and this is 1.0.0" in verdict.text
