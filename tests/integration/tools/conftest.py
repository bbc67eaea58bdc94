"""One app, and cameras of both architectures in which the tools are tried on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import ARCHITECTURES, command_environment
from tests.integration.helpers import Running, running, write_project

from .app import APP, HELPER, TESTS

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


@pytest.fixture(scope="session")
def cam_of(start_virtual: Callable[..., VirtualCamera]) -> Callable[[str], VirtualCamera]:
    """The camera of an architecture that the tools are tried in, started when it is first wanted."""
    cameras: dict[str, VirtualCamera] = {}

    def find(architecture: str) -> VirtualCamera:
        if architecture not in cameras:
            cameras[architecture] = start_virtual(f"axis-os-11-{architecture}", name=f"tools-{architecture}")
        return cameras[architecture]

    return find


@pytest.fixture
def cam(request: pytest.FixtureRequest, cam_of: Callable[[str], VirtualCamera]) -> VirtualCamera:
    """The ARMv7 camera; with the mark `both_architectures`, one of each."""
    return cam_of(getattr(request, "param", "armv7hf"))


both_architectures = pytest.mark.parametrize("cam", ARCHITECTURES, indirect=True)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("tools") / "bell", app=APP, name="bell")
    (folder / "helper.py").write_text(HELPER)
    (folder / "test_helper.py").write_text(TESTS)
    return folder


@pytest.fixture
def looping(project: Path, cam: VirtualCamera) -> Iterator[Running]:
    """The app, going on and on."""
    words = ("run", "-C", project, "--device", cam.name, "--", "loop", "two words")
    with running(*words, env=command_environment()) as command:
        command.await_output("begun")
        yield command


@pytest.fixture
def watched(project: Path, cam: VirtualCamera) -> Iterator[Running]:
    """The app, going on and on as a fork of the warm process."""
    words = ("run", "--watch", "-C", project, "--device", cam.name, "--", "loop", "two words")
    with running(*words, env=command_environment()) as command:
        command.await_output("begun")
        yield command
        if command.process.poll() is None:
            command.press_ctrl_c()
            command.finish()
