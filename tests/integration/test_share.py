"""Network shares for real: our own servers, kernels that mount them, and what happens when either goes away."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable, StoreError, UsageError
from incamera.share.mounts import PLACE
from incamera.share.registry import save_share
from incamera.share.server import is_reachable
from incamera.share.values import Protocol, Share
from incamera.workflows.devices import connected, virtual_device
from incamera.workflows.share import Wish, forget_share, served, shares_folder
from incamera.workflows.share_attach import (
    Attached,
    attach,
    attach_share,
    detach,
    ensure_mounted,
    find_host_folder,
    require_served,
)

from .conftest import STORE, Finished, command_environment
from .helpers import Running, eventually, inside, processes_that_mention, running, write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera
    from incamera.workflows.context import Context

SMALL = "axis-os-10-aarch64"  # resumes fastest
NAME = f"test-{os.getpid()}"
PRIVATE = Path(tempfile.gettempdir()) / f"incamera-{os.getuid()}"

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts on this computer, or serves NFS")


@pytest.fixture(scope="module")
def tenant(start_virtual: Callable[..., VirtualCamera]) -> VirtualCamera:
    """The camera whose share goes away, fills up, and is denied."""
    return start_virtual(SMALL, name="test-share")


@pytest.fixture(scope="module", autouse=True)
def _forgotten(context: Context) -> Iterator[None]:
    yield
    with suppress(UsageError):
        forget_share(context, NAME)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a folder, 100% ours"


@contextmanager
def serve(context: Context, folder: Path, name: str = NAME, **more: object) -> Iterator[Share]:
    """Serve *folder*, on a port that nobody else takes when we leave it; it is forgotten with the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        wish = {"port": free.getsockname()[1], **more}
    try:
        with served(context, name, Wish(folder=folder, **wish)) as (share, _):
            yield share
    finally:
        with suppress(UsageError):
            forget_share(context, name)


def mount(context: Context, camera: VirtualCamera, share: Share) -> Attached:
    with connected(context, virtual_device(camera)) as session:
        return attach_share(context, session, share)


class Meanwhile(threading.Thread):
    """A command in a camera, while something else happens."""

    def __init__(self, camera: VirtualCamera, command: str) -> None:
        super().__init__(daemon=True)
        self.camera, self.command, self.said = camera, command, ""
        self.start()

    def run(self) -> None:
        self.said = inside(self.camera, self.command)

    def result(self, seconds: float = 90) -> str:
        self.join(seconds)
        assert not self.is_alive(), f"still waiting for: {self.command}"
        return self.said


# Every camera


