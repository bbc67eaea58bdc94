"""When an agent that waits in a camera may run the project: while all but the app's files is as it was deployed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from incamera.eap.declared import app_variables
from incamera.project.loading import load_project
from incamera.workflows.held_state import HeldState, make_stamp

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = '[project]\nname = "bell"\nversion = "{version}"\ndependencies = {dependencies}\n'
CONTEXT: Any = SimpleNamespace(environment={"HOME": "/home/anna"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "pyproject.toml").write_text(TEXT.format(version="1", dependencies="[]"))
    (tmp_path / "pylock.armv7hf-cp311.toml").write_text("not read")
    return tmp_path


def held(project: Path) -> HeldState:
    lockfile = project / "pylock.armv7hf-cp311.toml"
    return HeldState(
        root="/r",
        destination="/d",
        bundle="/b",
        work="/w/app",
        live="/l",
        are_edited=False,
        target="armv7hf-cp311",
        lockfile=str(lockfile),
        settings="another",
        stamp=make_stamp(CONTEXT, load_project(project), lockfile),
        preload=(),
        imports=(),
        files={},
    )


def test_unchanged_project_fits_without_a_look_into_its_lockfile(project: Path) -> None:
    state = held(project)
    assert state.fits(CONTEXT, load_project(project))
    (project / "app.py").write_text("print(2)\n")
    (project / "pyproject.toml").write_text(TEXT.format(version="2", dependencies="[]"))
    assert state.fits(CONTEXT, load_project(project))


def edit_lock(project: Path) -> None:
    (project / "pylock.armv7hf-cp311.toml").unlink()


def add_dependency(project: Path) -> None:
    (project / "pyproject.toml").write_text(TEXT.format(version="1", dependencies='["numpy"]'))


@pytest.mark.parametrize("change", [edit_lock, add_dependency])
def test_changed_project_is_compared_as_a_whole(project: Path, change: Callable[[Path], None]) -> None:
    state = held(project)
    change(project)
    (project / "pylock.armv7hf-cp311.toml").unlink(missing_ok=True)
    assert not state.fits(CONTEXT, load_project(project))


def test_variables_that_builds_may_see_count(project: Path) -> None:
    other: Any = SimpleNamespace(environment={"HOME": "/home/anna", "SETUPTOOLS_SCM_PRETEND_VERSION": "2"})
    lockfile = project / "pylock.armv7hf-cp311.toml"
    assert make_stamp(CONTEXT, load_project(project), lockfile) != make_stamp(other, load_project(project), lockfile)


def test_project_with_sources_of_its_own_has_no_stamp(project: Path) -> None:
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(f'{text}[build-system]\nrequires = ["setuptools"]\n')
    (project / "bell.py").touch()
    assert make_stamp(CONTEXT, load_project(project), project / "pylock.armv7hf-cp311.toml") == ""


def test_what_comes_with_incamera_is_no_source_of_the_projects_own(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packages = tmp_path_factory.mktemp("packages")
    (packages / "acap").mkdir()
    (packages / "acap/pyproject.toml").write_text('[project]\nname = "acap"\n')
    monkeypatch.setattr("incamera.project.included._INSTALLED", packages)
    (project / "pyproject.toml").write_text(TEXT.format(version="1", dependencies='["acap"]'))
    state = held(project)
    assert state.stamp != ""
    assert state.fits(CONTEXT, load_project(project))
    (packages / "acap/camera.py").touch()  # a newer incamera brings another acap
    assert held(project).stamp != state.stamp


def test_agent_is_not_used_for_other_parameters_than_it_was_started_with(project: Path) -> None:
    text = TEXT.format(version="1", dependencies='["acap"]')
    (project / "pyproject.toml").write_text(text)
    state = held(project)
    (project / "pyproject.toml").write_text(f'{text}[tool.incamera.package.parameters]\nInterval = "5"\n')
    assert held(project).stamp != state.stamp
    variables = {"ACAP_APP_NAME": "bell", "ACAP_DECLARED_PARAMETERS": '{"Interval": ["5", "string"]}'}
    assert app_variables(load_project(project)) == variables


def test_state_of_another_version_is_not_believed() -> None:
    assert HeldState.parse({"root": "/r", "folder": "/f", "imports": []}) is None
