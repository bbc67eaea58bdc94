"""The host's part of a deploy, with guards that go wrong; what another user has put in the way is not run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from incamera.deployment.deploy import DeployResult, deploy
from incamera.errors import ConnectionLost, DeviceError
from incamera.guard.failures import CannotActivate, explain
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.sync import ShippedImage, plan_shipment
from incamera.guard.upload import Way
from incamera.runtime.launcher.protocol import ExitCode
from incamera.targets.form import Form
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import LocalTransport, open_local
from incamera.tree import list_tree

pytestmark = pytest.mark.starts_processes

DEVICE = Device(name="cam", address=SshAddress(host="camera.invalid"))
# Reads the listing, as the guard does.
HEARD = 'read size; head -c "$size" >/dev/null\n'


@pytest.fixture
def deploy_with(bundle: Path, tmp_path: Path) -> Callable[..., DeployResult]:
    """Deploys to a guard that is a shell script."""

    def deploy_with(script: str, image: ShippedImage | None = None) -> DeployResult:
        guard = tmp_path / "incamera-guard-fake"
        guard.write_text("#!/bin/sh\n" + HEARD + script)
        guard.chmod(0o755)
        shipment = plan_shipment("doorbell", bundle, list_tree(bundle), image=image)
        with open_local(DEVICE) as session:
            return deploy(session, shipment, Guard(guard, str(tmp_path / "place")))

    return deploy_with


@pytest.mark.parametrize(
    "told",
    [
        "echo send 1",
        "echo send 1; echo free 1000000",
        "echo send 1; echo free 1000000; echo as tar",
        "echo send 2; echo free 1000000; echo as tar; echo 0",
        "printf 'send 1'",
    ],
)
def test_a_guard_that_ends_while_it_tells_what_is_missing_is_heard(
    told: str, deploy_with: Callable[..., DeployResult]
) -> None:
    with pytest.raises(ConnectionLost, match="connection to cam was lost"):
        deploy_with(f"{told}; exit 6")
    with pytest.raises(DeviceError, match="cannot deploy to cam: cannot read"):
        deploy_with(f"{told}; echo 'incamera-guard: cannot read' >&2; exit 1")


@pytest.mark.parametrize(
    "told",
    ["echo send some", "echo send 1; echo free 1000000; echo as tar; echo Welcome; cat", "echo send 1; yes 99999"],
)
def test_what_is_no_number_is_told(told: str, deploy_with: Callable[..., DeployResult]) -> None:
    with pytest.raises(DeviceError, match=r'guard on cam tells "(some|Welcome|99999)"'):
        deploy_with(told)


@pytest.mark.parametrize("told", ["", "echo send 0; echo free 9999; echo as tar; cat >/dev/null"])
def test_a_bundle_is_there_only_when_that_was_told(told: str, deploy_with: Callable[..., DeployResult]) -> None:
    with pytest.raises(DeviceError, match="ended without telling that the bundle is whole"):
        deploy_with(told)


def test_a_runtime_that_goes_away_is_brought_twice(
    tmp_path: Path, bundle: Path, deploy_with: Callable[..., DeployResult]
) -> None:
    entries = tuple(list_tree(bundle))
    image = ShippedImage(form=Form.tree, file="0" * 64, path=bundle, size=0, entries=entries)
    # Two arguments before the app's name; the runtime's is .images.
    script = f'case $3 in .images) echo whole;; *) echo . >>{tmp_path}/asked; echo "image missing"; exit 9;; esac'
    with pytest.raises(DeviceError, match="is not there any more"):
        deploy_with(script, image)
    assert len((tmp_path / "asked").read_text().splitlines()) == 3


def test_much_complaining_holds_nothing_up(deploy_with: Callable[..., DeployResult]) -> None:
    """More than a pipe holds, before all that is sent was read; the last of it is what counts."""
    flood = (
        "i=0; while [ $i -lt 4000 ]; do echo 'tar: a file that cannot be unpacked, in many words' >&2; i=$((i+1)); done"
    )
    with pytest.raises(DeviceError, match="did not come whole to cam: at last"):
        deploy_with(
            f"echo send 1; echo free 9999; echo as tar; echo 0; {flood}; cat >/dev/null; echo at last >&2; exit 3"
        )


def test_an_empty_guard_is_brought_again(tmp_path: Path, guard: Path) -> None:
    """What a power cut leaves, and what a shell would run without complaint."""
    there = Guard(guard, str(tmp_path / "home"))
    with open_local(DEVICE) as device:
        path = Path(ensure_guard(device, there))
        path.write_bytes(b"")
        assert ensure_guard(device, there) == str(path)
    assert path.read_bytes() == guard.read_bytes()


# What another user has put there


def plant_link(path: Path, elsewhere: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    elsewhere.mkdir()
    path.symlink_to(elsewhere)


def plant_folder(path: Path, elsewhere: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    path.mkdir(parents=True)
    os.chown(path, 65534, 65534)


Plant = Callable[[Path, Path], None]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """As /tmp is: everybody may write there, nobody may remove what is not his."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o1777)
    return place


