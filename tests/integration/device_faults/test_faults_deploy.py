"""Cameras that cannot take a bundle, and deploys that are interrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ...waiting import wait_until
from ..cameras import DEFAULT_PROFILE, OPENSSH_PROFILE, inside, on
from ..command import Run, assert_error, command_environment, running
from ..project import add_data, write_project
from .conftest import at_home

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

    from ..line import Line


pytestmark = on(DEFAULT_PROFILE, matrix=[OPENSSH_PROFILE])


def test_error_for_another_architecture_names_both(app: Path, incamera: Run, camera: VirtualCamera) -> None:
    done = incamera("deploy", "-C", app, "--device", camera.name, "--target", "aarch64")
    assert_error(done, 4, f"{camera.name} is armv7hf", "aarch64", "--target")


CARD = "/var/spool/storage/SD_DISK"
PULL = f"""
$(ls -t /tmp/incamera/.guard/* | head -n 1) deactivate
awk '$2 == "{CARD}" {{print $1}}' /proc/mounts >/run/card; umount {CARD}
"""
PUT_BACK = f"""
mount -t vfat -o noexec,nosuid,nodev,utf8 $(cat /run/card) {CARD}
"""
# Leaves no space in any place and takes out the card. Writing hundreds of megabytes would take half a minute, so small
# file systems are mounted over the flash and root's home, which keeps its content: the key to log in is there.
FILL = (
    PULL
    + """
grep ' /tmp ' /proc/mounts | grep -o 'size=[0-9]*k' >/run/tmp-size
mount -o remount,size=$(df -k /tmp | awk 'END {print $3 + 100}')k /tmp
mount -t tmpfs -o size=100k none /usr/local/packages
cp -a $HOME/. /run/root-home; mount -t tmpfs -o size=100k,mode=700 none $HOME; cp -a /run/root-home/. $HOME
"""
)
EMPTY = (
    PUT_BACK
    + """
umount $HOME /usr/local/packages; rm -rf /run/root-home
mount -o remount,$(cat /run/tmp-size) /tmp
"""
)


@pytest.mark.matrix
def test_error_without_space_names_each_place(tmp_path: Path, incamera: Run, camera: VirtualCamera) -> None:
    project = write_project(tmp_path / "newcomer", name="newcomer")
    try:
        inside(camera, FILL)
        done = incamera("deploy", "-C", project, "--device", camera.name)
        assert_error(done, 4, "has no place for 2[0-9] MB", "/tmp has", "/usr/local/packages has", "remove files")
    finally:
        inside(camera, EMPTY)
    assert incamera("deploy", "-C", project, "--device", camera.name).code == 0
    inside(camera, "rm -rf /tmp/incamera/newcomer /usr/local/packages/incamera/newcomer")


# Mounts every place noexec. Root's home keeps its content, since the key to log in is there.
NOEXEC = (
    PULL
    + """
mount -o remount,noexec /tmp; mount -o remount,noexec /usr/local/packages
mount -t tmpfs -o noexec,size=1m none /var/spool/storage/NetworkShare
cp -a $HOME/. /run/root-home; mount -t tmpfs -o noexec,size=1m,mode=700 none $HOME; cp -a /run/root-home/. $HOME
"""
)
EXEC = (
    PUT_BACK
    + """
umount $HOME /var/spool/storage/NetworkShare; rm -rf /run/root-home
mount -o remount,exec /tmp; mount -o remount,exec /usr/local/packages
"""
)


@pytest.mark.matrix
def test_error_when_no_place_lets_programs_run(tmp_path: Path, incamera: Run, camera: VirtualCamera) -> None:
    project = write_project(tmp_path / "newcomer", name="newcomer")
    inside(camera, NOEXEC)
    try:
        done = incamera("deploy", "-C", project, "--device", camera.name)
        assert_error(done, 4, "no place on .* allows programs to run", "/tmp is mounted noexec", "remount,exec")
        facts = json.loads(incamera("device", "info", camera.name, "--json").out)["facts"]
        assert not any(place["executable"] for place in facts["places"])
    finally:
        inside(camera, EXEC)
    facts = json.loads(incamera("device", "info", camera.name, "--json").out)["facts"]
    assert {place["path"] for place in facts["places"] if place["executable"]} >= {"/tmp", "/usr/local/packages"}


@pytest.mark.matrix
def test_deploy_sends_only_what_was_edited(tmp_path: Path, incamera: Run, camera: VirtualCamera) -> None:
    project = write_project(tmp_path / "edited", name="edited", app="print('one')\n")
    (project / "more.py").write_text("X = 1\n")
    deploy = ("deploy", "--json", "-C", project, "--device", camera.name)
    first = json.loads(incamera(*deploy).out)
    same = json.loads(incamera(*deploy).out)
    assert (same["files_sent"], same["bytes_sent"]) == (0, 0)
    assert same["destination"] == first["destination"]
    (project / "app.py").write_text("print('two')\n")
    edited = json.loads(incamera(*deploy).out)
    # The source and its bytecode.
    assert edited["files_sent"] == 2
    assert 0 < edited["bytes_sent"] < 2000
    assert edited["files_unchanged"] > 500
    assert incamera("run", "-q", "-C", project, "--device", camera.name).out == "two\n"
    inside(camera, "rm -rf /tmp/incamera/edited /usr/local/packages/incamera/edited")


@pytest.mark.parametrize(
    "how",
    [pytest.param("cut", marks=pytest.mark.matrix), pytest.param("ctrl-c", marks=pytest.mark.matrix), "kill-9"],
)
def test_deploy_after_an_interrupted_one_sends_only_the_rest(
    tmp_path: Path, incamera: Run, camera: VirtualCamera, home: Path, line: Line, how: str
) -> None:
    name = f"torn-{how}"
    project = write_project(tmp_path / name, name=name, app="print('one')\n")
    env = at_home(home)
    deploy = ("deploy", "--json", "-C", project, "--device", "cut")
    first = incamera(*deploy, env=env)
    assert first.code == 0, first.err
    before, root = (json.loads(first.out)[key] for key in ("destination", "root"))

    (project / "app.py").write_text("print('two')\n")
    add_data(project, files=16)
    assert incamera("build", "-C", project, "--target", "armv7hf").code == 0
    sent = line.sent
    if how == "cut":
        line.cut_after(5_000_000)
    with running(*deploy, env=command_environment(env)) as command:
        if how != "cut":
            wait_until(lambda: line.sent > sent + 5_000_000 or command.process.poll() is not None, "half is sent")
            assert command.process.poll() is None, "all was sent before it was interrupted"
            if how == "ctrl-c":
                command.press_ctrl_c()
            else:
                command.process.kill()
        code = command.finish()
    assert code == {"cut": 4, "ctrl-c": 130, "kill-9": -9}[how], command.text
    if how == "cut":
        assert "was lost" in command.text
        assert "hint:" in command.text
    line.cut_after(None)

    # The bundle that was deployed before still runs.
    parent = before.rpartition("/")[0]
    assert inside(camera, f"{root}/bin/python3 {root}/app/app.py") == "one\n"
    done = incamera(*deploy, env=env)
    assert done.code == 0, done.err
    again = json.loads(done.out)
    assert 0 < again["files_sent"] < 16
    assert again["destination"] != before
    ran = incamera("run", "-q", "-C", project, "--device", "cut", env=env)
    assert (ran.code, ran.out) == (0, "two\n")
    assert "partial" not in inside(camera, f"ls {parent}")
    inside(camera, f"rm -rf {parent}")


def test_two_deploys_at_the_same_time_both_succeed(tmp_path: Path, incamera: Run, camera: VirtualCamera) -> None:
    project = write_project(tmp_path / "twice", name="twice", app="print('done')\n")
    assert incamera("build", "-C", project).code == 0
    words = ("run", "-q", "-C", project, "--device", camera.name)
    with running(*words, env=command_environment()) as one, running(*words, env=command_environment()) as two:
        assert one.finish() == 0, one.text
        assert two.finish() == 0, two.text
    assert one.out == two.out == b"done\n"
    inside(camera, "rm -rf /tmp/incamera/twice /usr/local/packages/incamera/twice")
