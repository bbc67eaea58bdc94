"""pyproject.toml: every key is read, and every mistake is refused with a message that names the key."""

from pathlib import Path
from typing import Any

import pytest

from incamera.errors import ConfigError, DeviceUnsuitable
from incamera.project.entry import Entry
from incamera.project.loading import find_project, load_project
from incamera.project.settings_parsing import parse_project
from incamera.project.targets import choose_targets, target_for_device
from incamera.targets.architecture import Architecture
from incamera.targets.target import Target


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("print('hi')\n")
    return tmp_path


def table(ours: dict[str, Any] | None = None, **project: Any) -> dict[str, Any]:
    keys = {key.replace("_", "-"): value for key, value in project.items()}
    return {"project": {"name": "door.bell", **keys}, "tool": {"incamera": ours or {}}}


def test_a_name_is_all_that_a_project_needs(folder: Path) -> None:
    project = parse_project(table(), folder)
    assert project.name == "door-bell"
    assert project.entry == Entry(file="app.py")
    assert project.targets is None
    assert project.default_targets == (Target(Architecture.armv7hf, "3.11"),)
    assert not project.has_build_system


def test_every_key_is_read(folder: Path) -> None:
    ours = {
        "targets": ["armv7hf", "aarch64-cp313"],
        "entry": "bell.main:ring",
        "device": "lobby",
        "debs": ["libzbar0"],
        "compiler": "zig",
        "runtime": {"keep": ["*/turtle.py"]},
    }
    project = parse_project(table(ours, dependencies=["numpy>=1.20"]), folder)
    assert [str(target) for target in project.default_targets] == ["armv7hf-cp311", "aarch64-cp313"]
    assert project.entry == Entry(module="bell.main", function="ring")
    assert project.dependencies == ("numpy>=1.20",)
    assert (project.device, project.debs, project.compiler, project.keep) == (
        "lobby",
        ("libzbar0",),
        "zig",
        ("*/turtle.py",),
    )