@pytest.mark.parametrize("plant", [plant_link, plant_folder])
@pytest.mark.parametrize("name", ["incamera", "incamera/.guard"])
def test_nothing_is_run_from_what_another_user_made(
    name: str, plant: Plant, tmp_path: Path, bundle: Path, guard: Path, place: Path
) -> None:
    there, elsewhere = Guard(guard, str(place)), tmp_path / "elsewhere"
    plant(place / name, elsewhere)
    Path(there.remote_path).parent.mkdir(parents=True, exist_ok=True)
    Path(there.remote_path).write_text(f"#!/bin/sh\ntouch {tmp_path}/run\n")
    Path(there.remote_path).chmod(0o755)
    with open_local(DEVICE) as device:
        with pytest.raises(DeviceError, match=rf"another user has taken {place / name} on cam$"):
            ensure_guard(device, there)
        with pytest.raises(DeviceError, match="another user has taken"):
            deploy(device, plan_shipment("doorbell", bundle, list_tree(bundle)), there)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
def test_our_own_is_used_and_owners_elsewhere_do_not_matter(
    mode: int, tmp_path: Path, bundle: Path, guard: Path, place: Path
) -> None:
    place.chmod(mode)
    if mode & 0o1000 == 0:  # on a card or share, somebody else may own all
        plant_link(place / "incamera", tmp_path / "elsewhere")
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    with open_local(DEVICE) as device:
        assert deploy(device, shipment, Guard(guard, str(place))).files_sent == 1
        assert deploy(device, shipment, Guard(guard, str(place))).files_sent == 0


@pytest.mark.parametrize("plant", [plant_link, plant_folder])
def test_the_guard_writes_nothing_into_what_another_user_made(
    plant: Plant, tmp_path: Path, bundle: Path, guard: Path, place: Path
) -> None:
    """The guard itself may lie elsewhere."""
    plant(place / "incamera", tmp_path / "elsewhere")
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    with (
        open_local(DEVICE) as device,
        pytest.raises(DeviceError, match=rf"another user has taken {place / 'incamera'} on cam$"),
    ):
        deploy(device, shipment, Guard(guard, str(tmp_path / "home")), way=Way(place=str(place)))
    assert not list((place / "incamera").iterdir())


# What standing can end with


def test_what_is_held_too_long_is_not_taken_for_another_deploy() -> None:
    message = "incamera-guard: another process has been at work for a minute in /tmp/incamera-roots"
    error = explain(LocalTransport(DEVICE), ExitCode.locked, message, "/tmp")
    assert not isinstance(error, CannotActivate)
    assert "at work for a minute in /tmp/incamera-roots" in str(error)
    assert "restart" in str(error.hint)
