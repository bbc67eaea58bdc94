"""Programs on this computer, over the same protocol as a camera's, and bundles that they write into a folder."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.programs import shell

from incamera.deployment.deploy import deploy
from incamera.errors import DeviceError
from incamera.guard.failures import NoRoom, NotSeen
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.sync import ShippedImage, plan_shipment
from incamera.guard.upload import Route
from incamera.targets.form import Form
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera.tree import list_tree

pytestmark = pytest.mark.starts_processes

DEVICE = Device(name="cam", address=SshAddress(host="camera.invalid"))


def test_a_command_reads_prints_and_ends() -> None:
    with open_local(DEVICE) as session:
        result = session.run(shell("cat; echo oh >&2; exit 7"), input=b"x" * 300_000)
        assert (result.exit_code, len(result.stdout), result.error_text) == (7, 300_000, "oh")
        assert session.run(shell("kill -9 $$")).exit_code == 137


def test_bundle_is_written_into_the_folder_and_adopted_by_the_device(bundle: Path, tmp_path: Path, guard: Path) -> None:
    """The "device" is this computer too; its guard is brought to it first."""
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    folder, place, home = tmp_path / "folder", tmp_path / "place", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    place.symlink_to(folder)  # what the device has mounted
    with open_local(DEVICE) as device, open_local(DEVICE) as here:
        route = Route(place=str(place), through=here, folder=folder, guard=str(guard))
        there = Guard(guard, str(home))
        done = deploy(device, shipment, there, route=route)
        assert (Path(done.destination) / "app" / "app.py").read_text() == "print(1)\n"
        assert (done.root, done.form, done.files_sent) == (done.destination, Form.tree, 1)
        assert deploy(device, shipment, there, route=route).files_sent == 0


def test_folder_that_the_device_has_not_mounted_is_noticed(
    bundle: Path, tmp_path: Path, guard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera.deployment.deploy.LOOKS", 1)
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    for name in ("folder", "place"):
        (tmp_path / name).mkdir()
    with open_local(DEVICE) as device, open_local(DEVICE) as here:
        route = Route(place=str(tmp_path / "place"), through=here, folder=tmp_path / "folder", guard=str(guard))
        with pytest.raises(NotSeen, match="cam does not see"):
            deploy(device, shipment, Guard(guard, str(tmp_path)), route=route)


def test_image_without_room_is_refused_before_it_is_sent(bundle: Path, tmp_path: Path, guard: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(os.urandom(1000))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    space = os.statvfs(tmp_path)
    huge = ShippedImage(
        form=Form.squashfs, file=f"{digest}.squashfs", path=path, size=space.f_bavail * space.f_frsize + (1 << 30)
    )
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle), image=huge)
    with open_local(DEVICE) as device, pytest.raises(NoRoom, match=r"MB free, the bundle needs .* MB more"):
        deploy(device, shipment, Guard(guard, str(tmp_path)), route=Route(place=str(tmp_path)))


def test_folder_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path, guard: Path) -> None:
    (tmp_path / "file").write_text("")
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    route = Route(place=str(tmp_path / "file"))
    with open_local(DEVICE) as device, pytest.raises(DeviceError, match="cannot deploy to cam: cannot make"):
        deploy(device, shipment, Guard(guard, str(tmp_path)), route=route)


def test_used_guard_gets_a_new_time(tmp_path: Path, guard: Path) -> None:
    """Guards that nobody has used for an hour are removed by those of other versions."""
    there = Guard(guard, str(tmp_path / "home"))
    with open_local(DEVICE) as device:
        path = Path(ensure_guard(device, there))
        os.utime(path, (1, 1))
        assert ensure_guard(device, there) == str(path)
    assert path.stat().st_mtime > 1
