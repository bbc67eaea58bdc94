"""The server's own life: one of each share, no rights that it needs not, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import DeviceError, UsageError
from incamera.share.mounts import PLACE
from incamera.share.registry import save_share, shares_folder
from incamera.share.server import is_reachable
from incamera.share.settings import ShareSettings
from incamera.workflows.share import detach, forget_share, served

from ...waiting import PATIENCE_SECONDS
from ..cameras import SMALL_PROFILE, inside, on
from ..command import processes_that_mention
from ..paths import STORE
from .conftest import NAME, as_root, mount, private_folder, serve, serving_command

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

pytestmark = on(SMALL_PROFILE)


def test_second_server_of_a_share_is_refused(context: Context, folder: Path) -> None:
    with serve(context, folder) as share:
        with pytest.raises(DeviceError, match="is being served already"), served(context, NAME, ShareSettings()):
            pass
        assert is_reachable(*share.local_address)


def test_file_cannot_be_served_as_a_folder(context: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = ShareSettings(folder=tmp_path / "file")
    with pytest.raises(UsageError, match="is not a folder"), served(context, NAME, settings):
        pass
    assert not (shares_folder(context) / f"{NAME}.toml").exists()


def test_serve_prints_the_address_and_ends_cleanly(context: Context, folder: Path) -> None:
    with serving_command(folder) as command:
        private = private_folder(folder)
        assert private.stat().st_mode & 0o077 == 0
        address = next(word for word in command.out.decode().split() if word.startswith("smb://")).rstrip(",")
        port = int(address.split(":")[2].partition("/")[0])
        assert is_reachable("127.0.0.1", port)
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 0
    assert not is_reachable("127.0.0.1", port)
    assert not private.exists()
    assert not processes_that_mention(str(private))
    forget_share(context, NAME)


# Run by root, gives up every right, then serves. All that it imports must be there before.
_UNPRIVILEGED = """
import os, sys
from pathlib import Path
from incamera.share.server import serving
from incamera.share.smb import plan_smb
from incamera.share.values import Protocol, Share
from incamera.targets.host import require_host
folder, tools, port, password = sys.argv[1:]
"localhost".encode("idna"), "".encode("utf-16-le")
os.chown(folder, 65534, 65534)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
share = Share(name="plain", folder=Path(folder), protocol=Protocol.smb, address="127.0.0.1", port=int(port),
              path="plain", user="camera", password=password, served=True)
with serving(share, lambda private: plan_smb(share, Path(tools), require_host(), private)):
    print("serving", flush=True)
    sys.stdin.read()
"""


@as_root
def test_serving_needs_no_root(context: Context, camera: VirtualCamera) -> None:
    with tempfile.TemporaryDirectory(prefix="incamera-test-") as name:  # pytest's own are closed to others
        folder = Path(name)
        with serve(context, folder) as share:
            (tools,) = {path.parents[2] for path in STORE.glob("trees/tools/*/usr/sbin/smbd")}
        save_share(shares_folder(context), share)
        words = [sys.executable, "-c", _UNPRIVILEGED, name, str(tools), str(share.port), share.password]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            assert server.stdout.readline() == b"serving\n"
            mount(context, camera, replace(share, path="plain"))
            inside(camera, f"echo hello >{PLACE}/file")
            assert (folder / "file").read_text() == "hello\n"
            assert (folder / "file").stat().st_uid == 65534
            detach(context, camera.name)
            server.stdin.close()
            assert server.wait(PATIENCE_SECONDS) == 0
        forget_share(context, NAME)
