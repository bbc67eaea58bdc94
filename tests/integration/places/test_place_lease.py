"""One share that a host writes through its own folder and others through the camera: they wait for each other."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.digest import Sha256
from incamera.guard.answers import parse_answer
from incamera.guard.sync import dump_listing
from incamera.runtime.launcher import require_launcher
from incamera.runtime.launcher.protocol import Wanted
from incamera.tree import Entry

from ...waiting import wait_until
from ..cameras import inside
from ..command import Run, command_environment, running
from ..project import add_data, write_project
from .conftest import APP, SHARE, served

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.virtual.camera import VirtualCamera

    from ..line import Line


@pytest.fixture(scope="module")
def shared(context: Context, camera: VirtualCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of this host that the camera has as its share."""
    folder = tmp_path_factory.mktemp("shared")
    with served(context, folder, camera):
        yield folder


@pytest.fixture(scope="module")
def wanted(incamera: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = write_project(tmp_path_factory.mktemp("wanted"), name="wanted", app=APP)
    add_data(project)
    assert incamera("build", "-C", project, "--target", "armv7hf").code == 0
    return project


def holder(shared: Path) -> str:
    """Return the text of the share's lock file; "" when there is none."""
    try:
        return (shared / "incamera" / ".deploying").read_text()
    except FileNotFoundError:
        return ""


TREE = ("--to", "share", "--form", "tree")  # always goes over SSH


@pytest.mark.matrix
def test_host_waits_for_a_deploy_through_the_camera_unless_it_takes_over(
    incamera: Run, camera: VirtualCamera, shared: Path, wanted: Path, other_host: tuple[Line, dict[str, str]]
) -> None:
    line, alice = other_host
    words = ("deploy", "-C", wanted, "--device", camera.name, "--to", "share")
    sent = line.sent
    with running("deploy", "-C", wanted, "--device", "far", *TREE, env=command_environment(alice)) as first:
        wait_until(lambda: line.sent > sent + 500_000 or first.process.poll() is not None, "some of it is sent")
        assert first.process.poll() is None, first.text
        assert re.fullmatch(r"[0-9a-f]{16} \d{6} (wanted|\.images) alice@\S+", holder(shared))
        line.freeze()
        with running(*words, env=command_environment({"LOGNAME": "bob"})) as second:
            wait_until(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second waits")
            assert re.search(r"alice@\S+ has been deploying wanted to \S+ for \d+ s: waiting; --take-over", second.text)
            second.press_ctrl_c()
            assert second.finish() == 130
        done = incamera(*words, "--take-over", env={"LOGNAME": "bob"})
        assert done.code == 0, done.err
        assert "receive" not in inside(camera, "ps | grep 'incamera-guard.* receive' | grep -v grep")
        first.process.kill()
    wait_until(lambda: not holder(shared), "the lock file is removed")
    assert incamera("run", "-q", "-C", wanted, "--device", camera.name, "--to", "share").out.startswith("from ")


@pytest.mark.matrix
def test_deploy_through_the_camera_waits_for_the_host(
    incamera: Run, camera: VirtualCamera, shared: Path, wanted: Path, tmp_path: Path
) -> None:
    guard = tmp_path / "incamera-guard-host"
    shutil.copy(require_launcher(platform.machine()), guard)
    listing = dump_listing([Entry("app.py", Sha256("0" * 64), 1)])
    words: list[str | Path] = [
        guard,
        "receive",
        shared / "incamera",
        "gate",
        "its-digest",
        "keep",
        "owner",
        "carol@desk",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        host.stdin.write(b"%d\n" % len(listing) + listing)
        host.stdin.flush()
        wanted_by_guard = parse_answer(host.stdout.readline())
        assert isinstance(wanted_by_guard, Wanted)
        assert wanted_by_guard.missing == ((0, 0),)
        with running("deploy", "-C", wanted, "--device", camera.name, *TREE, env=command_environment()) as second:
            wait_until(lambda: b"waiting" in second.err or second.process.poll() is not None, "the second waits")
            assert re.search(r"carol@desk has been deploying gate to \S+ for \d+ s: waiting", second.text)
            host.kill()
            # The lock ends with the process that has it: the second need not wait until it counts as stale.
            wait_until(lambda: "carol" not in holder(shared) and holder(shared), "the second goes on")
            second.press_ctrl_c()
            assert second.finish() == 130
    wait_until(lambda: not holder(shared), "the lock file is removed")


@pytest.mark.matrix
def test_stale_lock_is_removed(incamera: Run, camera: VirtualCamera, shared: Path, wanted: Path) -> None:
    # The lock file of a host that was switched off: nobody renews it.
    (shared / "incamera").mkdir(exist_ok=True)
    (shared / "incamera" / ".deploying").write_text(f"{'0' * 16} 000042 wanted dave@gone")
    done = incamera("deploy", "-C", wanted, "--device", camera.name, "--to", "share")
    assert done.code == 0, done.err
    assert "dave@gone has been deploying wanted" in done.err
    assert "dave" not in inside(camera, f"cat {SHARE}/incamera/.deploying 2>&1")