def test_a_camera_has_the_folder_as_its_network_share(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        (folder / "from-host").write_text("hello camera")
        assert mount(context, camera, share).fresh
        assert inside(camera, f"cat {PLACE}/from-host") == "hello camera"
        script = f"cd {PLACE} && printf '#!/bin/sh\\necho it runs' >script && chmod +x script && ln -s script link"
        assert inside(camera, f"{script} && ./link") == "it runs\n"
        assert (folder / "script").read_text().startswith("#!/bin/sh")
        assert share.password not in inside(camera, "cat /proc/mounts; ps -w; cat /proc/*/cmdline 2>/dev/null")
        # What the host replaces is seen at once, or nearly.
        (folder / "new").write_text("replaced")
        (folder / "new").replace(folder / "from-host")
        eventually(lambda: inside(camera, f"cat {PLACE}/from-host") == "replaced", "the camera sees the new file")
        assert find_host_folder(context, camera.name) == folder.resolve()
        assert not mount(context, camera, share).fresh
        assert detach(context, camera.name)[1] is not None
    assert f" {PLACE} " not in inside(camera, "cat /proc/mounts")
    assert find_host_folder(context, camera.name) is None
    assert detach(context, camera.name)[1] is None


@as_root
def test_a_camera_mounts_nfs(context: Context, camera: VirtualCamera, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    with serve(context, folder, protocol=Protocol.nfs) as share:
        (folder / "from-host").write_text("hello camera")
        assert mount(context, camera, share).fresh
        assert inside(camera, f"grep ' {PLACE} nfs4 ' /proc/mounts | grep -c vers=4.2; cat {PLACE}/from-host") == (
            "1\nhello camera"
        )
        inside(camera, f"cd {PLACE} && echo back >from-camera && ln -s from-camera link")
        assert (folder / "from-camera").read_text() == "back\n"
        assert (folder / "link").is_symlink()
        assert not mount(context, camera, share).fresh
        detach(context, camera.name)


# It goes away


def test_who_reads_waits_while_the_server_is_away(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    folder.mkdir()
    data = os.urandom(8 << 20)
    (folder / "data").write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    with serve(context, folder) as share:
        mount(context, tenant, share)
    save_share(shares_folder(context), share)  # known still, and not served
    with pytest.raises(DeviceUnreachable):
        require_served(context, tenant.name)
    reader = Meanwhile(tenant, f"sha256sum {PLACE}/data")
    time.sleep(2)
    assert reader.is_alive()
    with serve(context, folder, port=share.port):
        assert reader.result().startswith(expected)
        require_served(context, tenant.name)
        detach(context, tenant.name)


def test_a_server_killed_under_way_loses_nothing(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    folder.mkdir()
    data = os.urandom(24 << 20)
    (folder / "data").write_bytes(data)
    with serving_command(folder) as first:
        attach(context, NAME, tenant.name)
        private = private_folder(folder)
        reader = Meanwhile(tenant, f"sha256sum {PLACE}/data; echo written >{PLACE}/file; cat {PLACE}/file")
        time.sleep(0.4)
        first.process.kill()
        first.finish()
    # The server sees that its starter is gone; what it wrote is left until the next one starts.
    eventually(lambda: not processes_that_mention(str(private)), "its server is gone")
    assert private.exists()
    with serving_command(folder) as second:
        said = reader.result()
        assert said.startswith(hashlib.sha256(data).hexdigest())
        assert said.endswith("written\n")
        assert private_folder(folder) == private
        detach(context, tenant.name)
        second.process.send_signal(signal.SIGINT)
        assert second.finish() == 0
    assert not private.exists()
    assert not processes_that_mention(str(private))
    forget_share(context, NAME)


def test_a_camera_lets_go_of_a_server_that_is_away(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        mount(context, tenant, share)
        (folder / "data").write_text("x")
    reader = Meanwhile(tenant, f"cat {PLACE}/data || echo failed")
    time.sleep(1)
    detach(context, tenant.name)
    assert "failed" in reader.result(30)
    assert f" {PLACE} " not in inside(tenant, "cat /proc/mounts")


def test_what_went_away_is_mounted_again(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        mount(context, tenant, share)
        inside(tenant, f"umount {PLACE}")  # as a restart does
        with connected(context, virtual_device(tenant)) as session:
            ensure_mounted(context, session)
        assert f" {PLACE} cifs" in inside(tenant, "cat /proc/mounts")
        detach(context, tenant.name)


def test_a_share_served_from_another_folder_is_mounted_anew(
    context: Context, tenant: VirtualCamera, tmp_path: Path
) -> None:
    with serve(context, tmp_path / "one") as share:
        mount(context, tenant, share)
    with serve(context, tmp_path / "two", port=share.port) as share:
        (tmp_path / "two" / "data").write_text("of the second")
        assert mount(context, tenant, share).fresh
        assert inside(tenant, f"cat {PLACE}/data") == "of the second"
        detach(context, tenant.name)


APP = """\
import os, time
print("ready", flush=True)
while not os.path.exists("/tmp/go"):
    time.sleep(0.1)
import decimal, email.message, xml.dom.minidom
print("went on", flush=True)
"""


def test_an_app_goes_on_where_it_waited(
    context: Context, tenant: VirtualCamera, folder: Path, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    project = write_project(tmp_path / "waits", app=APP, name="waits")
    words = ("--to", "share", "--device", tenant.name, "-C", project)
    with ExitStack() as stack:
        with serve(context, folder) as share:
            mount(context, tenant, share)
            deployed = incamera("deploy", *words)
            assert deployed.code == 0, deployed.err
            command = stack.enter_context(running("run", *words, env=command_environment()))
            command.await_output("ready")
            assert (folder / "incamera" / "waits").is_dir()
        save_share(shares_folder(context), share)
        inside(tenant, "echo 3 >/proc/sys/vm/drop_caches; touch /tmp/go")
        refused = incamera("deploy", *words)
        assert refused.code == 4
        assert "is not served now" in refused.err
        with serve(context, folder, port=share.port):
            command.await_output("went on")
            assert command.finish() == 0
            assert incamera("deploy", *words).code == 0
            detach(context, tenant.name)


def test_a_deploy_goes_on_where_it_waited(
    context: Context, tenant: VirtualCamera, folder: Path, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    project = write_project(tmp_path / "midway", app="print('whole')\n", name="midway")
    words = ("--to", "share", "--device", tenant.name, "-C", project)
    assert incamera("build", "-C", project).code == 0
    with ExitStack() as stack:
        with serve(context, folder) as share:
            mount(context, tenant, share)
            command = stack.enter_context(running("deploy", *words, env=command_environment()))
            # The host has begun to write; next, the camera reads what it wrote.
            eventually(lambda: (folder / "incamera" / ".images").is_dir(), "the deploy has begun")
        save_share(shares_folder(context), share)
        time.sleep(3)
        assert command.process.poll() is None, command.text
        with serve(context, folder, port=share.port):
            assert command.finish() == 0, command.text
            assert incamera("run", *words).out == "whole\n"
            detach(context, tenant.name)


# It is refused


def test_a_wrong_password_is_told(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        with pytest.raises(DeviceRefused, match="password") as caught:
            mount(context, tenant, replace(share, password="not, this one"))
        assert "not, this one" not in str(caught.value) + str(caught.value.hint)
        with pytest.raises(DeviceError, match=r'no share "elsewhere"'):
            mount(context, tenant, replace(share, path="elsewhere"))
        assert f" {PLACE} " not in inside(tenant, "cat /proc/mounts")
        assert find_host_folder(context, tenant.name) is None


def test_a_password_may_hold_what_it_likes(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    file = folder.parent / "password"
    file.write_text("a, b=\\c 'd\" ü%\n")
    with serve(context, folder, password_file=file) as share:
        assert mount(context, tenant, share).fresh
        detach(context, tenant.name)


def test_another_folder_is_not_taken_for_the_share(context: Context, tenant: VirtualCamera, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serve(context, tmp_path / "one") as share:
        with pytest.raises(DeviceUnsuitable, match="is not the folder"):
            mount(context, tenant, replace(share, folder=tmp_path / "other"))
        assert f" {PLACE} " not in inside(tenant, "cat /proc/mounts")


def test_what_others_mounted_stays(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        inside(tenant, f"mount -t tmpfs tmpfs {PLACE}")
        with pytest.raises(DeviceError, match="has tmpfs mounted"):
            mount(context, tenant, share)
        assert detach(context, tenant.name)[1] == "tmpfs"


def test_what_is_not_served_is_not_waited_for(context: Context, tenant: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        pass
    with pytest.raises(DeviceUnreachable, match="is not served now"):
        mount(context, tenant, share)


@as_root
def test_a_full_share_is_told_and_usable_again(context: Context, tenant: VirtualCamera, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        with serve(context, folder) as share:
            mount(context, tenant, share)
            said = inside(tenant, f"dd if=/dev/zero of={PLACE}/big bs=1M count=8 conv=fsync; rm {PLACE}/big")
            assert "No space left" in said
            assert inside(tenant, f"echo fits >{PLACE}/small; cat {PLACE}/small") == "fits\n"
            detach(context, tenant.name)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


# The server's own life


def test_two_servers_of_one_share_are_refused(context: Context, folder: Path) -> None:
    with serve(context, folder) as share:
        with pytest.raises(UsageError, match="another program has it"), served(context, NAME, Wish()):
            pass
        assert is_reachable(*share.here)


def test_a_folder_that_is_none_is_told(context: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write to"), serve(context, tmp_path / "file"):
        pass
    assert not (shares_folder(context) / f"{NAME}.toml").exists()


def test_the_command_says_where_and_ends_cleanly(context: Context, folder: Path) -> None:
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
def test_an_ordinary_user_can_serve(context: Context, tenant: VirtualCamera) -> None:
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
            mount(context, tenant, replace(share, path="plain"))
            inside(tenant, f"echo hello >{PLACE}/file")
            assert (folder / "file").read_text() == "hello\n"
            assert (folder / "file").stat().st_uid == 65534
            detach(context, tenant.name)
            server.stdin.close()
            assert server.wait(20) == 0
        forget_share(context, NAME)


@contextmanager
def serving_command(folder: Path) -> Iterator[Running]:
    """`incamera share serve` in a process of its own."""
    with running("share", "serve", folder, "--name", NAME, env=command_environment()) as command:
        command.await_output(str(folder))
        yield command


def private_folder(folder: Path) -> Path:
    """Return what the server of *folder* keeps to itself."""
    return next(path.parent for path in PRIVATE.glob("share-*/folder") if path.readlink() == folder)
