"""Both architectures mount a folder of this computer, and run a bundle from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.connect.attached import find_host_folder
from incamera.share.mounts import PLACE
from incamera.share.settings import ShareSettings
from incamera.workflows.share import add_share, attach, detach, forget_share

from ...waiting import wait_until
from ..cameras import SMALL_PROFILE, inside, on
from ..project import write_project
from .conftest import NAME, as_root, mount, nfs_share, serve

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.share.values import Share
    from incamera.virtual.camera import VirtualCamera

    from ..command import Finished

# What the supervisor is told that asks whether a camera without a connection is in use.
FIND_USE = """eval "$(sed -n '/^note_processes/,/^}/p; /^find_use/,/^}/p' /usr/sbin/incamera-link)"
note_processes; find_use; echo $use"""

pytestmark = on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])


def test_camera_reads_and_writes_the_hosts_folder(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        (folder / "from-host").write_text("hello camera")
        assert mount(context, camera, share).fresh
        assert inside(camera, f"cat {PLACE}/from-host") == "hello camera"
        assert inside(camera, FIND_USE) == f"mount {PLACE}\n"
        script = f"cd {PLACE} && printf '#!/bin/sh\\necho it runs' >script && chmod +x script && ln -s script link"
        assert inside(camera, f"{script} && ./link") == "it runs\n"
        assert (folder / "script").read_text().startswith("#!/bin/sh")
        assert share.password not in inside(camera, "cat /proc/mounts; ps -w; cat /proc/*/cmdline 2>/dev/null")
        # What the host replaces is seen at once, or nearly.
        (folder / "new").write_text("replaced")
        (folder / "new").replace(folder / "from-host")
        wait_until(lambda: inside(camera, f"cat {PLACE}/from-host") == "replaced", "the camera sees the new file")
        assert find_host_folder(context, camera.name) == folder.resolve()
        assert not mount(context, camera, share).fresh
        assert detach(context, camera.name)[1] is not None
    assert inside(camera, FIND_USE) == "nothing\n"
    assert f" {PLACE} " not in inside(camera, "cat /proc/mounts")
    assert find_host_folder(context, camera.name) is None
    assert detach(context, camera.name)[1] is None


@as_root
def test_camera_mounts_an_nfs_share(context: Context, camera: VirtualCamera, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    with nfs_share(context, folder) as share:
        (folder / "from-host").write_text("hello camera")
        assert mount(context, camera, share).fresh
        assert inside(camera, f"grep ' {PLACE} nfs4 ' /proc/mounts | grep -c vers=4.2; cat {PLACE}/from-host") == (
            "1\nhello camera"
        )
        assert inside(camera, FIND_USE) == f"mount {PLACE}\n"
        inside(camera, f"cd {PLACE} && echo back >from-camera && ln -s from-camera link")
        assert (folder / "from-camera").read_text() == "back\n"
        assert (folder / "link").is_symlink()
        assert not mount(context, camera, share).fresh
        detach(context, camera.name)


def test_bundle_runs_from_the_share(
    context: Context, camera: VirtualCamera, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    """Sent by this computer into its own folder, started in the camera from its mount."""
    folder = tmp_path / "served"
    with serve(context, folder) as share:
        run_from_share(context, camera, share, folder, incamera)


@pytest.mark.matrix
@as_root
def test_deploy_does_not_wait_for_the_server_of_an_earlier_share(
    context: Context, camera: VirtualCamera, tmp_path: Path, incamera: Callable[..., Finished]
) -> None:
    """The image that was mounted from the earlier share is the last that uses it; unmounting it asks the server."""
    with nfs_share(context, tmp_path / "exported") as share:
        run_from_share(context, camera, share, tmp_path / "exported", incamera)
    with serve(context, tmp_path / "served") as share:
        run_from_share(context, camera, share, tmp_path / "served", incamera)


def run_from_share(
    context: Context, camera: VirtualCamera, share: Share, folder: Path, incamera: Callable[..., Finished]
) -> None:
    """Have *camera* mount *share*, deploy an app into its *folder* on this computer, run it, and unmount the share."""
    project = folder.parent / "ashore"
    if not project.exists():
        write_project(project, app="print('runs')\n", name="ashore")
    words = ("--to", "share", "--device", camera.name, "-C", project)
    mount(context, camera, share)
    deployed = incamera("deploy", *words)
    assert deployed.code == 0, deployed.err
    assert f"written into {folder}" in deployed.err
    assert list((folder / "incamera" / "ashore").glob("*/bundle.json"))
    assert incamera("run", *words).out == "runs\n"
    detach(context, camera.name)


@on(SMALL_PROFILE)
@pytest.mark.matrix
def test_nas_is_attached_like_a_share_of_the_host(context: Context, camera: VirtualCamera, folder: Path) -> None:
    password = folder.parent / "password"
    with serve(context, folder) as server:
        password.write_text(server.password)
        settings = ShareSettings(
            folder=folder, address="127.0.0.1", port=server.port, user=server.user, password_file=password
        )
        nas = add_share(context, f"{NAME}-nas", replace(settings, path=server.path))
        try:
            assert attach(context, nas.name, camera.name).fresh
            inside(camera, f"echo hello >{PLACE}/file")
            assert (folder / "file").read_text() == "hello\n"
            assert find_host_folder(context, camera.name) == folder
            detach(context, camera.name)
        finally:
            forget_share(context, nas.name)
