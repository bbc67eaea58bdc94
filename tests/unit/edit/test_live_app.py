"""What a wheel is made of while it is edited, by two sessions at once."""

from __future__ import annotations

import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.context import Context
from incamera.edit.live_app import live_app
from incamera.project.loading import load_project
from incamera.store import Store
from incamera.targets.target import Target

from .edit_loop import Told

if TYPE_CHECKING:
    from incamera.project.settings import Project
    from incamera.toolchain.wheel_build import WheelBuild

PROJECT = """\
[project]
name = "made"
version = "1"
[build-system]
requires = []
build-backend = "nothing"
[tool.incamera]
entry = "made"
"""


class Reporter(Told):
    @contextmanager
    def step(self, name: str) -> Iterator[Any]:
        yield self

    def note(self, text: str) -> None: ...


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose back end puts its one source into a wheel."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "made.txt").write_text("begin")

    def build_wheel(build: WheelBuild, toolchain: None, wheels: Path, *, keep: Path) -> Path:
        keep.mkdir(parents=True, exist_ok=True)
        wheels.mkdir()
        wheel = wheels / "made-1-py3-none-any.whl"
        files = {
            "made/data.bin": (build.project / "made.txt").read_bytes() * 2,
            "made-1.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "made-1.dist-info/METADATA": b"Metadata-Version: 2.1\nName: made\nVersion: 1\n",
        }
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in files.items():
                archive.writestr(name, data)
            record = []
            for name, data in files.items():
                digest = urlsafe_b64encode(sha256(data).digest()).decode().rstrip("=")
                record.append(f"{name},sha256={digest},{len(data)}")
            archive.writestr("made-1.dist-info/RECORD", "\n".join([*record, "made-1.dist-info/RECORD,,"]))
        return wheel

    monkeypatch.setattr("incamera.toolchain.pep517.build_wheel", build_wheel)
    monkeypatch.setattr("incamera.build.toolchain.ensure_toolchain", lambda *arguments, **named: None)
    for module in ("build.isolation", "toolchain.wheel_build"):
        monkeypatch.setattr(f"incamera.{module}.find_isolation_fault", lambda: None)
    return load_project(folder)


def test_a_build_of_one_session_leaves_the_files_of_another_alone(tmp_path: Path, project: Project) -> None:
    context = Context(Store(tmp_path / "store"), Reporter())
    target = Target.parse("armv7hf-cp311")
    app = tmp_path / "app"
    app.mkdir()
    with live_app(context, project, target, app) as first, live_app(context, project, target, app) as second:
        (project.folder / "made.txt").write_text("one ")
        built = first.read()["made/data.bin"].source
        (project.folder / "made.txt").write_text("two ")
        assert second.read()["made/data.bin"].source.read_text() == "two two "
        assert built.read_text() == "one one "
    # What is kept for the next session is the back end's alone.
    assert not built.exists()
    assert not list((tmp_path / "store" / "tmp").glob("*-*"))
    assert [path.name for path in (tmp_path / "store/caches/edited").glob("*/*")] == ["scratch"]


def test_what_changed_is_named_by_the_project_and_not_by_the_wheel(tmp_path: Path, project: Project) -> None:
    context = Context(Store(tmp_path / "store"), Reporter(), {})
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    with live_app(context, project, Target.parse("armv7hf"), bundle) as live:
        (project.folder / "made.txt").write_text("one")
        assert "made/data.bin" in live.read()
        assert live.edited == ["made.txt"]
        (project.folder / "other.txt").write_text("two")
        live.read()
        assert live.edited == ["other.txt"]
