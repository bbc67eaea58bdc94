"""The host's part of a deploy: guards that fail, and folders of other users."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from incamera.deployment.deploy import DeployResult, deploy
from incamera.errors import ConnectionLost, DeviceError
from incamera.guard.failures import CannotActivate, Taken, explain
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.sync import ShippedImage, plan_shipment
from incamera.guard.upload import Observer, Route, Stage
from incamera.runtime.launcher.protocol import ExitCode
from incamera.targets.form import Form
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import LocalTransport, open_local
from incamera.tree import list_tree

pytestmark = pytest.mark.starts_processes

DEVICE = Device(name="cam", address=SshAddress(host="camera.invalid"))
# Reads the listing, as the guard does.
READ_LISTING = 'read size; head -c "$size" >/dev/null\n'


@pytest.fixture
def deploy_with(bundle: Path, tmp_path: Path) -> Callable[..., DeployResult]:
    """Deploys with a guard that is a shell script."""

    def deploy_with(script: str, image: ShippedImage | None = None, observer: Observer | None = None) -> DeployResult:
        guard = tmp_path / "incamera-guard-fake"
        guard.write_text("#!/bin/sh\n" + READ_LISTING + script)
        guard.chmod(0o755)
        shipment = plan_shipment("doorbell", bundle, list_tree(bundle), image=image)
        with open_local(DEVICE) as session:
            return deploy(session, shipment, Guard(guard, str(tmp_path / "place")), observer=observer)

    return deploy_with


WANTED = {"kind": "wanted", "missing": [[0, 0]], "free": 1 << 30, "packings": [], "image_from": None}
COMPLETE = {"kind": "complete", "previous": "", "repaired": False}


def say(*answers: Mapping[str, object]) -> str:
    """Return the shell commands that print *answers*."""
    return "\n".join(f"echo {shlex.quote(json.dumps(answer))}" for answer in answers)


@pytest.mark.parametrize("script", ["", 'printf \'{"kind":"wanted","missing":[[0,\'', say(WANTED)])
def test_guard_that_ends_early_is_explained_by_its_exit_code(
    script: str, deploy_with: Callable[..., DeployResult]
) -> None:
    with pytest.raises(ConnectionLost, match="connection to cam was lost"):
        deploy_with(f"{script}\nexit {ExitCode.interrupted:d}")
    with pytest.raises(DeviceError, match="cannot deploy to cam: cannot read"):
        deploy_with(f"{script}\necho 'incamera-guard: cannot read' >&2; exit 1")


@pytest.mark.parametrize("script", ["echo Welcome; cat", f"{say(WANTED)}\necho Welcome; cat", "yes Welcome"])
def test_other_output_than_answers_is_shown(script: str, deploy_with: Callable[..., DeployResult]) -> None:
    with pytest.raises(DeviceError, match='guard on cam printed "Welcome"'):
        deploy_with(script)


@pytest.mark.parametrize("missing", [[[0, 1]], [[0, 0], [0, 0]], [[1, 0]], [[0]], [[0, 0, 0]], [[]], [[99999, 99999]]])
def test_files_that_the_bundle_has_not_are_not_sent(
    missing: list[list[int]], deploy_with: Callable[..., DeployResult]
) -> None:
    with pytest.raises(DeviceError, match="guard on cam asks for the files"):
        deploy_with(say({**WANTED, "missing": missing}) + "; cat")


@pytest.mark.parametrize("script", ["", say({**WANTED, "missing": []}) + "; cat >/dev/null"])
def test_bundle_is_there_only_when_the_guard_says_so(script: str, deploy_with: Callable[..., DeployResult]) -> None:
    with pytest.raises(DeviceError, match="ended before the bundle was complete"):
        deploy_with(script)


def test_runtime_that_goes_away_is_brought_twice(
    tmp_path: Path, bundle: Path, deploy_with: Callable[..., DeployResult]
) -> None:
    entries = tuple(list_tree(bundle))
    image = ShippedImage(form=Form.tree, file="0" * 64, path=bundle, size=0, entries=entries)
    # The arguments: receive, the folder of apps, the app's name. The runtime's is .images.
    missing = f"echo . >>{tmp_path}/asked; exit {ExitCode.image_missing:d}"
    with pytest.raises(DeviceError, match="has been removed there"):
        deploy_with(f"case $3 in .images) {say(COMPLETE)};; *) {missing};; esac", image)
    assert len((tmp_path / "asked").read_text().splitlines()) == 3


def test_bundle_is_activated_anew_after_its_runtime_was_repaired(
    tmp_path: Path, bundle: Path, deploy_with: Callable[..., DeployResult]
) -> None:
    entries = tuple(list_tree(bundle))
    image = ShippedImage(form=Form.tree, file="0" * 64, path=bundle, size=0, entries=entries)
    root = {"kind": "activated", "root": "/root"}
    brought = f"touch {tmp_path}/brought; {say({**COMPLETE, 'repaired': True})}"
    done = deploy_with(
        f"case $3 in .images) {brought};; *) [ -e {tmp_path}/brought ] || exit {ExitCode.image_missing:d}\n"
        f'echo "$@" >{tmp_path}/asked\n{say(COMPLETE, root)};; esac',
        image,
    )
    assert done.root == "/root"
    assert " activate remake tree " in (tmp_path / "asked").read_text()


def test_what_the_camera_does_after_the_last_byte_is_observed(deploy_with: Callable[..., DeployResult]) -> None:
    seen: list[object] = []

    def on_progress(done: int, total: int) -> None:
        seen.append(done == total)

    activated = {"kind": "activated", "root": "/root"}
    script = f"{say(WANTED)}\ncat >/dev/null\n{say(COMPLETE, activated)}"
    deploy_with(script, observer=Observer(on_progress=on_progress, on_stage=seen.append))
    assert seen == [True, Stage.checking, Stage.activating]


def test_many_errors_of_the_guard_do_not_block_it(deploy_with: Callable[..., DeployResult]) -> None:
    """More than a pipe takes, before all that is sent has been read. The last of them is shown."""
    flood = (
        "i=0; while [ $i -lt 4000 ]; do echo 'tar: a file that cannot be unpacked, in many words' >&2; i=$((i+1)); done"
    )
    with pytest.raises(DeviceError, match="did not arrive complete on cam: at last"):
        deploy_with(f"{say(WANTED)}\n{flood}; cat >/dev/null; echo at last >&2; exit {ExitCode.damaged:d}")


def test_empty_guard_is_brought_again(tmp_path: Path, guard: Path) -> None:
    """A power cut leaves such a file, and a shell runs it without an error."""
    there = Guard(guard, str(tmp_path / "home"))
    with open_local(DEVICE) as device:
        path = Path(ensure_guard(device, there))
        path.write_bytes(b"")
        assert ensure_guard(device, there) == str(path)
    assert path.read_bytes() == guard.read_bytes()


# Folders of other users.


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
    """A place like /tmp: everybody may write there, and remove only what is their own."""
    place = tmp_path / "place"
    place.mkdir()
    place.chmod(0o1777)
    return place


@pytest.mark.parametrize("plant", [plant_link, plant_folder])
@pytest.mark.parametrize("name", ["incamera", "incamera/.guard"])
def test_guard_in_a_folder_of_another_user_is_not_run(
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


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o1777])
def test_own_folder_is_used_and_a_link_where_nobody_else_can_write(
    mode: int, tmp_path: Path, bundle: Path, guard: Path, place: Path
) -> None:
    place.chmod(mode)
    if mode == 0o755:
        plant_link(place / "incamera", tmp_path / "elsewhere")
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    with open_local(DEVICE) as device:
        assert deploy(device, shipment, Guard(guard, str(place))).files_sent == 1
        assert deploy(device, shipment, Guard(guard, str(place))).files_sent == 0


def test_place_in_which_everybody_can_rename_is_not_used(bundle: Path, guard: Path, place: Path) -> None:
    place.chmod(0o777)
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    with (
        open_local(DEVICE) as device,
        pytest.raises(Taken, match=f"everybody can rename folders in {place} on") as error,
    ):
        deploy(device, shipment, Guard(guard, str(place)))
    assert f"chmod +t {place}" in str(error.value.hint)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("plant", [plant_link, plant_folder])
def test_guard_writes_nothing_into_a_folder_of_another_user(
    plant: Plant, tmp_path: Path, bundle: Path, guard: Path, place: Path
) -> None:
    """The guard itself may lie elsewhere."""
    plant(place / "incamera", tmp_path / "elsewhere")
    shipment = plan_shipment("doorbell", bundle, list_tree(bundle))
    with (
        open_local(DEVICE) as device,
        pytest.raises(DeviceError, match=rf"another user has taken {place / 'incamera'} on cam$"),
    ):
        deploy(device, shipment, Guard(guard, str(tmp_path / "home")), route=Route(place=str(place)))
    assert not list((place / "incamera").iterdir())


# How activating can fail.


def test_locked_roots_are_not_taken_for_another_deploy() -> None:
    message = "incamera-guard: another process has been at work for a minute in /tmp/incamera-roots"
    error = explain(LocalTransport(DEVICE), ExitCode.locked, message, "/tmp")
    assert not isinstance(error, CannotActivate)
    assert "at work for a minute in /tmp/incamera-roots" in str(error)
    assert "restart" in str(error.hint)


# What the camera cannot unpack, and other deploys


def test_files_that_do_not_arrive_packed_are_sent_unpacked(
    tmp_path: Path, deploy_with: Callable[..., DeployResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive in pieces begins behind the length of the first, and gzip's with 1f 8b."""
    came = tmp_path / "came"
    wanted = say({**WANTED, "packings": ["gzip"]})
    script = f"""{wanted}
head -c 6 | tail -c 2 | od -An -tx1 >>{came}; cat >/dev/null
[ "$(wc -l <{came})" = 2 ] || {{ echo no memory >&2; exit {ExitCode.damaged:d}; }}
{say(COMPLETE)}"""
    monkeypatch.setattr(LocalTransport, "is_local", False)
    deploy_with(script)
    first, second = came.read_text().splitlines()
    assert first.split() == ["1f", "8b"]
    assert second.split() != first.split()


def test_damaged_files_that_were_not_packed_are_not_sent_again(
    tmp_path: Path, deploy_with: Callable[..., DeployResult]
) -> None:
    script = f"{say(WANTED)}\ncat >/dev/null; echo . >>{tmp_path}/came; exit {ExitCode.damaged:d}"
    with pytest.raises(DeviceError, match="did not arrive complete"):
        deploy_with(script)
    assert (tmp_path / "came").read_text() == ".\n"


@pytest.mark.parametrize(("seconds", "is_told"), [(0.0, False), (1.2, True)])
def test_another_deploy_is_told_of_once_it_has_been_waited_for(
    seconds: float, is_told: bool, deploy_with: Callable[..., DeployResult]
) -> None:
    """A lock and a lease that are about to be let go make two answers at once."""
    waiting = say({"kind": "waiting", "owner": "anna@desk", "app": "", "seconds": 2})
    seen: list[object] = []
    script = f"{waiting}\nsleep {seconds}\n{waiting}\n{say(COMPLETE)}"
    deploy_with(script, observer=Observer(on_wait=lambda other: seen.append(other.owner)))
    assert seen == ["anna@desk"] * is_told
