"""The output of a run on its way to the user: the device's paths become the host's, and the run's log gets it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.context import Context
from incamera.project.loading import load_project
from incamera.runlog.log import list_runs, read_lines
from incamera.runlog.output import RunLabel, kept_output, project_logs
from incamera.store import Store

if TYPE_CHECKING:
    from incamera.project.settings import Project

DEVICE_FOLDER = "/tmp/incamera/bell/4f1c/app"


class Reporter:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "bell"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    (folder / "app.py").touch()
    return load_project(folder)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Store(tmp_path / "store"), Reporter())  # type: ignore[arg-type]


@pytest.mark.parametrize(("terminal", "stdout_is_rewritten"), [(True, True), (False, False)])
def test_paths_in_stdout_are_rewritten_for_a_terminal_alone(
    terminal: bool, stdout_is_rewritten: bool, project: Project, context: Context
) -> None:
    with kept_output(
        context,
        project,
        RunLabel(words=["python3", "app.py"], device="cam"),
        folders=[DEVICE_FOLDER],
        terminal=terminal,
    ) as output:
        shown = output.stdout.feed(f"{DEVICE_FOLDER}/app.py\n".encode()).decode()
        error = output.stderr.feed(f"{DEVICE_FOLDER}/app.py\n".encode()).decode()
        output.exit_code = 3
    host_path = f"{project.folder}/app.py\n"
    assert shown == (host_path if stdout_is_rewritten else f"{DEVICE_FOLDER}/app.py\n")
    assert error == host_path
    folder = project_logs(context, project)
    (run,) = list_runs(folder)
    assert (run.exit_code, run.device, run.command) == (3, "cam", "python3 app.py")
    assert [line.stream for line in read_lines(folder, run)] == ["terminal" if terminal else "stdout", "stderr"]


def test_log_of_a_run_is_closed_when_the_block_raises(project: Project, context: Context) -> None:
    with (
        pytest.raises(RuntimeError),
        kept_output(context, project, RunLabel(words=["x"], device="cam"), folders=[DEVICE_FOLDER], terminal=False),
    ):
        raise RuntimeError
    (run,) = list_runs(project_logs(context, project))
    assert run.ended is not None
    assert run.exit_code is None


def test_run_goes_on_with_a_warning_when_its_log_cannot_be_written(project: Project, context: Context) -> None:
    (context.store.root / "logs").write_text("a file where the folder should be")
    with kept_output(
        context, project, RunLabel(words=["x"], device="cam"), folders=[DEVICE_FOLDER], terminal=False
    ) as output:
        assert output.stdout.feed(b"hello\n") == b"hello\n"
    (warning,) = context.reporter.warnings  # type: ignore[attr-defined]
    assert "no log is kept" in warning


def test_projects_with_the_same_name_have_separate_logs(project: Project, context: Context, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    (other / "app.py").touch()
    assert project_logs(context, project) != project_logs(context, load_project(other))
