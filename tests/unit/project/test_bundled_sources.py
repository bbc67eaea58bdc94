"""Files of the app that are not valid Python are found before anything is sent to a camera."""

import sys
from pathlib import Path

import pytest

from incamera.errors import SourceError
from incamera.project.bundled_sources import check_sources, describe_invalid
from incamera.project.entry_check import check_entry_syntax
from incamera.project.loading import load_project
from incamera.project.settings import Project
from incamera.project.syntax import find_fault
from incamera.runtime.bytecode import byte_compiler

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
BROKEN = "x = 1\nprint(x\n"


def make(folder: Path, files: dict[str, str], entry: str) -> Project:
    settings = f'[project]\nname = "bell"\nversion = "1"\n[tool.incamera]\nentry = "{entry}"\n'
    for name, text in {**files, "pyproject.toml": settings}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_project(folder)


def bundle(folder: Path, files: dict[str, str]) -> list[str]:
    """Make a bundle of *files* in *folder*, byte-compiled as all bundles are, and return its paths."""
    for name, text in files.items():
        path = folder / "app" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with byte_compiler([sys.executable], {}, workers=1) as compiler:
        compiler.submit(folder, [f"app/{name}" for name in files])
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("app.py", {"app.py": BROKEN}),
        ("app.py", {"app.py": "import lamp.light", "lamp/__init__.py": "", "lamp/light.py": BROKEN}),
        ("app.py", {"app.py": "from lamp import light", "lamp/light.py": BROKEN}),
        ("app.py", {"app.py": "def f():\n    import lamp", "lamp/__init__.py": "from . import a", "lamp/a.py": BROKEN}),
        ("tools/x.py", {"tools/x.py": "import beside", "tools/beside.py": BROKEN}),
        ("lamp", {"lamp/__init__.py": "", "lamp/__main__.py": BROKEN}),
        ("lamp.light:main", {"lamp/__init__.py": BROKEN, "lamp/light.py": "def main(): ..."}),
        ("app.py", {"app.py": "import nul", "nul.py": "\0"}),
    ],
)
def test_file_that_the_entry_needs_is_refused_unless_it_is_valid(
    tmp_path: Path, entry: str, files: dict[str, str]
) -> None:
    project = make(tmp_path / "project", files, entry)
    paths = bundle(tmp_path / "bundle", files)
    wrong = next(name for name, text in files.items() if text in (BROKEN, "\0"))
    with pytest.raises(SourceError) as caught:
        check_sources(project, paths, tmp_path / "bundle", PYTHON)
    first, place, *rest = str(caught.value).splitlines()
    assert first == f"{wrong} has a syntax error, so nothing was sent to the camera"
    assert place.startswith(f'  File "{tmp_path}/project/{wrong}", line ')
    assert "Error: " in rest[-1]
    assert describe_invalid(project, paths, tmp_path / "bundle", PYTHON) is None


@pytest.mark.starts_processes
def test_files_that_the_entry_does_not_need_are_only_named(tmp_path: Path) -> None:
    files = {"app.py": "import os\n", "template/new.py": "{{ name }} = \n", "empty.py": "", "lamp/__init__.py": ""}
    project = make(tmp_path / "project", files, "app.py")
    paths = bundle(tmp_path / "bundle", files)
    check_sources(project, paths, tmp_path / "bundle", PYTHON)
    warning = describe_invalid(project, paths, tmp_path / "bundle", PYTHON)
    assert warning is not None
    assert "template/new.py" in warning
    assert 'exclude = ["template/new.py"]' in warning
    assert "empty.py" not in warning


@pytest.mark.starts_processes
def test_what_only_the_target_refuses_is_told_without_a_line(tmp_path: Path) -> None:
    """Python here accepts it, and so does the byte compiler that leaves its byte-code out."""
    files = {"app.py": "print(1)\n"}
    project = make(tmp_path / "project", files, "app.py")
    paths = [path for path in bundle(tmp_path / "bundle", files) if not path.endswith(".pyc")]
    with pytest.raises(SourceError, match=rf"SyntaxError: Python {PYTHON}, which the target has, refuses it"):
        check_sources(project, paths, tmp_path / "bundle", PYTHON)


def test_entry_is_read_before_anything_else_is_done(tmp_path: Path) -> None:
    project = make(tmp_path, {"app.py": BROKEN}, "app.py")
    with pytest.raises(SourceError) as caught:
        check_entry_syntax(project, {PYTHON})
    assert str(caught.value).splitlines() == [
        "app.py has a syntax error, so nothing was sent to the camera",
        f'  File "{tmp_path}/app.py", line 2',
        "    print(x",
        "         ^",
        "SyntaxError: '(' was never closed",
    ]


def test_python_that_is_newer_than_this_one_is_not_judged(tmp_path: Path) -> None:
    project = make(tmp_path, {"app.py": BROKEN}, "app.py")
    check_entry_syntax(project, {"3.99"})
    check_entry_syntax(project, {PYTHON, "3.99"})
    assert find_fault(b"match x:\n    case 1: pass\n", "3.9") is not None
    assert find_fault(b"match x:\n    case 1: pass\n", PYTHON) is None


def test_warnings_of_the_compiler_are_not_shown(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    check_entry_syntax(make(tmp_path, {"app.py": 'x = "\\d" is 1\n'}, "app.py"), {PYTHON})
    assert not recwarn
