"""A folder that several computers write to: their kernels' locks don't meet, a file does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.guard.sync import plan_shipment
from incamera.tree import list_tree

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver

    Start = Callable[..., Receiver]

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    root.mkdir()
    (root / "app.py").write_bytes(os.urandom(100_000))
    return root


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    return tmp_path / "apps" / ".deploying"


@pytest.fixture
def start(bundle: Path, receiver: Start) -> Start:
    """`keep` says that another computer has the folder mounted."""

    def one(*words: str, app: str = "doorbell") -> Receiver:
        return receiver(plan_shipment(app, bundle, list_tree(bundle)), "keep", *words)

    return one


def held_elsewhere(lease: Path, app: str = "doorbell") -> None:
    """Another computer's: no lock of this kernel tells of it, nor a process."""
    lease.parent.mkdir(exist_ok=True)
    lease.write_text(f"{'0' * 16} 000042 {app} alice@desk")


def wait_until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_it_is_there_as_long_as_the_deploy(start: Start, lease: Path) -> None:
    one = start("owner", "bob@lab")
    assert one.offer() == ["app.py"]
    first = lease.read_text()
    assert first.split(" ", 1)[1] == "000000 doorbell bob@lab"
    wait_until(lambda: lease.read_text() != first)
    assert lease.read_text().split()[2:] == ["doorbell", "bob@lab"]
    assert one.send() == 0
    wait_until(lambda: not lease.exists())


@pytest.mark.parametrize("number", [15, 9])
def test_it_goes_with_the_process(number: int, start: Start, lease: Path) -> None:
    one = start()
    one.offer()
    one.process.send_signal(number)
    wait_until(lambda: not lease.exists())


def test_who_comes_second_is_told_of_the_other_computers(start: Start, lease: Path) -> None:
    held_elsewhere(lease)
    second = start()
    second.send_listing()
    assert second.read_line() == b"wait alice@desk 42\n"
    lease.unlink()
    assert second.read_line().startswith(b"send ")


def test_another_app_waits_too_and_is_told_for_which(start: Start, lease: Path) -> None:
    held_elsewhere(lease, app="gate")
    second = start()
    second.send_listing()
    assert second.read_line() == b"wait alice@desk\tgate 42\n"


def test_who_takes_over_ends_the_other(start: Start, lease: Path) -> None:
    first = start("owner", "bob@lab")
    first.offer()
    # As another computer does it: not by a signal.
    lease.unlink()
    lease.write_text("another's")
    assert first.process.wait(20) == -15
    assert lease.read_text() == "another's", "it is not his to remove"
    lease.unlink()
    held_elsewhere(lease)
    third = start("owner", "carol@lab", "take-over")
    third.send_listing()
    assert third.read_line() == b"wait alice@desk 42\n"
    assert third.read_line().startswith(b"send ")
    assert lease.read_text().endswith("carol@lab")


def test_who_lost_it_gives_no_bundle_its_name(start: Start, lease: Path, tmp_path: Path) -> None:
    """Even if that is found only at the last moment."""
    one = start()
    one.offer()
    lease.write_text("another's")
    assert one.send() in (-15, 143)
    assert not (tmp_path / "apps" / "doorbell" / "current").exists()
    assert list((tmp_path / "apps" / "doorbell").glob("*.partial"))
