"""Packages that people ask for, each imported in the virtual camera and made to do something real: its recipe's [test].

In groups that share a bundle, since the virtual camera's flash doesn't hold all at once. docs/reference/packages.md has
what each one costs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.deployment.request import DeployRequest
from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.project.recipes import load_recipes
from incamera.project.settings import load_project
from incamera.resolver.lock import resolve_lock
from incamera.targets.architecture import Architecture
from incamera.targets.target import Target
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed

from .cameras import ARCHITECTURES
from .project import write_project

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.apply import Deployed

    from .cameras import CameraPool

GROUPS = {
    "pictures": ("numpy", "scipy", "pillow", "scikit-image", "shapely"),
    "inference": ("opencv-python-headless", "tflite-runtime", "ai-edge-litert", "onnxruntime"),
    "data": (
        *("pyyaml", "psutil", "cffi", "msgspec", "ujson", "lz4", "zstandard", "lxml", "cryptography", "pydantic"),
        *("aiohttp", "websockets", "pyzmq", "paho-mqtt", "protobuf", "grpcio"),
        *("debugpy", "ipykernel", "tqdm", "attrs", "jinja2"),
    ),
}
# OpenCV is built for ARMv7 in tests/slow; the others have no wheel for it, and docs/reference/packages.md says more.
NOT_ON = {
    "armv7hf": {"opencv-python-headless", "ai-edge-litert", "onnxruntime"},
    "aarch64": {"tflite-runtime"},  # it wants an older numpy than OpenCV does
}

Trials = Callable[[str, str], "Deployed"]


def wanted(architecture: str, group: str) -> list[str]:
    return [name for name in GROUPS[group] if name not in NOT_ON[architecture]]


@pytest.fixture(scope="module")
def trials(context: Context, cameras: CameraPool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """Deploys a group's bundle to a camera of its own, which is there until the next group's."""
    with ExitStack() as current:
        standing: dict[tuple[str, str], Deployed | Exception] = {}

        def stand(architecture: str, group: str) -> Deployed:
            if (architecture, group) not in standing:
                standing.clear()
                current.close()
                folder = tmp_path_factory.mktemp(group)
                try:
                    place = current.enter_context(stood(context, cameras, folder, architecture, group))
                    standing[architecture, group] = place
                except Exception as error:  # which the whole group has: not tried again for each of it
                    standing[architecture, group] = error
            found = standing[architecture, group]
            if isinstance(found, Exception):
                raise found
            return found

        yield stand


@contextmanager
def stood(context: Context, cameras: CameraPool, folder: Path, architecture: str, group: str) -> Iterator[Deployed]:
    names = wanted(architecture, group)
    write_project(folder, name=group, dependencies=json.dumps(names), settings=f'targets = ["{architecture}"]')
    recipes = load_recipes(Architecture(architecture))
    for name in names:
        test = recipes.find(name).test
        imports = "".join(f"import {module}\n" for module in test.imports)
        # Not by the package's own name, which `import` would find here first.
        (folder / f"try_{name}.py").write_text(imports + test.code, "utf-8")
    with (
        cameras.lease(f"axis-os-11-{architecture}") as camera,
        deployed(context, load_project(folder), DeployRequest(device=camera.name)) as done,
    ):
        yield done


@pytest.mark.parametrize(
    ("architecture", "group", "name"),
    [
        pytest.param(architecture, group, name, id=f"{architecture}-{name}")
        for architecture in ARCHITECTURES
        for group in GROUPS
        for name in wanted(architecture, group)
    ],
)
def test_package_works_in_the_camera(trials: Trials, architecture: str, group: str, name: str, tmp_path: Path) -> None:
    place = trials(architecture, group)
    root = place.result.root
    program = Program((f"{root}/bin/python3", f"try_{name}.py"), folder=f"{root}/app")
    output = tmp_path / "output"
    with Path(os.devnull).open("rb") as nothing, output.open("wb") as stream:
        streams = Streams(stdin=nothing.fileno(), stdout=stream.fileno(), stderr=stream.fileno())
        code = run_app(place.session, place.guard.remote_path, program, streams=streams)
    assert code == 0, output.read_text("utf-8", "replace")[-4000:]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_they_all_resolve_together(context: Context, tmp_path: Path, architecture: str) -> None:
    names = [name for group in GROUPS for name in wanted(architecture, group)]
    folder = write_project(tmp_path, dependencies=json.dumps(names))
    lock = resolve_lock(context, load_project(folder), Target.parse(architecture))
    assert set(names) <= {item.name for item in lock.distributions}
    assert {item.source for item in lock.distributions} <= {"wheel", "deb", "sdist"}
