"""Packages that users ask for: each is imported in a virtual camera and made to do something, its recipe's [test].

docs/reference/packages.md has what each one costs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from incamera.deployment.request import DeployRequest
from incamera.project.loading import load_project
from incamera.project.recipes import load_recipes
from incamera.resolver.lock import resolve_lock
from incamera.targets.architecture import Architecture
from incamera.targets.target import Target
from incamera.workflows.deploy import deployed

from .apps import run_python
from .cameras import ARCHITECTURES
from .project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context

    from .cameras import CameraPool

# The packages of a group share a bundle; the camera's flash has no room for all of them.
GROUPS = {
    "pictures": ("numpy", "scipy", "pillow", "scikit-image", "shapely"),
    "inference": ("opencv-python-headless", "tflite-runtime", "ai-edge-litert", "onnxruntime"),
    "data": (
        *("pyyaml", "psutil", "cffi", "msgspec", "ujson", "lz4", "zstandard", "lxml", "cryptography", "pydantic"),
        *("aiohttp", "websockets", "pyzmq", "paho-mqtt", "protobuf", "grpcio"),
        *("debugpy", "ipykernel", "tqdm", "attrs", "jinja2"),
    ),
}
# Packages without a recipe, with what they showed: names that differ in Debian, imports of their own tests, data files
# outside of the package, a library that is found by `find_library`.
STRANGERS = {
    "pandas": "import pandas\nassert pandas.Timestamp('2026-07-01', tz='Europe/Stockholm').utcoffset().seconds == 7200",
    "pytz": "import pytz\nassert pytz.timezone('Europe/Stockholm').zone == 'Europe/Stockholm'",
    "gevent": "import gevent\nassert gevent.spawn(lambda: 3).get() == 3",
    "h5py": """
import h5py
with h5py.File("x", "w", driver="core", backing_store=False) as file:
    assert list(file.create_dataset("a", data=[1, 2])) == [1, 2]
""",
    "onvif-zeep": """
import onvif, os, subprocess, sys
assert os.path.exists(os.path.join(os.path.dirname(os.path.dirname(onvif.__file__)), "wsdl", "devicemgmt.wsdl"))
subprocess.run([os.path.join(sys.prefix, "bin", "onvif-cli"), "--help"], check=True)
""",
    "pyzbar": "from pyzbar.pyzbar import decode\nassert decode((bytes(10_000), 100, 100)) == []",
}
DEBS = {"strangers": ["libzbar0"]}
# OpenCV is built for ARMv7 in tests/slow. For the others, docs/reference/packages.md says why.
NOT_ON = {
    "armv7hf": {"opencv-python-headless", "ai-edge-litert", "onnxruntime"},
    "aarch64": {"tflite-runtime"},  # it needs an older numpy than OpenCV does
}
# One from each source, for `make test`: a wheel with a module, a Debian package, an sdist with a module.
SAMPLE = {"armv7hf": ("lxml", "pyyaml", "msgspec")}


def packages_of(architecture: str, group: str) -> list[str]:
    if group == "sample":
        return list(SAMPLE[architecture])
    if group == "strangers":
        return list(STRANGERS)
    return [name for name in GROUPS[group] if name not in NOT_ON[architecture]]


@pytest.mark.parametrize(
    ("architecture", "group"),
    [
        *((architecture, "sample") for architecture in SAMPLE),
        *(
            pytest.param(architecture, group, marks=pytest.mark.matrix)
            for architecture in ARCHITECTURES
            for group in (*GROUPS, "strangers")
        ),
    ],
)
def test_packages_work_in_the_camera(
    context: Context, cameras: CameraPool, tmp_path: Path, architecture: str, group: str
) -> None:
    names = packages_of(architecture, group)
    folder = write_project(
        tmp_path,
        name=group,
        dependencies=json.dumps(names),
        settings=f'targets = ["{architecture}"]\ndebs = {json.dumps(DEBS.get(group, []))}',
    )
    recipes = load_recipes(Architecture(architecture))
    for name in names:
        test = recipes.find(name).test
        imports = "".join(f"import {module}\n" for module in test.imports)
        # Under the package's own name, `import` would find this file.
        (folder / f"try_{name}.py").write_text(imports + (test.code or STRANGERS.get(name, "")), "utf-8")
    with (
        cameras.lease(f"axis-os-11-{architecture}") as camera,
        deployed(context, load_project(folder), DeployRequest(device=camera.name)) as done,
    ):
        outcomes = {name: run_python(done, f"try_{name}.py", stderr=True) for name in names}
    assert {name: output[-4000:] for name, (code, output) in outcomes.items() if code} == {}


@pytest.mark.matrix
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_all_packages_resolve_together(context: Context, tmp_path: Path, architecture: str) -> None:
    names = [name for group in GROUPS for name in packages_of(architecture, group)]
    folder = write_project(tmp_path, dependencies=json.dumps(names))
    lock = resolve_lock(context, load_project(folder), Target.parse(architecture))
    assert set(names) <= {item.name for item in lock.distributions}
    assert {item.source for item in lock.distributions} <= {"wheel", "deb", "sdist"}
