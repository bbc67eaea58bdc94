"""The commands for a camera's web server, from `device add` to `logs`, with Basic over TLS."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from tests.schemas import check_output
from tests.unit.vapix.conftest import digest_of
from tests.unit.vapix.fake_camera import App, FakeCamera
from tests.unit.vapix.packages import make_package, manifest

from incamera.__main__ import main

pytestmark = pytest.mark.starts_processes  # the password command
PASSWORD = "pa:ss w\u00f6rd"


@pytest.fixture
def password_command(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(f"{PASSWORD}\nnot this\n", "utf-8")
    return f"{shlex.quote(sys.executable)} -c 'print(open(\"{tmp_path / 'secret'}\").read())'"


@pytest.fixture
def gate(
    camera: FakeCamera, certificate: Path, password_command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> FakeCamera:
    """A camera that was added as `gate`."""
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("INCAMERA_DEVICE", raising=False)
    monkeypatch.chdir(tmp_path)
    words = ["--accept-key", digest_of(certificate), "--password-command", password_command]
    assert main(["device", "add", "gate", camera.url, *words, "-q"]) == 0
    return camera


def run(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    """Return what the command prints; compare its JSON with its schema."""
    capsys.readouterr()
    assert main(arguments) == code
    shown = capsys.readouterr()
    assert PASSWORD not in shown.out + shown.err
    if code == 0:
        check_output(arguments, shown.out)
    return shown.out if code == 0 else shown.err


def test_package_is_installed_started_and_its_log_shown(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = make_package(tmp_path / "own.eap")
    done = json.loads(run(["install", str(package), "--device", "gate", "--json"], capsys))
    assert (done["app"], done["version"], done["replaced_version"], done["running"]) == (
        "own_app",
        "1.0.0",
        None,
        False,
    )
    assert gate.uploads == [package.read_bytes()]
    app = ["--device", "gate", "--app", "own_app"]
    assert json.loads(run(["start", *app, "--json"], capsys))["was_running"] is False
    assert json.loads(run(["start", *app, "--json"], capsys))["was_running"] is True
    assert run(["logs", *app], capsys).endswith("own_app[140843]: hello\n")
    entries = json.loads(run(["logs", *app, "--json"], capsys))["entries"]
    assert [(entry["source"], entry["text"]) for entry in entries] == [("own_app", "hello")]
    run(["restart", *app], capsys)
    assert json.loads(run(["stop", *app, "--json"], capsys))["was_running"] is True
    assert json.loads(run(["status", "--device", "gate", "--json"], capsys))["apps"][0]["state"] == "Stopped"
    assert json.loads(run(["uninstall", *app, "--yes", "--json"], capsys))["removed"] is True
    assert gate.apps == {}


def test_password_is_in_no_file_of_the_store(gate: FakeCamera, tmp_path: Path) -> None:
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes()


def test_unsigned_package_needs_the_switch_which_is_turned_back_on_wish(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(make_package(tmp_path / "own.eap"))
    gate.allow_unsigned = False
    error = run(["install", package, "--device", "gate"], capsys, 4)
    assert "takes signed packages only" in error
    assert "--allow-unsigned" in error
    assert gate.uploads == []
    install = ["install", package, "--device", "gate", "--allow-unsigned", "--json"]
    assert json.loads(run([*install, "--set-back"], capsys))["unsigned_turned_on"] is False
    assert gate.allow_unsigned is False
    assert json.loads(run(install, capsys))["unsigned_turned_on"] is True
    assert gate.allow_unsigned is True


def test_installation_that_takes_long_in_the_camera_is_told_apart_from_the_sending(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.upload_seconds = 1.2
    main(["install", str(make_package(tmp_path / "own.eap")), "--device", "gate"])
    assert re.search(r"install +.* installed in \d+\.\d s\n", capsys.readouterr().err)


def test_refused_upload_is_explained_with_the_log_and_the_switch_set_back(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.allow_unsigned, gate.upload_result = False, "Error: 27"
    gate.log.append("2026-05-01T10:00:00.000+00:00 axis [ ERR     ] acapctl[7]: Vendor ID \x1b[2J does not match")
    error = run(["install", str(make_package(tmp_path / "own.eap")), "--device", "gate", "--allow-unsigned"], capsys, 4)
    assert "another vendor ID (error 27)" in error
    assert "| 2026-05-01T10:00:00.000+00:00 ERR     acapctl[7]: Vendor ID \\x1b[2J does not match" in error
    assert gate.allow_unsigned is False


@pytest.mark.parametrize(
    ("document", "text", "code"),
    [
        (manifest(architecture="aarch64"), "for aarch64, and the camera is armv7hf", 5),
        (manifest("OWN_other"), "differs from OWN_other only in small and capital letters", 14),
        (manifest(runMode="always"), "acapPackageConf.setup.runMode", 29),
    ],
)
def test_camera_refuses_what_is_expected_and_then_not_sent(
    document: dict[str, object],
    text: str,
    code: int,
    gate: FakeCamera,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gate.apps["own_Other"] = App("own_Other")
    package = make_package(tmp_path / "own.eap", document)
    assert text in run(["install", str(package), "--device", "gate"], capsys, 4)
    assert gate.uploads == []
    refused = run(["install", str(package), "--device", "gate", "--no-check"], capsys, 4)
    assert f"(error {code})" in refused
    assert len(gate.uploads) == 1


def test_older_version_is_installed_with_a_warning(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate.apps["own_app"] = App("own_app", "1.10.0", "Running")
    assert main(["install", str(make_package(tmp_path / "own.eap")), "--device", "gate"]) == 0
    shown = capsys.readouterr()
    assert "own_app 1.10.0 is installed, and this is 1.0.0" in shown.err
    assert "in place of 1.10.0" in shown.out
    assert "it is running" in shown.err


def test_parameters_are_listed_and_set(gate: FakeCamera, capsys: pytest.CaptureFixture[str]) -> None:
    gate.apps["own_app"] = App("own_app")
    app = ["--device", "gate", "--app", "own_app"]
    assert json.loads(run(["params", *app, "--json"], capsys))["params"] == []
    gate.params = {"root.Own_app.Level": "3", "root.own_app.Level": "3", "root.own_app.Text": "a=b"}
    listed = json.loads(run(["params", *app, "--json"], capsys))["params"]
    assert listed == [{"name": "Level", "value": "3"}, {"name": "Text", "value": "a=b"}]
    run(["params", *app, "Level=4&x=1"], capsys)
    assert gate.params["root.own_app.Level"] == "4&x=1"
    assert "has no parameter Levle" in run(["params", *app, "Levle=4"], capsys, 2)


def test_camera_with_a_web_server_alone_is_described_and_has_no_ssh(
    gate: FakeCamera, capsys: pytest.CaptureFixture[str]
) -> None:
    info = json.loads(run(["device", "info", "gate", "--json"], capsys))
    assert (info["product"], info["ready"], info["takes_unsigned"], info["apps"]) == ("P3245-LVE", True, True, [])
    assert {"id": "ssh", "version": "1.0", "status": "official"} in info["apis"]
    assert "AXIS OS 11.11.192, armv7hf" in run(["device", "info", "gate"], capsys)
    (listed,) = json.loads(run(["device", "list", "--json"], capsys))["devices"]
    assert (listed["name"], listed["route"], listed["user"]) == ("gate", "web", "root")
    assert "this command needs SSH" in run(["ps", "--device", "gate"], capsys, 2)


def test_logs_and_stop_mean_the_installed_app_where_there_is_no_ssh_or_an_app_is_named(
    gate: FakeCamera, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "own-app"\nversion = "1"\n')
    gate.apps["own_app"] = App("own_app", state="Running")
    gate.log = ["2026-05-01T10:00:01.000+00:00 axis [ INFO    ] own_app[7]: hello"]
    assert "hello" in run(["logs", "--device", "gate"], capsys)
    monkeypatch.setenv("INCAMERA_DEVICE", "gate")
    assert "hello" in run(["logs"], capsys)
    monkeypatch.delenv("INCAMERA_DEVICE")
    assert json.loads(run(["stop", "--device", "gate", "--json"], capsys)) == {
        "schema": 1,
        "device": "gate",
        "app": "own_app",
        "was_running": True,
    }
    with (tmp_path / "store" / "devices" / "devices.toml").open("a") as stream:
        stream.write('\n[gate.ssh]\nhost = "192.0.2.1"\n')
    assert "no log of this project" in run(["logs", "--device", "gate"], capsys, 2)
    assert "hello" in run(["logs", "--device", "gate", "--app", "own_app"], capsys)
