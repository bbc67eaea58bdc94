"""Which back ends need not be asked what they require."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from incamera.toolchain.build_system import BuildSystem, adds_no_requirements


@pytest.mark.parametrize(
    ("backend", "files", "setuptools", "certain"),
    [
        ("setuptools.build_meta", {"setup.py": "setup()"}, "77.0", True),
        ("setuptools.build_meta:__legacy__", {}, "70.1", True),
        ("setuptools.build_meta", {}, "70.0", False),  # adds wheel
        ("setuptools.build_meta", {}, None, False),
        ("setuptools.build_meta", {"setup.py": "setup(setup_requires=['cffi'])"}, "77.0", False),
        ("setuptools.build_meta", {"setup.cfg": "[options]\nsetup_requires = cffi"}, "77.0", False),
        ("flit_core.buildapi", {}, None, True),
        ("poetry.core.masonry.api", {}, None, True),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.build.targets.wheel]"}, None, True),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.build.hooks.vcs]"}, None, False),
        ("mesonpy", {}, None, False),
    ],
)
def test_back_end_is_asked_unless_it_certainly_adds_nothing(
    tmp_path: Path, backend: str, files: dict[str, str], setuptools: str | None, certain: bool
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    version = None if setuptools is None else Version(setuptools)
    assert adds_no_requirements(BuildSystem(backend=backend), tmp_path, version) is certain
    own = BuildSystem(backend=backend, backend_path=(".",))
    assert not adds_no_requirements(own, tmp_path, version)
