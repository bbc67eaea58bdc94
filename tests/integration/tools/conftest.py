"""An app, and a camera in which the tests observe, debug and test it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..allow_list import ssh_allow_list  # noqa: F401 - a fixture
from ..cameras import OPENSSH_PROFILE, lease_camera, on
from ..command import Running, command_environment, running
from ..project import write_project
from .app import APP, HELPER, TESTS

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera


camera = pytest.fixture(scope="package", name="camera")(lease_camera)
with_others = on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64", OPENSSH_PROFILE])


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_project(tmp_path_factory.mktemp("tools") / "bell", app=APP, name="bell")
    (folder / "helper.py").write_text(HELPER)
    (folder / "test_helper.py").write_text(TESTS)
    return folder


@pytest.fixture
def looping(project: Path, camera: VirtualCamera) -> Iterator[Running]:
    """`incamera run` of the app, which runs until it is ended."""
    words = ("run", "-C", project, "--device", camera.name, "--", "loop", "two words")
    with running(*words, env=command_environment()) as command:
        command.await_output("started")
        yield command


@pytest.fixture
def watched(project: Path, camera: VirtualCamera) -> Iterator[Running]:
    """`incamera run --watch` of the app, a fork of the fork server, which runs until it is ended."""
    words = ("run", "--watch", "-C", project, "--device", camera.name, "--", "loop", "two words")
    with running(*words, env=command_environment()) as command:
        command.await_output("started")
        yield command
        if command.process.poll() is None:
            command.press_ctrl_c()
            command.finish()
