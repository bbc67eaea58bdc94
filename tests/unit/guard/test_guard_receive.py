"""`guard receive`: only what changed is sent, and an interrupted deploy leaves what ran before untouched."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera.digest import Sha256
from incamera.guard.answers import parse_answer
from incamera.guard.packing import Packing, end_archive, frame
from incamera.guard.sync import Shipment
from incamera.runtime.launcher.protocol import ExitCode, Verified, Waiting, Wanted
from incamera.tree import Entry, list_tree

if TYPE_CHECKING:
    from tests.unit.guard.conftest import Receiver

    Start = Callable[..., Receiver]
    Ship = Callable[..., Shipment]

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    (root / "lib" / "deep").mkdir(parents=True)
    (root / "bin").mkdir()
    (root / "bin" / "python3").write_bytes(b"program" * 1000)
    (root / "bin" / "python3").chmod(0o755)
    (root / "bin" / "python").symlink_to("python3")
    (root / "lib" / "a.py").write_text("a = 1\n")
    (root / "lib" / "deep" / "name with ünicode").write_bytes(os.urandom(300_000))
    (root / "lib" / "empty").write_bytes(b"")
    (root / "lib" / ("long" * 60)).write_text("a name longer than tar's old field\n")
    return root


def deploy(start: Start, shipment: Shipment, *words: str, repaired: bool = False) -> list[str] | None:
    """Deploy as a host does. Returns the paths that were sent, None if nothing was."""
    receiver = start(shipment, *words)
    missing = receiver.offer()
    assert receiver.finish() == 0, receiver.stderr
    assert receiver.repaired == repaired
    return missing


def current(tmp_path: Path, app: str = "doorbell") -> Path:
    return (tmp_path / "apps" / app / "current").resolve()


def listed(root: Path) -> list[Entry]:
    return [entry for entry in list_tree(root) if entry.path != ".incamera-entries"]


def bundles(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "apps" / "doorbell").iterdir() if path.is_dir() and not path.is_symlink()}


def test_first_bundle_arrives_unchanged(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    shipment = ship(bundle)
    missing = deploy(receiver, shipment)
    assert missing == [entry.path for entry in shipment.entries if not entry.link]
    assert current(tmp_path).name == shipment.name
    assert listed(current(tmp_path)) == list_tree(bundle)
    assert stat.S_IMODE((current(tmp_path) / "lib" / "a.py").stat().st_mode) == 0o444


def test_same_bundle_is_not_sent_again(bundle: Path, receiver: Start, ship: Ship) -> None:
    deploy(receiver, ship(bundle))
    assert deploy(receiver, ship(bundle)) is None


def test_only_changed_files_are_sent(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    deploy(receiver, ship(bundle))
    before = current(tmp_path)
    (bundle / "lib" / "a.py").write_text("a = 2\n")
    (bundle / "lib" / "deep" / "name with ünicode").rename(bundle / "renamed")
    assert deploy(receiver, ship(bundle)) == ["lib/a.py"]
    after = current(tmp_path)
    assert listed(after) == list_tree(bundle)
    assert (before / "lib" / "a.py").read_text() == "a = 1\n"
    # The same bytes lie on the device once.
    assert (after / "renamed").samefile(before / "lib" / "deep" / "name with ünicode")


def test_files_of_another_app_are_not_sent_again(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    deploy(receiver, ship(bundle))
    assert deploy(receiver, ship(bundle, app="gate", **{"gate.py": b"pass"})) == ["gate.py"]
    assert listed(current(tmp_path, "gate"))[:-1] != []
    assert current(tmp_path).parent.name == "doorbell"


@pytest.mark.parametrize("cut", [0, 20_000, 200_000])
def test_cut_connection_leaves_the_old_bundle_and_the_next_deploy_resumes(
    cut: int, bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    deploy(receiver, ship(bundle))
    before = current(tmp_path)
    (bundle / "lib" / "a.py").write_text("a = 3\n")
    (bundle / "lib" / "big").write_bytes(os.urandom(400_000))
    shipment = ship(bundle)

    first = receiver(shipment)
    assert first.offer() == ["lib/a.py", "lib/big"]
    assert first.send(cut=cut) == ExitCode.damaged
    assert current(tmp_path) == before
    assert shipment.name not in bundles(tmp_path)

    # What came whole is not sent again: that is lib/a.py, if anything.
    assert deploy(receiver, shipment) == (["lib/a.py", "lib/big"] if cut == 0 else ["lib/big"])
    assert listed(current(tmp_path)) == list_tree(bundle)
    wait_until(
        lambda: not [name for name in bundles(tmp_path) if name.endswith(".partial")], "the partial bundle is removed"
    )


def test_archives_may_be_packed_in_different_ways(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    for number in range(8):
        (bundle / "lib" / f"part{number}").write_bytes(os.urandom(100_000) + bytes(50_000))
    first = receiver(ship(bundle))
    assert first.offer()
    assert set(first.packings) == {"gzip", "xz"}
    assert first.send(packings=(Packing.xz, Packing.none, Packing.more, Packing.xz)) == 0
    assert listed(current(tmp_path)) == list_tree(bundle)


def test_unxz_that_does_not_unpack_is_not_used(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bundle / "lib" / "large").write_bytes(os.urandom(1_200_000))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "unxz").write_text("#!/bin/sh\necho unxz: applet not found >&2; exit 127\n")
    (programs / "unxz").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    first = receiver(ship(bundle))
    assert first.offer()
    assert first.packings == ("gzip",)
    assert first.send(packings=(Packing.more,)) == 0


# Behind the first file comes a number that the guard has not asked for.
@pytest.mark.parametrize("what", ["no entry", "a link", "a file that is there"])
def test_number_that_was_not_asked_for_ends_the_archive(
    what: str, bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    deploy(receiver, ship(bundle))
    (bundle / "lib" / "a.py").write_text("new")
    (bundle / "lib" / "z.py").write_text("newer")
    shipment = ship(bundle)
    paths = [entry.path for entry in shipment.entries]
    wrong = paths.index({"a link": "bin/python", "a file that is there": "lib/empty"}.get(what, paths[0]))
    parts = [number(paths.index("lib/a.py")), b"new", number(len(paths) if what == "no entry" else wrong)]
    archive = b"".join([*parts, number(paths.index("lib/z.py")), b"newer"])
    first = receiver(shipment)
    assert first.offer() == ["lib/a.py", "lib/z.py"]
    assert first.process.stdin is not None
    first.process.stdin.write(b"".join(frame(archive)) + end_archive())
    assert first.end() == ExitCode.damaged
    assert b"damaged: lib/z.py" in first.stderr
    assert deploy(receiver, shipment) == ["lib/z.py"]
    assert listed(current(tmp_path)) == list_tree(bundle)


def number(entry: int) -> bytes:
    return struct.pack(">I", entry)


def test_file_in_the_way_is_replaced_and_a_link_is_not_followed(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    shipment = ship(bundle)
    first = receiver(shipment)
    assert first.offer()
    (partial,) = (tmp_path / "apps" / "doorbell").glob("*.partial")
    (tmp_path / "important").write_text("important")
    (partial / "lib").mkdir(exist_ok=True)
    (partial / "lib" / "a.py").symlink_to(tmp_path / "important")
    (partial / "lib" / "empty").write_text("from an earlier try")
    assert first.send() == 0
    assert (tmp_path / "important").read_text() == "important"
    assert listed(current(tmp_path)) == list_tree(bundle)
    assert all((current(tmp_path) / name).stat().st_mode & 0o777 == 0o444 for name in ("lib/a.py", "lib/empty"))


@pytest.mark.parametrize("packing", [Packing.fast, Packing.xz])
def test_packed_archive_that_is_cut_off_is_resumed(
    packing: Packing, bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    (bundle / "lib" / "zz").write_bytes(os.urandom(400_000))
    shipment = ship(bundle)
    first = receiver(shipment)
    assert first.offer()
    assert first.send(cut=300_000, packings=(packing,)) == ExitCode.damaged
    assert "lib/zz" in (deploy(receiver, shipment) or [])
    assert listed(current(tmp_path)) == list_tree(bundle)


def test_files_of_an_interrupted_deploy_are_used_by_the_next_bundle(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    (bundle / "lib" / "zz").write_bytes(os.urandom(400_000))
    first = receiver(ship(bundle))
    assert first.offer()
    assert first.send(cut=500_000) == ExitCode.damaged
    (bundle / "lib" / "a.py").write_text("edited meanwhile\n")
    missing = deploy(receiver, ship(bundle))
    assert missing == ["lib/a.py", "lib/zz"]
    assert listed(current(tmp_path)) == list_tree(bundle)


def test_file_that_does_not_match_its_digest_is_refused(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    shipment = ship(bundle)
    size = (bundle / "bin" / "python3").stat().st_size
    (bundle / "bin" / "python3").write_bytes(b"x" * size)
    first = receiver(shipment)
    first.offer()
    assert first.send() == ExitCode.damaged
    assert b"bin/python3" in first.stderr
    assert not current(tmp_path).exists()


def test_file_changed_on_the_device_is_sent_again(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    shipment = ship(bundle)
    deploy(receiver, shipment)
    changed = current(tmp_path) / "lib" / "a.py"
    changed.chmod(0o644)
    changed.write_text("a = 9\n")
    (current(tmp_path) / "bin" / "python").unlink()
    assert deploy(receiver, shipment, repaired=True) == ["lib/a.py"]
    assert current(tmp_path).name == shipment.name
    assert listed(current(tmp_path)) == list_tree(bundle)


def test_file_changed_on_the_device_is_not_reused_for_the_next_bundle(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    deploy(receiver, ship(bundle))
    changed = current(tmp_path) / "lib" / "a.py"
    changed.chmod(0o644)
    changed.write_text("a = 9\n")
    assert deploy(receiver, ship(bundle, new=b"new")) == ["lib/a.py", "new"]


def test_previous_bundle_is_kept_and_older_ones_are_removed(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    shipments = [ship(bundle, version=bytes([number])) for number in range(4)]
    for shipment in shipments:
        deploy(receiver, shipment)
    # That is done when the host has its answer already.
    wait_until(lambda: bundles(tmp_path) == {shipments[2].name, shipments[3].name}, "older bundles are removed")


def tidy(guard: Path, tmp_path: Path, name: str, previous: str) -> subprocess.Popen[bytes]:
    words: list[str | Path] = [guard, "tidy", tmp_path / "apps", "doorbell", name, previous]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def test_tidy_keeps_bundles_that_came_later(
    bundle: Path, tmp_path: Path, guard: Path, receiver: Start, ship: Ship
) -> None:
    old, first, second, newest = (ship(bundle, version=bytes([number])) for number in range(4))
    for shipment in (old, first, second, newest):
        deploy(receiver, shipment, "keep")
    with tidy(guard, tmp_path, second.name, first.name) as late:
        assert late.wait(PATIENCE_SECONDS) == 0
    assert bundles(tmp_path) == {old.name, first.name, second.name, newest.name}
    with tidy(guard, tmp_path, newest.name, second.name) as last:
        assert last.wait(PATIENCE_SECONDS) == 0
    assert bundles(tmp_path) == {second.name, newest.name}


def test_tidy_waits_for_a_deploy(bundle: Path, tmp_path: Path, guard: Path, receiver: Start, ship: Ship) -> None:
    old, first, second = (ship(bundle, version=bytes([number])) for number in range(3))
    for shipment in (old, first, second):
        deploy(receiver, shipment, "keep")
    with (tmp_path / "apps" / "doorbell" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = tidy(guard, tmp_path, second.name, first.name)
        assert waiting.stdout is not None
        assert isinstance(parse_answer(waiting.stdout.readline()), Waiting)
        assert bundles(tmp_path) == {old.name, first.name, second.name}
    with waiting:
        assert waiting.wait(PATIENCE_SECONDS) == 0
    assert bundles(tmp_path) == {first.name, second.name}


def test_bundle_that_a_process_runs_from_is_kept(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    shutil.copy("/bin/sleep", bundle / "bin" / "sleep")
    first = ship(bundle)
    deploy(receiver, first)
    with subprocess.Popen([current(tmp_path) / "bin" / "sleep", "60"]) as running:
        try:
            for number in range(3):
                deploy(receiver, ship(bundle, version=bytes([number])))
            assert first.name in bundles(tmp_path)
        finally:
            running.kill()
    deploy(receiver, ship(bundle, version=b"last"))
    wait_until(lambda: first.name not in bundles(tmp_path), "the first bundle is removed")


def test_second_deploy_waits_for_the_first(bundle: Path, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    shipment = ship(bundle)
    folder = tmp_path / "apps" / "doorbell"
    folder.mkdir(parents=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = receiver(shipment)
        second.send_listing()
        assert second.read_answer() == Waiting(owner="", app="", seconds=0)
    assert isinstance(second.read_answer(), Wanted)


# Holds the lock as a deploy that is over and removes old bundles: so slowly that it never ends.
_TIDYING = """
import fcntl, os, time
lock = open(".lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
lock.write(f"{os.getpid()} {int(time.time())} tidy")
lock.flush()
print(flush=True)
time.sleep(600)
"""


def test_deploy_does_not_wait_for_one_that_only_tidies(
    bundle: Path, tmp_path: Path, receiver: Start, ship: Ship
) -> None:
    folder = tmp_path / "apps" / "doorbell"
    folder.mkdir(parents=True)
    (folder / "receive").write_text(_TIDYING)
    words = ["incamera-guard-1", "receive"]
    with subprocess.Popen(words, executable=sys.executable, cwd=folder, stdout=subprocess.PIPE) as tidying:
        assert tidying.stdout is not None
        tidying.stdout.readline()
        second = receiver(ship(bundle))
        second.offer()
        assert second.finish() == 0
        assert tidying.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    told = [answer for answer in second.answers if isinstance(answer, Waiting)]
    assert len(told) <= 1  # a second one would be shown to the user


@pytest.mark.parametrize("path", ["../out", "/etc/out", "lib/../../out", ".."])
def test_path_out_of_the_bundle_is_refused(path: str, tmp_path: Path, receiver: Start) -> None:
    shipment = Shipment(app="doorbell", root=tmp_path, entries=(Entry(path, Sha256("0" * 64), 1),))
    one = receiver(shipment)
    assert one.offer() is None
    assert one.end() == ExitCode.usage
    assert not (tmp_path / "apps").exists()


@pytest.mark.parametrize("size", [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 121, 128, 65_535, 65_536, 65_537])
def test_file_of_any_size_has_the_right_digest(size: int, tmp_path: Path, receiver: Start, ship: Ship) -> None:
    root = tmp_path / "sizes"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(size))
    assert deploy(receiver, ship(root)) == ["file"]


def test_verify_lists_changed_and_lost_files(
    bundle: Path, tmp_path: Path, guard: Path, receiver: Start, ship: Ship
) -> None:
    deploy(receiver, ship(bundle))
    command: list[str | Path] = [guard, "verify", current(tmp_path)]
    assert verify(command) == ()
    changed = current(tmp_path) / "lib" / "a.py"
    times = changed.stat()
    changed.chmod(0o644)
    changed.write_text("a = 7\n")
    os.utime(changed, ns=(times.st_atime_ns, times.st_mtime_ns))
    (current(tmp_path) / "lib" / "empty").unlink()
    assert verify(command) == ("lib/a.py", "lib/empty")


def verify(command: list[str | Path]) -> tuple[str, ...]:
    answer = parse_answer(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    assert isinstance(answer, Verified)
    return answer.changed
