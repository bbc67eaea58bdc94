"""`guard activate`, `adopt` and `receive … activate`, for bundles that are trees: they run where they are."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from incamera.guard.answers import parse_answer
from incamera.runtime.launcher.protocol import Activated, Answer, Complete, ExitCode

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver

    from incamera.guard.sync import Shipment

    Start = Callable[..., Receiver]
    Ship = Callable[..., Shipment]

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "python3").write_text("program")
    return root


@pytest.fixture
def ask(guard: Path) -> Callable[..., tuple[int, list[Answer]]]:
    """Runs a verb of the guard. Returns its exit code and its answers."""

    def ask(*words: str | Path) -> tuple[int, list[Answer]]:
        done = subprocess.run([guard, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
        return done.returncode, [parse_answer(line) for line in done.stdout.splitlines()]

    return ask


Ask = Callable[..., tuple[int, list[Answer]]]


def test_tree_runs_where_it_is(bundle: Path, ask: Ask) -> None:
    assert ask("activate", bundle) == (0, [Activated(root=str(bundle))])


@pytest.mark.parametrize("name", ["bundle/bin", "nothing"])
def test_folder_without_python_is_no_bundle(name: str, bundle: Path, tmp_path: Path, ask: Ask) -> None:
    assert ask("activate", tmp_path / name) == (ExitCode.image_damaged, [])


def test_received_bundle_is_activated_at_once(bundle: Path, receiver: Start, ship: Ship) -> None:
    one = receiver(ship(bundle), "activate")
    assert one.offer() == ["bin/python3"]
    assert one.finish() == 0
    assert one.answers[-2:] == [Complete(previous="", repaired=False), Activated(root=str(folder_of(one)))]


def test_bundle_that_was_there_is_activated_at_once(bundle: Path, receiver: Start, ship: Ship) -> None:
    first = receiver(ship(bundle))
    first.offer()
    first.finish()
    again = receiver(ship(bundle), "activate")
    assert again.offer() is None
    assert again.finish() == 0
    assert again.answers[-2:] == [Complete(previous="", repaired=False), Activated(root=str(folder_of(first)))]


def test_bundle_from_another_computer_is_adopted(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship, ask: Ask
) -> None:
    old, previous, newest = (receiver(ship(bundle, version=bytes([number])), "keep") for number in range(3))
    for one in (old, previous, newest):
        one.offer()
        assert one.finish() == 0
    assert newest.complete == Complete(previous=previous.shipment.name, repaired=False)
    words = [tmp_path / "apps", "doorbell", newest.shipment.name, "previous", previous.shipment.name]
    assert ask("adopt", *words, "activate") == (0, [Activated(root=str(folder_of(newest)))])
    wait_until(lambda: not folder_of(old).exists(), "the old bundle is removed")
    assert folder_of(previous).exists()


def test_bundle_that_does_not_appear_is_reported(tmp_path: Path, ask: Ask) -> None:
    assert ask("adopt", tmp_path, "doorbell", "name", "looks", "2", "activate") == (ExitCode.not_seen, [])


def test_bundle_that_appears_late_is_adopted(bundle: Path, tmp_path: Path, guard: Path) -> None:
    folder = tmp_path / "apps" / "doorbell" / "name"
    words: list[str | Path] = [guard, "adopt", tmp_path / "apps", "doorbell", "name", "looks", "60", "activate"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as adopt:
        wait_until(lambda: b"\0adopt\0" in Path(f"/proc/{adopt.pid}/cmdline").read_bytes(), "the guard runs")
        folder.parent.mkdir(parents=True)
        (bundle / ".incamera-entries").write_text("")
        bundle.rename(folder)
        assert parse_answer(adopt.communicate()[0]) == Activated(root=str(folder))


def folder_of(receiver: Receiver) -> Path:
    return receiver.apps / receiver.shipment.app / receiver.shipment.name
