"""`incamera share` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incamera.__main__ import main
from incamera.share.registry import load_shares, save_share
from incamera.share.values import Protocol, Share


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    """The folder of a share of the user's own, named `nas`, whose server is down."""
    (tmp_path / "data").mkdir()
    (tmp_path / "password").write_text("geheim\n")
    words = ["share", "add", "nas", "--folder", str(tmp_path / "data"), "--address", "127.0.0.1", "--port", "9"]
    assert main([*words, "--user", "me", "--password-file", str(tmp_path / "password"), "-q"]) == 0
    return tmp_path / "data"


def test_shares_are_listed_without_their_passwords(nas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["share", "list", "--json"]) == 0
    text = capsys.readouterr().out
    assert "geheim" not in text
    assert json.loads(text) == {
        "schema": 1,
        "shares": [
            {
                "name": "nas",
                "url": "smb://127.0.0.1:9/nas",
                "folder": str(nas),
                "protocol": "smb",
                "address": "127.0.0.1",
                "port": 9,
                "user": "me",
                "served": False,
                "answers": False,
            }
        ],
    }


def test_removing_a_share_keeps_its_folder(nas: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nas / "file").write_text("mine")
    assert main(["share", "remove", "nas"]) == 0
    assert (nas / "file").read_text() == "mine"
    assert main(["share", "list"]) == 0
    assert "no shares;" in capsys.readouterr().out
    assert main(["share", "remove", "nas"]) == 2


def test_missing_files_and_logins_are_reported_before_the_camera_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["share", "add", "nas", "--folder", str(tmp_path)]) == 2
    assert "--address" in capsys.readouterr().err
    words = ["share", "add", "nas", "--folder", str(tmp_path), "--address", "192.0.2.5"]
    assert main([*words, "--password-file", str(tmp_path / "none")]) == 2
    assert main([*words, "--user", "a,b"]) == 2
    assert main(["share", "attach", "--api", "192.0.2.7"]) == 2
    assert main(["share", "attach", "--api", "http://192.0.2.7"]) == 3
    assert "INCAMERA_API_PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["add", "nas", "--folder", "missing", "--address", "192.0.2.5"], "there is no folder"),
        (["add", "nas", "--folder", ".", "--address", "192.0.2.5", "--port", "80000"], "80000 is not a port"),
        (["add", "nas", "--address", "192.0.2.5"], "needs the --folder"),
        (["add", "nas", "--folder", ".", "--address", "192.0.2.5", "--password-file", "missing"], "No such file"),
        (["serve", ".", "--port", "0"], "0 is not a port"),
        (["serve", "missing"], "there is no folder"),
        (["serve", ".", "--address", "192.0.2.1"], "no such address"),
    ],
)
def test_an_invalid_share_is_refused_and_not_saved(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("incamera.workflows.share.ensure_deb_tree", lambda *_, **__: tmp_path)
    assert main(["share", *words, "-q"]) in (2, 3)
    assert message in capsys.readouterr().err
    assert main(["share", "list"]) == 0
    assert "no shares;" in capsys.readouterr().out


def test_share_that_this_computer_serves_is_not_replaced_by_one_of_another_server(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share = Share(
        name="lab", folder=tmp_path, protocol=Protocol.smb, address="127.0.0.1", port=4450, path="lab", served=True
    )
    save_share(store / "shares", share)
    assert main(["share", "add", "lab", "--folder", str(tmp_path), "--address", "192.0.2.5"]) == 2
    assert "`incamera share serve` serves" in capsys.readouterr().err
    assert load_shares(store / "shares") == {"lab": share}


def test_mistyped_folder_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "footage").mkdir()
    assert main(["share", "serve", str(tmp_path / "fotage"), "-q"]) == 2
    assert 'did you mean "footage"? Or make it: `mkdir -p ' in capsys.readouterr().err
    assert main(["share", "serve", str(tmp_path / "no" / "where"), "-q"]) == 2
    assert "similar" not in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["share", "serve", str(tmp_path / "file"), "-q"]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"file", "footage", "store"}


@pytest.mark.parametrize("action", ["attach", "detach"])
def test_camera_is_the_one_that_the_project_names(
    action: str, nas: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "app.py").touch()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "door"\n[tool.incamera]\ndevice = "frontdoor"\n')
    monkeypatch.delenv("INCAMERA_DEVICE", raising=False)
    monkeypatch.chdir(nas)
    assert main(["share", action]) == 2
    assert 'there is no device "frontdoor"' in capsys.readouterr().err


def test_nfs_share_takes_no_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["share", "add", "nas", "--folder", str(tmp_path), "--address", "127.0.0.1", "--protocol", "nfs"]
    assert main([*words, "--user", "me"]) == 2
    assert "NFS has neither users nor passwords" in capsys.readouterr().err
    assert main(words) == 0


def test_user_and_password_go_with_a_change_to_nfs(nas: Path, store: Path) -> None:
    assert main(["share", "add", "nas", "--protocol", "nfs"]) == 0
    share = load_shares(store / "shares")["nas"]
    assert (share.user, share.password) == (None, "")


def test_url_is_no_address_of_a_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["share", "add", "nas", "--folder", str(tmp_path), "--address", "smb://192.0.2.5/data"]
    assert main(words) == 2
    assert '"smb://192.0.2.5/data" is not an address' in capsys.readouterr().err


def test_only_shares_are_removed(nas: Path, store: Path) -> None:
    (store / "devices").mkdir(exist_ok=True)
    devices = store / "devices/devices.toml"
    devices.write_text("")
    assert main(["share", "remove", "../devices/devices"]) == 2
    assert devices.exists()
    assert main(["share", "remove", "nas"]) == 0
    assert load_shares(store / "shares") == {}