@pytest.mark.parametrize(
    ("entry", "arguments"),
    [
        ("app.py", ["app.py"]),
        ("bell", ["-m", "bell"]),
        ("bell:ring", ["-c", "import sys; from bell import ring; sys.exit(ring())"]),
    ],
)
def test_an_entry_becomes_arguments_of_python(folder: Path, entry: str, arguments: list[str]) -> None:
    assert parse_project(table({"entry": entry}), folder).require_entry().to_arguments() == arguments


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (table({"targts": ["armv7hf"]}), 'tool.incamera: unknown key "targts"', 'did you mean "targets"?'),
        (table({"runtime": {"kep": []}}), 'tool.incamera.runtime: unknown key "kep"', 'did you mean "keep"?'),
        (table({"to": "sdcrd"}), 'tool.incamera.to: unknown place "sdcrd"', 'did you mean "sdcard"?'),
        (table({"targets": "armv7hf"}), "tool.incamera.targets must be a list of strings, not a string", None),
        (table({"targets": []}), "tool.incamera.targets is empty", "write, for example"),
        (table({"targets": ["aarch64", "armhf"]}), "tool.incamera.targets[1]: unknown architecture", '"armv7hf"?'),
        (table({"targets": ["armv7hf!"]}), 'tool.incamera.targets[0]: "armv7hf!" is not a target', "write"),
        (table({"entry": 3}), "tool.incamera.entry must be a string", None),
        (table({"entry": "../app.py"}), "lies outside the project", None),
        (table({"entry": "rm -rf /"}), "tool.incamera.entry: cannot run", "write"),
        (table({"python": "3.8"}), "tool.incamera.python: no Debian suite has Python 3.8", "3.11"),
        (table({"compiler": "clang"}), 'tool.incamera.compiler: unknown compiler "clang"', "gcc or zig"),
        (table({"debs": ["lib zbar"]}), 'tool.incamera.debs: "lib zbar"', None),
        (table(dependencies=["numpy=1"]), 'project.dependencies[0]: "numpy=1"', None),
        (table(dependencies="numpy"), "project.dependencies must be a list of strings, not a string", None),
        (table(dependancies=["numpy"]), 'project: unknown key "dependancies"', 'did you mean "dependencies"?'),
        (
            {"project": {"name": "bell", "optional_dependencies": {}}},
            'project: unknown key "optional_dependencies"',
            '"optional-dependencies"?',
        ),
        (
            {**table(), "build-system": {"require": []}},
            'build-system: unknown key "require"',
            'did you mean "requires"?',
        ),
        (table(dynamic=["dependancies"]), 'project.dynamic: unknown key "dependancies"', '"dependencies"?'),
        (table(dynamic=["version"], version="1"), 'project.dynamic: "version" is in [project] as well', "remove"),
        (table(dynamic=["name"]), "project.dynamic", None),
        (table(dynamic=["dependencies"]), 'project.dynamic names "dependencies", but there is no build back end', None),
        (table(requires_python="3.11+"), 'project.requires-python: "3.11+"', '">=3.11"'),
        (table(requires_python=3.11), "project.requires-python must be a string", None),
        (
            {"project": {"name": "bell"}, "tool": {"poetry": {"dependencies": {"python": "^3.11", "numpy": "*"}}}},
            "tool.poetry.dependencies has dependencies (numpy), but [project] has none",
            "incamera init",
        ),
        (
            {"project": {"name": "bell"}, "tool": {"flit": {"metadata": {"requires": ["six"]}}}},
            "tool.flit.metadata.requires has dependencies (six)",
            None,
        ),
        (
            {"tool": {"poetry": {"name": "bell", "dependencies": {"numpy": "*"}}}},
            "tool.poetry.dependencies has dependencies (numpy), but [project] has none",
            None,
        ),
        ({**table(), "build_system": {}}, 'unknown table "build_system"', 'did you mean "build-system"?'),
        ({**table(), "dependancy-groups": {}}, 'unknown table "dependancy-groups"', '"dependency-groups"?'),
        ({"projct": {"name": "bell"}}, 'unknown table "projct"', 'did you mean "project"?'),
        ({**table(), "tools": {"incamera": {}}}, 'unknown table "tools"', 'did you mean "tool"?'),
        ({**table(), "incamera": {}}, 'unknown table "incamera"', "[tool.incamera]"),
        ({"project": {"name": "bell"}, "tool": {"in-camera": {}}}, 'unknown table "in-camera"', '"incamera"?'),
        (table(version="one"), 'project.version: "one" is not a version', '"1.0"'),
        ({"project": {}}, "project.name is missing", "incamera init"),
        ({"project": {"name": "-bell"}}, '"-bell" cannot be the name of a project', "letters"),
        ({"project": {"name": "bell"}, "tool": 3}, "tool must be a table", None),
    ],
)
def test_each_mistake_is_refused_with_the_key_and_a_hint(
    folder: Path, settings: dict[str, Any], message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_project(settings, folder)
    assert message in str(caught.value)
    if hint:
        assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == 3


def test_the_project_is_found_from_a_folder_inside_it(folder: Path) -> None:
    (folder / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    inside = folder / "deep" / "inside"
    inside.mkdir(parents=True)
    assert load_project(inside).folder == folder


def test_without_a_project_the_hint_names_incamera_new(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    assert "incamera new" in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["[build-system]\n", None])
def test_find_project_returns_none_for_a_project_without_incamera(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    assert find_project(tmp_path) is None


@pytest.mark.parametrize("line", ["devise = 'door'", "device = 'door"])
def test_find_project_refuses_a_faulty_project_of_incamera(folder: Path, line: str) -> None:
    (folder / "pyproject.toml").write_text(f"[project]\nname = 'door'\n[tool.incamera]\n{line}\n")
    with pytest.raises(ConfigError):
        find_project(folder)


def test_dependencies_of_another_tool_are_no_matter_beside_those_of_the_project(folder: Path) -> None:
    foreign = {"poetry": {"dependencies": {"python": "^3.11", "numpy": "*"}}}
    assert parse_project({"project": {"name": "bell", "dependencies": ["six"]}, "tool": foreign}, folder)
    only_python = {"poetry": {"dependencies": {"python": "^3.11"}}}
    assert parse_project({"project": {"name": "bell"}, "tool": only_python}, folder)


@pytest.mark.parametrize("python", [">=3.11", "~=3.11", ">=3.11.2,<3.13", "==3.11.*", ""])
def test_python_that_requires_python_allows_is_built_for(folder: Path, python: str) -> None:
    project = parse_project(table(requires_python=python), folder)
    assert [str(target) for target in project.default_targets] == ["armv7hf-cp311"]


@pytest.mark.parametrize("python", [">=3.13", "~=3.12", "!=3.11.*", ">3.11.99"])
def test_python_that_requires_python_excludes_is_refused_with_the_one_that_fits(folder: Path, python: str) -> None:
    project = parse_project(table(requires_python=python), folder)
    for name in (None, "aarch64-cp311"):
        with pytest.raises(ConfigError, match=r"but \w+-cp311 has Python 3\.11") as caught:
            choose_targets(project, name)
        assert 'python = "3.13" in [tool.incamera]' in str(caught.value.hint)
    assert [str(target) for target in choose_targets(project, "armv7hf-cp313")] == ["armv7hf-cp313"]
    assert parse_project(table({"python": "3.13"}, requires_python=python), folder).default_targets


@pytest.mark.parametrize(
    ("targets", "typed", "said", "remedy"),
    [
        (["aarch64"], None, "the project's target is aarch64", 'add "armv7hf" to targets in [tool.incamera]'),
        (["armv7hf"], "aarch64-cp313", "the target is aarch64", "type --target armv7hf"),
        (None, "aarch64", "the target is aarch64", "type --target armv7hf"),
    ],
)
def test_camera_of_another_architecture_is_refused_with_the_remedy_that_fits(
    folder: Path, targets: list[str] | None, typed: str | None, said: str, remedy: str
) -> None:
    project = parse_project(table({"targets": targets} if targets else {}), folder)
    with pytest.raises(DeviceUnsuitable, match=f"^cam is armv7hf, but {said}$") as caught:
        target_for_device(project, "cam", Architecture.armv7hf, typed)
    assert caught.value.hint == f"{remedy}, or choose another camera with --device"


def test_requires_python_that_no_camera_fits_names_the_pythons_there_are(folder: Path) -> None:
    project = parse_project(table(requires_python="<3"), folder)
    with pytest.raises(ConfigError) as caught:
        target_for_device(project, "cam", Architecture.aarch64, None)
    assert "cameras get Python 3.11 and 3.13" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nonsense", "Expected '='"),
        (b"\xff\xfe[\x00", "this is not UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deep"),
    ],
    ids=["no TOML", "UTF-16", "too deep"],
)
def test_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"pyproject\.toml: .*{message}") as refused:
        load_project(tmp_path)
    assert refused.value.hint is not None
