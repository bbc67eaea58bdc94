"""What `incamera run` runs: the project's entry, a file, a module, or a script that is its own project."""

from dataclasses import replace
from pathlib import Path

import pytest

from incamera.errors import ConfigError, InCameraError, UsageError
from incamera.project.entry import Entry
from incamera.project.lockfile import lock_path
from incamera.project.program import Typed, load_program, load_script_project
from incamera.project.reload import reload_project
from incamera.project.settings import Project
from incamera.targets.target import Target

BLOCK = """\
# /// script
# requires-python = ">=3.12"
# dependencies = ["numpy"]
# [tool.incamera]
# device = "lobby"
# ///
"""
TARGET = Target.parse("armv7hf")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bell"
    (folder / "tools").mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    for name in ("app.py", "other.py", "tools/try.py"):
        (folder / name).write_text("import numpy\n")
    monkeypatch.chdir(folder)
    return folder


def load(program: str | None, *, locks: Path = Path("/locks"), **typed: str) -> Project:
    doubts: list[str] = []
    found = load_program(Typed(program=program, **typed), locks, doubts.append)
    assert not doubts
    return found


def test_named_file_or_module_of_a_project_runs_instead_of_its_entry(project: Path) -> None:
    assert load(None).require_entry() == Entry(file="app.py")
    assert load("other.py").require_entry() == Entry(file="other.py")
    assert load("tools/try.py").require_entry() == Entry(file="tools/try.py")
    assert load(None, module="bell.main").require_entry() == Entry(module="bell.main")
    assert load("other.py").name == "bell"


def test_file_is_looked_for_here_and_then_in_the_named_project(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project / "tools")
    assert load("try.py").require_entry() == Entry(file="tools/try.py")
    monkeypatch.chdir(tmp_path)
    assert load("bell/other.py").require_entry() == Entry(file="other.py")
    assert load("other.py", project="bell").require_entry() == Entry(file="other.py")
    (tmp_path / "alone.py").touch()
    with pytest.raises(ConfigError, match="lies outside the project"):
        load("alone.py", project="bell")


def test_choice_stays_when_the_settings_are_read_again(project: Path) -> None:
    chosen = load("other.py")
    (project / "pyproject.toml").write_text('[project]\nname = "bell"\nversion = "2"\n')
    assert reload_project(chosen) == replace(chosen, version="2")


def test_script_with_a_block_is_its_own_project_even_inside_another(project: Path) -> None:
    (project / "blink.py").write_text(BLOCK)
    script = load("blink.py")
    assert script.require_entry() == Entry(file="blink.py")
    assert script.dependencies == ("numpy",)
    assert script.device == "lobby"
    assert script.python == "3.13"
    assert script.find_files() == ["blink.py"]
    (project / "blink.py").write_text(BLOCK.replace("numpy", "pillow"))
    assert reload_project(script) == replace(script, dependencies=("pillow",))


def test_script_outside_of_any_project_runs_without_dependencies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("blink.py").write_text("print(1)\n")
    script = load("blink.py")
    assert (script.dependencies, script.find_files()) == ((), ["blink.py"])
    # Settings of a linter make no project.
    Path("pyproject.toml").write_text("[tool.ruff]\n")
    assert load("blink.py") == script


def test_scripts_of_one_name_in_two_folders_are_two_apps(tmp_path: Path) -> None:
    projects = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Grün licht!.py").write_text(BLOCK)
        projects.append(load(str(tmp_path / folder / "Grün licht!.py"), locks=tmp_path / "locks"))
    first, second = projects
    assert first.name.startswith("gr-n-licht-")
    assert first.name != second.name
    assert lock_path(first, TARGET) != lock_path(second, TARGET)
    assert load(str(tmp_path / "a" / "Grün licht!.py"), locks=tmp_path / "locks") == first


def test_lockfile_is_beside_the_script_only_when_it_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "blink.v2.py"
    path.write_text(BLOCK)
    kept = load(str(path), locks=tmp_path / "locks")
    assert lock_path(kept, TARGET).is_relative_to(tmp_path / "locks")
    beside = lock_path(load_script_project(path, None, print), TARGET)
    assert beside == tmp_path / "pylock.blink-v2-armv7hf-cp311.toml"
    beside.touch()
    assert lock_path(kept, TARGET) == beside


def test_modules_beside_a_script_belong_to_it_when_it_imports_them(tmp_path: Path) -> None:
    (tmp_path / "blink.py").write_text("import os, lamp\nfrom shapes.round import circle\n")
    (tmp_path / "lamp.py").write_text("def light():\n    import far\n")
    for name in ("far.py", "secret.py", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "shapes").mkdir()
    for name in ("__init__.py", "round.py", "data.bin"):
        (tmp_path / "shapes" / name).touch()
    found = load(str(tmp_path / "blink.py")).find_files()
    assert found == ["blink.py", "far.py", "lamp.py", "shapes/__init__.py", "shapes/data.bin", "shapes/round.py"]


@pytest.mark.parametrize(
    ("typed", "error", "message", "hint"),
    [
        ({"program": "foo"}, UsageError, "`foo` is neither a Python file", "`-m foo`"),
        ({"program": "foo"}, UsageError, "`foo` is neither a Python file", "`-- foo`"),
        ({"program": "100"}, UsageError, "`100` is neither a Python file", "with .py; to pass it"),
        ({"program": "othr.py"}, UsageError, "there is no file othr.py", 'did you mean "other.py"?'),
        ({"program": "tools/x.py"}, UsageError, "there is no file tools/x.py", "try.py"),
        ({"program": "-"}, UsageError, "standard input", "`incamera python -`"),
        ({"module": "a-b"}, UsageError, '"a-b" is not the name of a module', "-m bell.main"),
        ({"program": "build/x.py"}, ConfigError, "build/x.py is not sent", "move it"),
        ({"program": "folder.py"}, UsageError, "is a folder", "name a file"),
    ],
)
def test_what_cannot_run_is_refused_with_what_to_type(
    project: Path, typed: dict[str, str], error: type[InCameraError], message: str, hint: str | None
) -> None:
    (project / "build").mkdir()
    (project / "build" / "x.py").touch()
    (project / "folder.py").mkdir()
    with pytest.raises(error, match=message) as raised:
        load_program(Typed(**typed), Path("/locks"), print)
    assert hint is None or hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ('# dependencies = ["numpy ="]', r"blink\.py: dependencies\[0\]"),
        ('# requires-python = "3.11"', r'blink\.py: requires-python: "3\.11"'),
        ('# dependency = ["x"]', r'blink\.py: metadata block: unknown key "dependency"'),
        ("# [tool.incamera]\n# entry = 'x.py'", r"blink\.py: tool\.incamera\.entry has no meaning in a script"),
        ("# [tool.incamera]\n# devise = 'x'", r'blink\.py: tool\.incamera: unknown key "devise"'),
    ],
)
def test_faulty_keys_of_a_block_are_reported_with_the_script(tmp_path: Path, block: str, message: str) -> None:
    (tmp_path / "blink.py").write_text(f"# /// script\n{block}\n# ///\n")
    with pytest.raises(ConfigError, match=message):
        load(str(tmp_path / "blink.py"))


def test_impossible_python_is_reported_as_the_key_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "blink.py").write_text('# /// script\n# requires-python = ">=3.99"\n# ///\n')
    with pytest.raises(ConfigError, match=r'^requires-python is ">=3\.99"'):
        _ = load(str(tmp_path / "blink.py")).default_targets
