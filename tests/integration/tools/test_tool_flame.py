"""`incamera top --flame` of apps in a virtual camera, with root and without."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..cameras import add_account
from ..command import Run, Running, command_environment, running
from .conftest import with_others

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


def draw(incamera: Run, device: str, folder: Path, *words: str, env: Mapping[str, str] | None = None) -> list[str]:
    """Draw a graph and return the title of each frame: function, file, line, and how many samples have it."""
    graph = folder / "out.svg"
    done = incamera("top", "--device", device, "--flame", graph, "--seconds", "3", *words, cwd=folder, env=env)
    assert done.code == 0, done.err
    root = ET.parse(graph).getroot()
    assert root.tag.endswith("}svg")
    return [element.text or "" for element in root.iter() if element.tag.endswith("}title")]


@with_others
def test_flame_graph_names_the_apps_functions(
    camera: VirtualCamera, project: Path, incamera: Run, tmp_path: Path
) -> None:
    nothing = incamera("top", "--device", camera.name, "--flame", tmp_path / "none.svg", cwd=project)
    assert (nothing.code, "no app that incamera started runs on" in nothing.err) == (2, True)
    words = ("run", "-C", project, "--device", camera.name, "--", "loop")
    with running(*words, env=command_environment()) as command:
        command.await_output("started")
        titles = draw(incamera, camera.name, tmp_path)
        assert any(title.startswith("count_up (helper.py:") for title in titles), titles
        assert not any("incamera_agent" in title for title in titles), titles  # a thread of it waits for consoles
        # Sampling has not ended the app.
        assert command.process.poll() is None
        command.press_ctrl_c()
        command.finish()


@pytest.mark.matrix
def test_flame_graph_of_a_fork_shows_only_the_app(
    camera: VirtualCamera, watched: Running, incamera: Run, tmp_path: Path
) -> None:
    titles = draw(incamera, camera.name, tmp_path)
    assert any(title.startswith("count_up (helper.py:") for title in titles), titles
    # Neither the fork nor the agent's own thread is drawn.
    assert not any("incamera_agent" in title for title in titles), titles
    assert watched.process.poll() is None


def test_recording_for_speedscope_names_the_apps_functions(
    camera: VirtualCamera, watched: Running, incamera: Run, tmp_path: Path
) -> None:
    recording = tmp_path / "out.speedscope.json"
    done = incamera(*("top", "--device", camera.name, "--flame", recording, "--seconds", "2", "--json"), cwd=tmp_path)
    assert done.code == 0, done.err
    document = json.loads(recording.read_text())
    frames = {(frame["name"], frame["file"]) for frame in document["shared"]["frames"]}
    assert ("count_up", "helper.py") in frames
    assert document["profiles"][0]["name"] == "MainThread"
    described = json.loads(done.out)
    assert described["samples"] == sum(len(profile["samples"]) for profile in document["profiles"])
    assert watched.process.poll() is None


def test_recording_of_an_unknown_format_is_refused(incamera: Run, tmp_path: Path) -> None:
    done = incamera("top", "--flame", tmp_path / "out.png", cwd=tmp_path)
    assert (done.code, "the name must end with .svg or .json" in done.err) == (2, True)


@pytest.mark.matrix
def test_error_names_the_process_that_cannot_be_sampled(
    camera: VirtualCamera, project: Path, incamera: Run, tmp_path: Path
) -> None:
    words = ("python", "-C", project, "--device", camera.name, "app.py", "loop")
    with running(*words, env=command_environment()) as command:
        command.await_output("started")
        done = incamera("top", "--device", camera.name, "--flame", tmp_path / "out.svg")
        assert done.code == 4
        assert "cannot be asked for its stacks: it opened no attach socket" in done.err
        assert "hint: only an app that `incamera run`" in done.err
        assert not (tmp_path / "out.svg").exists()
        command.press_ctrl_c()
        command.finish()


# Without root


@pytest.fixture
def maker(camera: VirtualCamera, tmp_path: Path) -> dict[str, str]:
    """The environment of a user who reaches the camera as `maker`, and is not root there."""
    return add_account(camera, "maker", tmp_path / "maker")


@pytest.mark.matrix
@pytest.mark.parametrize("watch", [pytest.param(["--watch"], marks=pytest.mark.matrix), []])
def test_flame_graph_needs_no_root(
    watch: list[str], maker: dict[str, str], project: Path, incamera: Run, tmp_path: Path
) -> None:
    with running(
        "run", *watch, "-C", project, "--device", "maker", "--", "loop", env=command_environment(maker)
    ) as command:
        command.await_output("started")
        titles = draw(incamera, "maker", tmp_path, env=maker)
        assert any(title.startswith("count_up (helper.py:") for title in titles), titles
        described = json.loads(
            incamera(
                *("top", "--device", "maker", "--flame", tmp_path / "out.svg", "--seconds", "1", "--json"), env=maker
            ).out
        )
        assert described["samples"] > 1
        assert command.process.poll() is None
        command.press_ctrl_c()
        command.finish()
