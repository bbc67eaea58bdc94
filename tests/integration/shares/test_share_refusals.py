"""Errors of shares: wrong passwords, other folders, mounts of other programs, full disks."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.connect.attached import find_host_folder
from incamera.errors import DeviceError, DeviceRefused, DeviceUnreachable, DeviceUnsuitable
from incamera.share.mounts import PLACE
from incamera.workflows.share import detach

from ..cameras import SMALL_PROFILE, inside, on
from .conftest import as_root, mount, serve

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

pytestmark = on(SMALL_PROFILE)


def test_error_for_a_wrong_password_does_not_show_it(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        with pytest.raises(DeviceRefused, match="password") as caught:
            mount(context, camera, replace(share, password="not, this one"))
        assert "not, this one" not in str(caught.value) + str(caught.value.hint)
        assert f"127.0.0.1, port {share.port}" in str(caught.value)
        with pytest.raises(DeviceError, match=r'no share "elsewhere"'):
            mount(context, camera, replace(share, path="elsewhere"))
        assert f" {PLACE} " not in inside(camera, "cat /proc/mounts")
        assert find_host_folder(context, camera.name) is None


def test_password_may_have_special_characters(context: Context, camera: VirtualCamera, folder: Path) -> None:
    file = folder.parent / "password"
    file.write_text("a, b=\\c 'd\" ü%\n")
    with serve(context, folder, password_file=file) as share:
        assert mount(context, camera, share).fresh
        detach(context, camera.name)


def test_share_that_is_not_the_hosts_folder_is_refused(context: Context, camera: VirtualCamera, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with serve(context, tmp_path / "one") as share:
        with pytest.raises(DeviceUnsuitable, match="is not the folder"):
            mount(context, camera, replace(share, folder=tmp_path / "other"))
        assert f" {PLACE} " not in inside(camera, "cat /proc/mounts")


def test_mount_of_somebody_else_is_not_replaced(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        inside(camera, f"mount -t tmpfs tmpfs {PLACE}")
        with pytest.raises(DeviceError, match="has tmpfs mounted"):
            mount(context, camera, share)
        assert detach(context, camera.name)[1] == "tmpfs"


def test_share_that_is_not_served_is_an_error_at_once(context: Context, camera: VirtualCamera, folder: Path) -> None:
    with serve(context, folder) as share:
        pass
    with pytest.raises(DeviceUnreachable, match="is not served now"):
        mount(context, camera, share)


@as_root
@pytest.mark.matrix
def test_full_share_is_usable_again_after_a_removal(context: Context, camera: VirtualCamera, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    try:
        with serve(context, folder) as share:
            mount(context, camera, share)
            said = inside(camera, f"dd if=/dev/zero of={PLACE}/big bs=1M count=8 conv=fsync; rm {PLACE}/big")
            assert "No space left" in said
            assert inside(camera, f"echo fits >{PLACE}/small; cat {PLACE}/small") == "fits\n"
            detach(context, camera.name)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
