"""`guard receive` into a folder of several computers: a file, the lease, is the lock that all of them see."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

import incamera.runtime.launcher
from incamera.guard.sync import plan_shipment
from incamera.runtime.launcher.protocol import Waiting, Wanted
from incamera.tree import list_tree

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver, SlowRemoval

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
    """Starts a receiver; `keep` says that another computer has the folder mounted."""

    def one(*words: str, app: str = "doorbell") -> Receiver:
        return receiver(plan_shipment(app, bundle, list_tree(bundle)), "keep", *words)

    return one


def lease_of_another_computer(lease: Path, app: str = "doorbell") -> None:
    """Write the lease of another computer: there is no lock of this kernel, and no process here."""
    lease.parent.mkdir(exist_ok=True)
    lease.write_text(f"{'0' * 16} 000042 {app} alice@desk")


def test_lease_is_there_as_long_as_the_deploy(start: Start, lease: Path) -> None:
    one = start("owner", "bob@lab")
    assert one.offer() == ["app.py"]
    first = lease.read_text()
    assert first.split(" ", 1)[1] == "000000 doorbell bob@lab"
    wait_until(lambda: lease.read_text() != first, "the lease is renewed")
    assert lease.read_text().split()[2:] == ["doorbell", "bob@lab"]
    assert one.send() == 0
    wait_until(lambda: not lease.exists(), "the lease is removed")


@pytest.mark.parametrize("number", [15, 9])
def test_lease_of_a_killed_deploy_is_removed(number: int, start: Start, lease: Path) -> None:
    one = start()
    one.offer()
    one.process.send_signal(number)
    wait_until(lambda: not lease.exists(), "the lease is removed")


def test_second_deploy_waits_for_that_of_another_computer(start: Start, lease: Path) -> None:
    lease_of_another_computer(lease)
    second = start()
    second.send_listing()
    assert second.read_answer() == Waiting(owner="alice@desk", app="", seconds=42)
    lease.unlink()
    assert isinstance(second.await_turn(), Wanted)


def test_deploy_of_another_app_waits_too_and_names_the_other_app(start: Start, lease: Path) -> None:
    lease_of_another_computer(lease, app="gate")
    second = start()
    second.send_listing()
    assert second.read_answer() == Waiting(owner="alice@desk", app="gate", seconds=42)


def test_deploy_that_takes_over_ends_the_other(start: Start, lease: Path) -> None:
    first = start("owner", "bob@lab")
    first.offer()
    # As another computer does it, without a signal.
    lease.unlink()
    lease.write_text("another's")
    assert first.process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert lease.read_text() == "another's", "it is another's lease"
    lease.unlink()
    lease_of_another_computer(lease)
    third = start("owner", "carol@lab", "take-over")
    third.send_listing()
    assert third.read_answer() == Waiting(owner="alice@desk", app="", seconds=42)
    assert isinstance(third.await_turn(), Wanted)
    assert lease.read_text().endswith("carol@lab")


def test_deploy_that_lost_its_lease_completes_no_bundle(start: Start, lease: Path, tmp_path: Path) -> None:
    """Also when it notices only at the last moment."""
    one = start()
    one.offer()
    lease.write_text("another's")
    assert one.send() == -signal.SIGTERM
    assert not (tmp_path / "apps" / "doorbell" / "current").exists()
    assert list((tmp_path / "apps" / "doorbell").glob("*.partial"))


@pytest.fixture
def guard_on_a_share(tmp_path: Path) -> Path:
    """A guard, built for this computer, that takes each folder for a mounted share."""
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if compiler is None:
        pytest.skip("this computer has no C compiler")
    source = tmp_path / "is_shared.c"
    source.write_text('#include "lease.h"\nbool __wrap_is_shared(const char *apps) { return *apps != 0; }\n')
    folder = Path(incamera.runtime.launcher.__file__).parent
    guard = tmp_path / "incamera-guard-share"
    words = ("-std=gnu11", "-Wl,--wrap=is_shared", f"-I{folder}", "-o", guard)
    subprocess.run([compiler, *words, source, *sorted(folder.glob("*.c"))], check=True)
    return guard


def test_deploy_to_a_share_that_only_removes_old_files_says_so_to_others(
    bundle: Path, receiver: Start, lease: Path, guard_on_a_share: Path, slow_removal: SlowRemoval
) -> None:
    """Over SSH, the guard in the camera removes old files itself, after the host has been told that all is there."""
    entries = list_tree(bundle)
    first = receiver(plan_shipment("doorbell", bundle, entries), "owner", "alice@desk", program=guard_on_a_share)
    first.offer()
    assert first.send() == 0
    slow_removal.await_start()
    second = receiver(plan_shipment("gate", bundle, entries), "owner", "bob@lab", program=guard_on_a_share)
    second.send_listing()
    answer = second.read_answer()
    assert isinstance(answer, Waiting)
    assert (answer.owner, answer.app) == ("tidy", "doorbell")
    renewed = lease.read_text()
    wait_until(lambda: lease.read_text() != renewed, "the lease is renewed")
    slow_removal.go_on()
    assert isinstance(second.await_turn(), Wanted)
    assert lease.read_text().endswith(" gate bob@lab")
