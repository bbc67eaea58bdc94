"""The user's variables that builds get, and that a changed one builds again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.build.keys import bundle_key, project_wheel_key, runtime_key
from incamera.build.variables import project_variables, sdist_variables, version_variables
from incamera.digest import Sha256
from incamera.project.locked import Lock, LockedBuild, LockedDistribution, LockedFile
from incamera.project.settings_parsing import parse_project
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.settings import Project

USERS = {
    "SOURCE_DATE_EPOCH": "1700000000",
    "SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3",
    "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_LAMP": "2.0",
    "VCS_VERSIONING_PRETEND_VERSION": "1.2.3",
    "VCS_VERSIONING_OVERRIDES_FOR_LAMP": "{}",
    "PBR_VERSION": "1.2.3",
    "POETRY_DYNAMIC_VERSIONING_BYPASS": "1.2.3",
    "PDM_BUILD_SCM_VERSION": "",
    "CFLAGS": "-march=native",
    "LDFLAGS": "-L/usr/lib",
    "CC": "gcc",
    "AWS_SECRET_ACCESS_KEY": "s3cret",
}


def test_project_gets_versions_and_no_flags_of_this_computer() -> None:
    assert project_variables(USERS) == {
        "SOURCE_DATE_EPOCH": "1700000000",
        "SETUPTOOLS_SCM_PRETEND_VERSION": "1.2.3",
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_LAMP": "2.0",
        "VCS_VERSIONING_PRETEND_VERSION": "1.2.3",
        "VCS_VERSIONING_OVERRIDES_FOR_LAMP": "{}",
        "PBR_VERSION": "1.2.3",
        "POETRY_DYNAMIC_VERSIONING_BYPASS": "1.2.3",
    }


def test_sdist_does_not_get_the_version_of_the_project() -> None:
    assert set(sdist_variables(USERS)) == {
        "SOURCE_DATE_EPOCH",
        "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_LAMP",
        "VCS_VERSIONING_OVERRIDES_FOR_LAMP",
    }
    assert set(version_variables("2.0").values()) == {"2.0"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "app.py").touch()
    return parse_project({"project": {"name": "bell"}, "build-system": {"requires": ["setuptools"]}}, tmp_path)


def a_lock(sha256: str = "cd") -> Lock:
    file = LockedFile(filename="lamp-2.0.tar.gz", url="https://index.example/lamp-2.0.tar.gz", sha256=Sha256("ab" * 32))
    tool = LockedFile(filename="tool-1-py3-none-any.whl", url="https://index.example/t.whl", sha256=Sha256(sha256 * 32))
    lamp = LockedDistribution(name="lamp", version="2.0", source="sdist", why="", file=file, recipe="x")
    return Lock(
        target=Target.parse("armv7hf"),
        inputs="",
        distributions=(lamp,),
        debs=(),
        builds=(
            LockedBuild(name="bell", sdist="", requires=(), files=(tool,)),
            LockedBuild(name="lamp", sdist=file.sha256, requires=(), files=(tool,)),
        ),
    )


@pytest.mark.parametrize("name", ["SOURCE_DATE_EPOCH", "SETUPTOOLS_SCM_PRETEND_VERSION", "PBR_VERSION"])
def test_changed_variable_builds_the_project_again(project: Project, name: str) -> None:
    keys = {project_wheel_key(project, a_lock(), "app", {name: value}) for value in ("1", "2")}
    bundles = {bundle_key(project, a_lock(), "app", {name: value}) for value in ("1", "2")}
    assert (len(keys), len(bundles)) == (2, 2)
    plain = replace(project, has_build_system=False)
    assert len({bundle_key(plain, a_lock(), "app", {"PBR_VERSION": value}) for value in ("1", "2")}) == 1


def test_other_image_of_the_vendors_sdk_builds_the_project_again(project: Project) -> None:
    keys = {project_wheel_key(project, a_lock(), "app", {}, sdk) for sdk in ("", "one", "two")}
    bundles = {bundle_key(project, a_lock(), "app", {}, sdk) for sdk in ("", "one", "two")}
    assert (len(keys), len(bundles)) == (3, 3)


def test_changed_variable_for_sdists_builds_them_again(project: Project) -> None:
    name = "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_LAMP"
    assert len({runtime_key(project, a_lock(), {name: value}) for value in ("1", "2")}) == 2
    assert len({runtime_key(project, a_lock(), {"PBR_VERSION": value}) for value in ("1", "2")}) == 1


def test_other_build_requirements_build_again(project: Project) -> None:
    assert len({runtime_key(project, a_lock(sha256), {}) for sha256 in ("cd", "ef")}) == 2
    assert len({project_wheel_key(project, a_lock(sha256), "app", {}) for sha256 in ("cd", "ef")}) == 2
