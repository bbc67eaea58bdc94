"""Several accounts of one camera: none shuts out another, or has root work on files that are not its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ...waiting import wait_until
from ..cameras import add_account, inside
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
