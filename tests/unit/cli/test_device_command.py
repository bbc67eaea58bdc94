"""`device`, `virtual` and `cp` on the command line: names, addresses and paths that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.__main__ import main
from incamera.device.registry import add_device
from incamera.transport.device import Device, SshAddress


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    monkeypatch.delenv("INCAMERA_DEVICE", raising=False)
    return tmp_path / "store"


@pytest.mark.parametrize(
    ("typed", "error", "hint"),
    [
        (["device", "add", "root@192.0.2.1"], "is an address", "`incamera device add NAME root@192.0.2.1`"),
        (["device", "add", "axis-os-11-armv7hf", "192.0.2.1"], "is the name of a virtual camera", "another name"),
        (["device", "add", "gate", "ssh://root@192.0.2.1"], "is not an address", "USER@HOST:PORT"),
        (["device", "add", "gate", "192.0.2.1", "--accept-key", "SHA256:abc"], "is not the fingerprint", "ssh-keygen"),
        (["virtual", "start", "--name", "axis-os-10-armv7hf"], "is another profile", "start axis-os-10-armv7hf`"),
        (["virtual", "start", "--name", "axiscam"], "is a camera that you have added", "device remove axiscam`"),
        (["virtual", "stop", "--all", "axiscam"], "--all and axiscam", "leave out one of them"),
    ],
)
def test_wrong_name_is_refused_before_anything_is_done(
    typed: list[str], error: str, hint: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_device(store / "devices", Device(name="axiscam", address=SshAddress(host="192.0.2.7")))
    assert main(typed) == 2
    shown = capsys.readouterr().err
    assert error in shown.splitlines()[0]
    assert hint in shown.splitlines()[-1]


def test_copy_of_a_file_that_is_not_there_starts_no_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cp", "nosuch.csv", ":data/"]) == 2
    assert 'there is no file "nosuch.csv" here' in capsys.readouterr().err
