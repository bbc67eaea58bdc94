"""`guard receive`: an image is on the device once, complete or not at all, as long as a bundle names it."""

from __future__ import annotations

import functools
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.guard.sync import Shipment, ShippedImage, plan_shipment
from incamera.runtime.launcher.protocol import ExitCode, Waiting, Wanted
from incamera.targets.form import Form
from incamera.tree import list_tree

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver, SlowRemoval

    Start = Callable[..., Receiver]

pytestmark = pytest.mark.starts_processes

SIZE = 700_000


@pytest.fixture
def app(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "app").mkdir(parents=True)
    (root / "app" / "app.py").write_text("print(1)\n")
    return root


def make_image(tmp_path: Path, data: bytes | None = None) -> ShippedImage:
    data = os.urandom(SIZE) if data is None else data
    digest = hashlib.sha256(data).hexdigest()
    path = tmp_path / f"{digest}.squashfs"
    path.write_bytes(data)
    return ShippedImage(form=Form.squashfs, file=path.name, path=path, size=len(data))


def ship(app: Path, image: ShippedImage, name: str = "doorbell", **extra: bytes) -> Shipment:
    text = f"form squashfs\nfile {image.file}\nsize {image.size}\n".encode()
    return plan_shipment(name, app, list_tree(app), extra_files={"image": text, **extra}, image=image)


def deploy(start: Start, shipment: Shipment, *words: str) -> bool:
    """Returns whether the image was asked for."""
    receiver = start(shipment, *words)
    receiver.offer()
    assert receiver.finish() == 0, receiver.stderr
    return receiver.image_from is not None


def images(tmp_path: Path) -> list[str]:
    folder = tmp_path / "apps" / ".images"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def test_image_is_sent_once_for_all_versions_and_apps(app: Path, tmp_path: Path, receiver: Start) -> None:
    image = make_image(tmp_path)
    assert deploy(receiver, ship(app, image))
    assert (tmp_path / "apps" / ".images" / image.file).read_bytes() == image.path.read_bytes()
    assert not deploy(receiver, ship(app, image))
    assert not deploy(receiver, ship(app, image, edited=b"1"))
    assert not deploy(receiver, ship(app, image, name="gate"))
    assert images(tmp_path) == [image.file]


@pytest.mark.parametrize("cut", [0, 300_000])
def test_interrupted_image_is_not_used_and_the_rest_is_sent_later(
    cut: int, app: Path, tmp_path: Path, receiver: Start
) -> None:
    image = make_image(tmp_path)
    first = receiver(ship(app, image))
    first.offer()
    assert first.send(cut=cut) == ExitCode.interrupted
    assert not (tmp_path / "apps" / ".images" / image.file).exists()
    assert not (tmp_path / "apps" / "doorbell" / "current").exists()
    second = receiver(ship(app, image))
    second.offer()
    assert second.image_from == cut
    assert second.send() == 0
    assert (tmp_path / "apps" / ".images" / image.file).read_bytes() == image.path.read_bytes()


def test_interrupted_image_that_is_read_only_is_written_anew(
    app: Path, tmp_path: Path, receiver: Start, guard: Path
) -> None:
    if os.geteuid() == 0:  # who may write to any file, unless that is taken away
        limited = tmp_path / "incamera-guard-limited"
        limited.write_text(f'#!/bin/sh\nexec setpriv --bounding-set=-dac_override "{guard}" "$@"\n')
        limited.chmod(0o755)
        receiver = functools.partial(receiver, program=limited)
    image = make_image(tmp_path)
    partial = tmp_path / "apps" / ".images" / f"{image.file}.partial"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(image.path.read_bytes())
    partial.chmod(0o444)
    assert deploy(receiver, ship(app, image))
    assert images(tmp_path) == [image.file]


def test_image_that_does_not_match_its_digest_is_refused(app: Path, tmp_path: Path, receiver: Start) -> None:
    image = make_image(tmp_path)
    image.path.write_bytes(os.urandom(SIZE))
    first = receiver(ship(app, image))
    first.offer()
    assert first.send() == ExitCode.damaged
    assert b"not what its name says" in first.stderr
    assert images(tmp_path) == []
    assert not (tmp_path / "apps" / "doorbell" / "current").exists()


def test_lost_image_is_sent_again(app: Path, tmp_path: Path, receiver: Start) -> None:
    image = make_image(tmp_path)
    deploy(receiver, ship(app, image))
    (tmp_path / "apps" / ".images" / image.file).unlink()
    assert deploy(receiver, ship(app, image))
    assert images(tmp_path) == [image.file]


def test_image_that_no_bundle_names_is_removed(app: Path, tmp_path: Path, receiver: Start) -> None:
    old, shared, new = (make_image(tmp_path) for _ in range(3))
    deploy(receiver, ship(app, old))
    deploy(receiver, ship(app, shared, name="gate"))
    deploy(receiver, ship(app, new))
    # The previous version is kept, and with it what it runs from.
    assert images(tmp_path) == sorted([old.file, shared.file, new.file])
    deploy(receiver, ship(app, new, edited=b"1"))
    wait_until(lambda: images(tmp_path) == sorted([shared.file, new.file]), "the old image is removed")


