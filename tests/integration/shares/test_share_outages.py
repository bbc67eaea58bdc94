"""The share goes away, and comes back: who reads waits, and nothing is lost."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.connect.attached import require_served
from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.connect.shares import ensure_mounted
from incamera.errors import DeviceUnreachable
from incamera.share.mounts import PLACE
from incamera.share.registry import save_share, shares_folder
from incamera.workflows.share import attach, detach, forget_share

from ...waiting import wait_until
from ..cameras import SMALL_PROFILE, inside, on
from ..command import Finished, command_environment, processes_that_mention, running
from ..project import write_project
from .conftest import NAME, Meanwhile, mount, private_folder, runs, serve, serving_command, waits_for_share

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

pytestmark = on(SMALL_PROFILE)


@pytest.mark.matrix
def test_reader_waits_while_the_server_is_away(context: Context, camera: VirtualCamera, folder: Path) -> None:
    folder.mkdir()
    data = os.urandom(8 << 20)
    (folder / "data").write_bytes(data)
    expected = hashlib.sha256(data).hexdigest()
    with serve(context, folder) as share:
        mount(context, camera, share)
    save_share(shares_folder(context), share)  # known still, and not served
    with pytest.raises(DeviceUnreachable):
        require_served(context, camera.name)
    reader = Meanwhile(camera, f"sha256sum {PLACE}/data")
    wait_until(lambda: runs(camera, "sha256sum"), "the camera has begun to read")
    with serve(context, folder, port=share.port):
        assert reader.result().startswith(expected)
        require_served(context, camera.name)
        detach(context, camera.name)


@pytest.mark.matrix
def test_killed_server_loses_nothing(context: Context, camera: VirtualCamera, folder: Path) -> None:
    folder.mkdir()
    data = os.urandom(24 << 20)
    (folder / "data").write_bytes(data)
    with serving_command(folder) as first:
        attach(context, NAME, camera.name)
        private = private_folder(folder)
        begin = f"exec 3<{PLACE}/data; dd bs=64k count=1 <&3 >/tmp/begun 2>/dev/null"
        go_on = "until [ -e /tmp/on ]; do sleep 0.1; done; cat /tmp/begun - <&3 | sha256sum; rm /tmp/begun /tmp/on"
        write = f"echo written >{PLACE}/file; cat {PLACE}/file"
        reader = Meanwhile(camera, f"{begin}; {go_on}; {write}")
        wait_until(lambda: inside(camera, "[ -s /tmp/begun ] && echo yes"), "the camera reads")
        first.process.kill()
        first.finish()
        inside(camera, "touch /tmp/on")
    # The server sees that its starter is gone; what it wrote is left until the next one starts.
    wait_until(lambda: not processes_that_mention(str(private)), "its server is gone")
    assert private.exists()
    with serving_command(folder) as second:
        said = reader.result()
        assert said.startswith(hashlib.sha256(data).hexdigest())
        assert said.endswith("written\n")
        assert private_folder(folder) == private
        detach(context, camera.name)
        second.process.send_signal(signal.SIGINT)
        assert second.finish() == 0
    assert not private.exists()
    assert not processes_that_mention(str(private))
    forget_share(context, NAME)


@pytest.mark.matrix
def test_detach_works_while_the_server_is_away(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        mount(context, camera, share)
        (folder / "data").write_text("x")
    reader = Meanwhile(camera, f"cat {PLACE}/data || echo failed")
    wait_until(lambda: runs(camera, "cat"), "the camera has begun to read")
    detach(context, camera.name)
    assert "failed" in reader.result(30)
    assert f" {PLACE} " not in inside(camera, "cat /proc/mounts")


@pytest.mark.matrix
def test_unmounted_share_is_mounted_again(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        mount(context, camera, share)
        inside(camera, f"umount {PLACE}")  # as a restart does
        with connected(context, virtual_device(camera)) as connection:
            ensure_mounted(context, connection)
        assert f" {PLACE} cifs" in inside(camera, "cat /proc/mounts")
        detach(context, camera.name)


@pytest.mark.matrix
def test_share_of_another_folder_is_mounted_again(context: Context, camera: VirtualCamera, tmp_path: Path) -> None:
    with serve(context, tmp_path / "one") as share:
        mount(context, camera, share)
    with serve(context, tmp_path / "two", port=share.port) as share:
        (tmp_path / "two" / "data").write_text("of the second")
        assert mount(context, camera, share).fresh
        assert inside(camera, f"cat {PLACE}/data") == "of the second"
        detach(context, camera.name)


APP = """\
import os, time
print("ready", flush=True)
while not os.path.exists("/tmp/go"):
    time.sleep(0.1)
import decimal, email.message, xml.dom.minidom
print("went on", flush=True)
"""


def test_app_goes_on_when_the_server_is_back(
    context: Context, camera: VirtualCamera, folder: Path, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    project = write_project(tmp_path / "waits", app=APP, name="waits")
    words = ("--to", "share", "--device", camera.name, "-C", project)
    with ExitStack() as stack:
        with serve(context, folder) as share:
            mount(context, camera, share)
            deployed = incamera("deploy", *words)
            assert deployed.code == 0, deployed.err
            command = stack.enter_context(running("run", *words, env=command_environment()))
            command.await_output("ready")
            assert (folder / "incamera" / "waits").is_dir()
        save_share(shares_folder(context), share)
        inside(camera, "echo 3 >/proc/sys/vm/drop_caches; touch /tmp/go")
        refused = incamera("deploy", *words)
        assert refused.code == 4
        assert "is not served now" in refused.err
        with serve(context, folder, port=share.port):
            command.await_output("went on")
            assert command.finish() == 0
            assert incamera("deploy", *words).code == 0
            detach(context, camera.name)


@pytest.mark.matrix
def test_deploy_goes_on_when_the_server_is_back(
    context: Context, camera: VirtualCamera, folder: Path, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    project = write_project(tmp_path / "midway", app="print('whole')\n", name="midway")
    words = ("--to", "share", "--device", camera.name, "-C", project)
    assert incamera("build", "-C", project).code == 0
    with ExitStack() as stack:
        with serve(context, folder) as share:
            mount(context, camera, share)
            command = stack.enter_context(running("deploy", *words, env=command_environment()))
            # The host has begun to write; next, the camera reads what it wrote.
            wait_until(lambda: (folder / "incamera" / ".images").is_dir(), "the deploy has begun")
        save_share(shares_folder(context), share)
        wait_until(
            lambda: waits_for_share(camera) or command.process.poll() is not None,
            lambda: f"the camera waits for its share; the deploy has printed: {command.text}",
            seconds=200,  # on a loaded machine, this computer writes the image for a minute before the camera is asked
        )
        assert command.process.poll() is None, command.text
        with serve(context, folder, port=share.port):
            assert command.finish() == 0, command.text
            assert incamera("run", *words).out == "whole\n"
            detach(context, camera.name)
