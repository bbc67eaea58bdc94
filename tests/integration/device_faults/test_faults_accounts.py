"""Several accounts of one camera: none shuts out another, or has root work on files that are not its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ...waiting import wait_until
from ..cameras import add_account, inside, write_ssh_home
from ..command import Run, assert_error, command_environment, running
from ..project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

IMPORTANT = "/usr/local/packages/important"
LOOK = f"stat -c '%a %u' {IMPORTANT}; cat {IMPORTANT}/config"


@pytest.fixture
def maker(camera: VirtualCamera, tmp_path: Path) -> dict[str, str]:
    """The environment of a user who reaches the camera as `maker`, and is not root there."""
    return add_account(camera, "maker", tmp_path / "maker")


@pytest.fixture
def important(camera: VirtualCamera) -> Iterator[None]:
    """A folder that must stay as it is."""
    inside(camera, f"mkdir -m 711 {IMPORTANT}; echo precious >{IMPORTANT}/config")
    before = inside(camera, LOOK)
    yield
    after = inside(camera, f"{LOOK}; rm -r {IMPORTANT}")
    assert after == before


@pytest.mark.matrix
def test_second_account_deploys_runs_and_looks_beside_the_first(
    app: Path, maker: dict[str, str], incamera: Run, camera: VirtualCamera
) -> None:
    on = ("-C", app, "--device", "maker")
    ran = incamera("run", "-q", *on, "--", "print", "hello", env=maker)
    assert (ran.code, ran.out) == (0, "hello\n"), ran.err
    done = json.loads(incamera("deploy", "--json", *on, env=maker).out)
    assert done["destination"].startswith("/tmp/incamera-u1000/faulty/")
    facts = json.loads(incamera("device", "info", "maker", "--json", "--no-speed", env=maker).out)["facts"]
    ram = next(place for place in facts["places"] if place["path"] == "/tmp")
    assert (facts["user"], ram["folder"], ram["apps"]) == ("maker", "incamera-u1000", ["faulty"])
    # The first one's is as it was.
    assert incamera("deploy", "-C", app, "--device", camera.name).code == 0
    assert inside(camera, "find /tmp/incamera /tmp/incamera-roots -user maker") == ""


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ("chmod 0777 /tmp", "everybody can rename folders in /tmp on", r"chmod \+t /tmp"),
        ("chmod 0755 /tmp", "maker cannot write to /tmp on maker", "chmod 1777 /tmp"),
        ("dd if=/dev/zero of=/tmp/fill bs=64k", "maker has no space left in /tmp", "du -k /tmp"),
    ],
    ids=["not-sticky", "closed", "full"],
)
def test_tmp_in_which_no_run_can_have_its_folder_is_told_before_anything_is_sent(
    change: str,
    message: str,
    hint: str,
    app: Path,
    maker: dict[str, str],
    incamera: Run,
    camera: VirtualCamera,
) -> None:
    inside(camera, change)
    try:
        for command in ("run", "deploy"):
            assert_error(incamera(command, "-q", "-C", app, "--device", "maker", env=maker), 4, message, hint)
        info = incamera("device", "info", "maker", "--no-speed", env=maker)
        assert (info.code, "cannot be used: " in info.out) == (0, True), info.err
        listed = incamera("device", "clean", "maker", "--dry-run", env=maker)
        assert listed.code == 0, listed.err
    finally:
        inside(camera, "rm -f /tmp/fill; chmod 1777 /tmp")


@pytest.mark.matrix
def test_one_account_with_two_names_has_one_folder(
    app: Path, maker: dict[str, str], incamera: Run, camera: VirtualCamera, tmp_path: Path
) -> None:
    inside(camera, "grep -q ^second: /etc/passwd || echo second:x:1000:1000:second:/run/maker:/bin/sh >>/etc/passwd")
    second = write_ssh_home(tmp_path / "second", "second", camera, port=camera.ssh_port, user="second")
    assert incamera("deploy", "-C", app, "--device", "maker", env=maker).code == 0
    done = json.loads(incamera("deploy", "--json", "-C", app, "--device", "second", env=second).out)
    assert (done["files_sent"], done["destination"].split("/")[2]) == (0, "incamera-u1000")
    ran = incamera("run", "-q", "-C", app, "--device", "second", "--", "print", "hello", env=second)
    assert (ran.code, ran.out) == (0, "hello\n"), ran.err
    inside(camera, "sed -i /^second:/d /etc/passwd")


def test_clean_ends_with_nothing_to_remove(maker: dict[str, str], incamera: Run, camera: VirtualCamera) -> None:
    """It brings the guard each time, which does the work, and is not to be found by the next `device clean`."""
    old = "/run/maker/incamera/.guard"  # one in another place, as a deploy leaves it where /tmp cannot be used
    inside(camera, f"mkdir -p -m 700 {old}; echo >{old}/incamera-guard-0123; chown -R maker /run/maker/incamera")
    clean = ("device", "clean", "maker", "--yes", "--data")
    assert incamera(*clean, env=maker).code == 0
    again = incamera(*clean, env=maker)
    assert (again.code, again.out) == (0, ""), again.err
    assert "nothing to remove from maker" in again.err
    assert inside(camera, "find /tmp/incamera-u1000 /run/maker/incamera -type f") == ""


@pytest.mark.matrix
def test_two_accounts_run_look_and_clean_at_the_same_time(
    app: Path, maker: dict[str, str], incamera: Run, camera: VirtualCamera
) -> None:
    words = ("run", "-q", "-C", app, "--device")
    with (
        running(*words, camera.name, "--", "sleep", env=command_environment()) as first,
        running(*words, "maker", "--", "sleep", env=command_environment(maker)) as second,
    ):
        first.await_output("sleeps as")
        second.await_output("sleeps as")
        for device, env in ((camera.name, {}), ("maker", maker)):
            info = incamera("device", "info", device, "--no-speed", env=env)
            assert info.code == 0, info.err
            cleaned = incamera("device", "clean", device, "--yes", "--json", env=env)
            assert cleaned.code == 0, cleaned.err
            other = "incamera-u1000/" if device == camera.name else "/tmp/incamera/"
            assert other not in cleaned.out
        assert (first.process.poll(), second.process.poll()) == (None, None)
        for command in (first, second):
            command.press_ctrl_c()
        for command in (first, second):
            command.finish()


@pytest.mark.matrix
def test_names_that_are_taken_are_no_dead_end(app: Path, incamera: Run, camera: VirtualCamera, important: None) -> None:
    words = ("deploy", "--json", "-C", app, "--device", camera.name)
    names = "incamera incamera-roots"
    inside(camera, f"cd /tmp; for n in {names}; do mv $n kept-$n; ln -s {IMPORTANT} $n; chown -h nobody $n; done")
    try:
        done = json.loads(incamera(*words).out)
        assert done["destination"].startswith("/tmp/incamera-u0/")
        assert done["root"].startswith("/tmp/incamera-roots-u0/")
        inside(camera, "cd /tmp; mv incamera-roots-u0 kept-u0; mkdir incamera-roots-u0; chown nobody incamera-roots-u0")
        failed = incamera(*words)
        assert_error(failed, 4, f"another user has taken /tmp/incamera-roots-u0 on {camera.name}", "belongs to nobody")
    finally:
        inside(
            camera,
            f"cd /tmp; rm -r incamera-roots-u0 kept-u0 incamera-u0; for n in {names}; do rm $n; mv kept-$n $n; done",
        )
    assert json.loads(incamera(*words).out)["destination"].startswith("/tmp/incamera/")


def test_watch_leaves_alone_what_a_planted_link_leads_to(
    tmp_path: Path, incamera: Run, camera: VirtualCamera, important: None
) -> None:
    project = write_project(tmp_path / "doorbell", name="doorbell", app="print('rings', flush=True)\n")
    inside(
        camera,
        f"mkdir /tmp/incamera-agent; ln -s {IMPORTANT} /tmp/incamera-agent/doorbell; chown nobody /tmp/incamera-agent",
    )
    try:
        with running("run", "--watch", "-C", project, "--device", camera.name, env=command_environment()) as command:
            command.await_output("rings")
            command.press_ctrl_c()
            command.finish()
        wait_until(
            lambda: not inside(camera, "ls -d /tmp/incamera-agent-u0 2>/dev/null"), "the agent's folder is removed"
        )
    finally:
        inside(camera, "rm -r /tmp/incamera-agent /tmp/incamera/doorbell")
