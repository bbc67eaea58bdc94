"""Starting a file server: its address, its folders, its settings."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from incamera.context import Context
from incamera.errors import BuildError, DeviceError, StoreError, UsageError
from incamera.share.registry import load_shares, save_share, shares_folder
from incamera.share.server import (
    ServerPlan,
    is_reachable,
    plan_program,
    require_free_port,
    require_writable,
    serving,
)
from incamera.share.settings import ShareSettings, plan_served_share
from incamera.share.values import Protocol, Share
from incamera.store import Store
from incamera.targets.host import Host
from incamera.workflows.share import add_share

HOST = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld.so.2")
# A server that listens until its standard input is closed.
LISTENS = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); sys.stdin.read()"


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(autouse=True)
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def share_in(folder: Path, port: int) -> Share:
    return Share(
        name="lab", folder=folder, protocol=Protocol.smb, address="127.0.0.1", port=port, path="lab", user="camera"
    )


def plan(port: int, script: str = LISTENS) -> Callable[[Path], ServerPlan]:
    argv = (sys.executable, "-c", script, str(port))
    return lambda folder: ServerPlan(argv=argv, files={"inside/conf": "x"}, folders=("inside",))


def test_port_in_use_is_refused(busy: int) -> None:
    with pytest.raises(UsageError, match="another program uses it"):
        require_free_port("127.0.0.1", busy)


def test_address_of_another_computer_is_refused() -> None:
    with pytest.raises(UsageError, match="no such address"):
        require_free_port("192.0.2.1", 4450)


def test_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", Path("/proc/self")):
        with pytest.raises(StoreError, match="cannot write to"):
            require_writable(folder)
    assert require_writable(tmp_path / "new" / "folder").is_dir()


def test_tree_without_program_or_loader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no ld\.so\.2"):
        plan_program(tmp_path, HOST, "usr/sbin/smbd")
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/ld.so.2").touch()
    with pytest.raises(BuildError, match="no usr/sbin/smbd"):
        plan_program(tmp_path, HOST, "usr/sbin/smbd")


@pytest.mark.starts_processes
def test_server_runs_until_the_block_ends(tmp_path: Path, free: int) -> None:
    with serving(share_in(tmp_path, free), plan(free)) as require_alive:
        require_alive()
        assert is_reachable("127.0.0.1", free)
        (private,) = tmp_path.glob("incamera-*/share-*")
        assert (private / "inside/conf").read_text() == "x"
        assert (private / "inside/conf").stat().st_mode & 0o077 == 0
        assert (private / "folder").resolve() == tmp_path
        with pytest.raises(DeviceError, match="is being served already"), serving(share_in(tmp_path, free), plan(free)):
            pass
    assert not private.exists()
    assert not is_reachable("127.0.0.1", free)


@pytest.mark.starts_processes
def test_before_start_is_not_called_when_the_port_is_in_use(tmp_path: Path, free: int) -> None:
    started: list[str] = []
    with socket.create_server(("127.0.0.1", free)):
        with (
            pytest.raises(UsageError, match="another program uses it"),
            serving(share_in(tmp_path, free), plan(free), before_start=lambda: started.append("saved")),
        ):
            pass
        assert started == []
        assert not list(tmp_path.glob("incamera-*/share-*"))
    with serving(share_in(tmp_path, free), plan(free), before_start=lambda: started.append("saved")):
        assert started == ["saved"]


@pytest.mark.starts_processes
def test_error_has_the_output_of_a_server_that_ended(tmp_path: Path, free: int) -> None:
    with (
        pytest.raises(DeviceError, match="no such option"),
        serving(share_in(tmp_path, free), plan(free, "import sys; sys.exit('no such option')")),
    ):
        pass
    assert not list(tmp_path.glob("incamera-*/share-*"))


@pytest.mark.starts_processes
def test_folder_of_a_killed_server_is_removed(tmp_path: Path, free: int) -> None:
    with serving(share_in(tmp_path, free), plan(free)):
        (private,) = tmp_path.glob("incamera-*/share-*")
        left = private.with_name("share-of-yesterday")
        left.mkdir()
        (left / "lock").touch()
    with serving(share_in(tmp_path, free), plan(free)):
        assert not left.exists()


def test_private_folder_that_others_can_read_is_refused(tmp_path: Path, free: int) -> None:
    (tmp_path / f"incamera-{os.getuid()}").mkdir(mode=0o777)
    (tmp_path / f"incamera-{os.getuid()}").chmod(0o777)
    with pytest.raises(StoreError, match="can be read by other users"), serving(share_in(tmp_path, free), plan(free)):
        pass


# Settings from the command line, and those of the last time


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store(tmp_path / "store"), None, {})  # type: ignore[arg-type]


def test_settings_not_given_stay_as_they_were(context: Context, tmp_path: Path, free: int) -> None:
    file = tmp_path / "password"
    file.write_text("geheim\nsecond line\n")
    folder = tmp_path / "lab"
    folder.mkdir()
    first = _plan(context, "lab", ShareSettings(folder=folder, port=free, user="cam", password_file=file))
    assert (first.port, first.user, first.password) == (free, "cam", "geheim")
    save_share(shares_folder(context), first)
    assert _plan(context, "lab", ShareSettings()) == first
    assert _plan(context, "lab", ShareSettings(user="other")).port == free


def test_new_share_gets_a_folder_a_free_port_and_a_password(context: Context, tmp_path: Path) -> None:
    one = _plan(context, "lab", ShareSettings())
    save_share(shares_folder(context), one)
    other = _plan(context, "garden", ShareSettings())
    assert one.port != other.port
    assert one.folder.is_dir()
    assert one.folder != other.folder
    require_free_port("127.0.0.1", one.port)
    assert len(one.password) > 16
    assert one.password != other.password


def test_share_of_another_server_cannot_be_served(context: Context, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--folder"):
        add_share(context, "nas", ShareSettings(address="192.0.2.5"))
    nas = add_share(context, "nas", ShareSettings(folder=tmp_path, address="192.0.2.5", path="data", user="me"))
    assert (nas.url, nas.served) == ("smb://192.0.2.5/data", False)
    add_share(context, "nas", ShareSettings(port=4455))
    assert add_share(context, "nas", ShareSettings(user="you")).port == 4455  # settings not given stay as they were
    with pytest.raises(UsageError, match="share of another server"):
        _plan(context, "nas", ShareSettings())


def _plan(context: Context, name: str, settings: ShareSettings) -> Share:
    folder = shares_folder(context)
    return plan_served_share(load_shares(folder), folder / "folders", name, settings)