def test_runtime_as_a_tree_is_sent_before_the_bundle(app: Path, tmp_path: Path, receiver: Start) -> None:
    runtime = tmp_path / "runtime"
    (runtime / "bin").mkdir(parents=True)
    (runtime / "bin" / "python3").write_bytes(b"program")
    entries = tuple(list_tree(runtime))
    image = ShippedImage(form=Form.tree, file="0" * 64, path=runtime, size=0, entries=entries)
    shipment = ship(app, image)
    first = receiver(shipment)
    assert first.offer() is None
    assert first.end() == ExitCode.image_missing
    assert not (tmp_path / "apps" / "doorbell" / "current").exists(), "a bundle without its runtime"
    second = receiver(Shipment(app=".images", root=runtime, entries=entries), name=image.file)
    second.offer()
    assert second.send() == 0
    assert (tmp_path / "apps" / ".images" / image.file / "bin" / "python3").read_bytes() == b"program"
    assert not deploy(receiver, shipment)
    assert not (tmp_path / "apps" / ".images" / "current").exists()


def test_old_bundles_on_a_share_are_kept_until_tidy(app: Path, tmp_path: Path, guard: Path, receiver: Start) -> None:
    """A camera has the folder mounted: what runs from it cannot be seen here."""
    shared = [make_image(tmp_path) for _ in range(3)]
    shipments = [ship(app, image) for image in shared]
    for shipment in shipments:
        deploy(receiver, shipment, "keep")
    assert images(tmp_path) == sorted(image.file for image in shared)
    current = tmp_path / "apps" / "doorbell" / "current"
    assert not current.is_symlink(), "a share's server would follow it"
    assert current.read_text() == shipments[2].name
    words: list[str | Path] = [guard, "tidy", tmp_path / "apps", "doorbell", shipments[2].name, shipments[1].name]
    subprocess.run(words, check=True)
    assert images(tmp_path) == sorted([shared[1].file, shared[2].file])
    assert not (tmp_path / "apps" / "doorbell" / shipments[0].name).exists()


def assert_waits_for(receiver: Receiver, owner: str) -> None:
    answer = receiver.read_answer()
    assert isinstance(answer, Waiting)
    assert answer.owner == owner


def test_waiting_deploy_names_the_owner_and_may_take_over(app: Path, tmp_path: Path, receiver: Start) -> None:
    first = receiver(ship(app, make_image(tmp_path)), "owner", "alice@desk")
    first.offer()
    second = receiver(ship(app, make_image(tmp_path)), "owner", "bob@lab")
    second.send_listing()
    assert_waits_for(second, "alice@desk")
    assert first.process.poll() is None
    second.process.kill()
    third = receiver(ship(app, make_image(tmp_path)), "owner", "carol@lab", "take-over")
    third.send_listing()
    assert_waits_for(third, "alice@desk")
    assert isinstance(third.await_turn(), Wanted)
    assert first.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    # The kernel frees the lock of a process that was killed.
    third.process.kill()
    assert deploy(receiver, ship(app, make_image(tmp_path)))


def ship_runtime(tmp_path: Path, digit: str) -> Callable[[Start, str], Receiver]:
    """Returns what starts to bring a runtime as a tree, for an owner."""
    runtime = tmp_path / f"runtime-{digit}"
    runtime.mkdir()
    (runtime / "python3").write_text(digit)
    shipment = Shipment(app=".images", root=runtime, entries=tuple(list_tree(runtime)))
    return lambda start, owner: start(shipment, "owner", owner, name=digit * 64)


def test_runtime_that_waits_for_a_bundle_names_who_deploys_the_bundle(
    app: Path, tmp_path: Path, receiver: Start
) -> None:
    earlier = ship_runtime(tmp_path, "1")(receiver, "alice@desk")
    earlier.offer()
    assert earlier.send() == 0
    receiver(ship(app, make_image(tmp_path)), "owner", "bob@lab").offer()
    second = ship_runtime(tmp_path, "2")(receiver, "carol@lab")
    second.send_listing()
    assert_waits_for(second, "bob@lab")


def test_runtime_does_not_wait_for_a_deploy_that_only_removes_runtimes(
    app: Path, tmp_path: Path, receiver: Start, slow_removal: SlowRemoval
) -> None:
    earlier = ship_runtime(tmp_path, "1")(receiver, "alice@desk")
    earlier.offer()
    assert earlier.send() == 0
    bundle = receiver(plan_shipment("doorbell", app, list_tree(app)), "owner", "bob@lab")
    bundle.offer()
    assert bundle.send() == 0
    slow_removal.await_start()
    second = ship_runtime(tmp_path, "2")(receiver, "carol@lab")
    second.send_listing()
    answer = second.read_answer()
    if isinstance(answer, Waiting):
        assert answer.owner == "tidy", "the deploy of alice is over"
        answer = second.read_answer()
    assert isinstance(answer, Wanted)
