"""`run --watch` also watches the project's local packages, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from incamera.edit.changes import Inbox, concerns_runtime
from incamera.project.loading import load_project
from incamera.workflows.watch import LocalWatch

if TYPE_CHECKING:
    from incamera.project.settings import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a local folder and a local wheel, both beside it."""
    for name in ("lamp", "desk"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n')
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/bell-1-py3-none-any.whl").touch()
    (tmp_path / "desk/app.py").touch()
    (tmp_path / "desk/pyproject.toml").write_text(
        '[project]\nname = "desk"\nversion = "1"\ndependencies = ["lamp", "bell"]\n'
        '[tool.uv.sources]\nlamp = { path = "../lamp" }\nbell = { path = "../dist/bell-1-py3-none-any.whl" }\n'
    )
    return load_project(tmp_path / "desk")


def test_saved_file_of_a_local_package_is_reported(project: Project, tmp_path: Path) -> None:
    inbox = Inbox()
    local = ("../lamp", "../dist/bell-1-py3-none-any.whl")
    with LocalWatch(inbox, pytest.fail) as watch:
        watch.watch(project)
        (tmp_path / "lamp/lamp.py").write_text("ON = True\n")
        wait_until(lambda: inbox.is_full, "the change is reported")
        changed = inbox.take()
        assert changed == {"../lamp/lamp.py"}
        # A build of another package, and of this one, which replaces the file.
        (tmp_path / "dist/other-1-py3-none-any.whl").touch()
        (tmp_path / "dist/new.whl").write_bytes(b"new")
        (tmp_path / "dist/new.whl").replace(tmp_path / local[1].removeprefix("../"))
        wait_until(lambda: inbox.is_full, "the wheel is reported")
        changed |= inbox.take()
    assert changed == {"../lamp/lamp.py", local[1]}
    assert all(concerns_runtime(path, local) for path in changed)
    assert not concerns_runtime("../lamp-shade/lamp.py", local)
    assert not concerns_runtime("app.py", local)


def test_package_that_is_no_longer_named_is_not_watched(project: Project, tmp_path: Path) -> None:
    inbox = Inbox()
    with LocalWatch(inbox, pytest.fail) as watch:
        watch.watch(project)
        text = (tmp_path / "desk/pyproject.toml").read_text()
        (tmp_path / "desk/pyproject.toml").write_text(text.replace('"lamp", ', "").replace("lamp = ", "# "))
        watch.watch(load_project(tmp_path / "desk"))
        (tmp_path / "lamp/lamp.py").write_text("ON = True\n")
        (tmp_path / "dist/bell-1-py3-none-any.whl").write_bytes(b"new")
        wait_until(lambda: inbox.is_full, "the wheel is reported")
    assert inbox.take() == {"../dist/bell-1-py3-none-any.whl"}
