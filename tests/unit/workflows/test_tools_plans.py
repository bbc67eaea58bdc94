"""The packages and arguments of `incamera test`, VS Code's configuration, and the phases of a start."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import is_valid_pylock_path

from incamera.context import Context, SilentReporter
from incamera.device.tracebacks import HostPaths
from incamera.errors import ConfigError, DeviceError, UsageError
from incamera.observe.startup import Import, Startup
from incamera.project.dependencies import load_test_requirements
from incamera.project.loading import load_project
from incamera.project.lockfile import lock_path
from incamera.store import Store
from incamera.targets.target import Target
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera.workflows.debug import CONFIGURATION, launch_configuration, write_launch_file
from incamera.workflows.startup import describe_imports, plan_phases
from incamera.workflows.test import (
    TestRun,
    bring_back,
    plan_requirements,
    plan_words,
    require_file_name,
    rewrite_coverage,
    rewrite_text,
)

if TYPE_CHECKING:
    from incamera.project.settings import Project


def write(folder: Path, more: str = "") -> Project:
    (folder / "pyproject.toml").write_text(f'[project]\nname = "bell"\n{more}')
    (folder / "app.py").touch()
    return load_project(folder)


# The tests' packages


def _requirements_of_tests(project: Project) -> tuple[str, ...]:
    return load_test_requirements(project.folder, groups=project.test_groups)


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("", []),
        ('[dependency-groups]\ntest = ["pytest>=8", "pytest-mock"]\n', ["pytest>=8", "pytest-mock"]),
        ('[dependency-groups]\ntest = ["bell", "pytest-mock"]\n', ["pytest-mock"]),
        ('[dependency-groups]\ntest = ["a"]\nunit = ["b"]\n[tool.incamera.test]\ngroups = ["unit"]\n', ["b"]),
        ('[dependency-groups]\ntest = ["a"]\n[tool.incamera.test]\ngroups = []\n', []),
    ],
)
def test_dependency_groups_name_the_requirements_of_tests(settings: str, wanted: list[str], tmp_path: Path) -> None:
    assert list(_requirements_of_tests(write(tmp_path, settings))) == wanted


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('[tool.incamera.test]\ngroups = ["unit"]\n', 'tool.incamera.test.groups: .* no dependency group "unit"'),
        ('[dependency-groups]\ntest = ["x @ https://example.org/x.whl"]\n', "is a URL"),
    ],
)
def test_invalid_dependency_groups_are_named_in_the_error(settings: str, message: str, tmp_path: Path) -> None:
    project = write(tmp_path, settings)  # the app itself can run
    with pytest.raises(ConfigError, match=message):
        _requirements_of_tests(project)


def test_unknown_key_of_the_test_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'tool.incamera.test: unknown key "group"') as error:
        write(tmp_path, '[tool.incamera.test]\ngroup = ["unit"]\n')
    assert error.value.hint == 'did you mean "groups"?'


def test_pytest_and_coverage_are_added_where_missing() -> None:
    assert plan_requirements([], coverage=False) == ["pytest"]
    assert plan_requirements(["PyTest>=8", "mock"], coverage=True) == ["PyTest>=8", "mock", "coverage"]


def test_variant_has_a_lockfile_of_its_own(tmp_path: Path) -> None:
    import dataclasses

    project = write(tmp_path)
    target = Target.parse("armv7hf")
    varied = lock_path(dataclasses.replace(project, variant="test"), target)
    assert varied != lock_path(project, target)
    assert is_valid_pylock_path(varied)


def test_pytest_arguments_keep_caches_out_of_the_bundle(tmp_path: Path) -> None:
    project = write(tmp_path)
    words = plan_words(project, TestRun(arguments=["-k", "dark"], junit=Path("j.xml"), coverage=True), "/tmp/s")
    assert words[:4] == ["-m", "coverage", "run", "--source=."]
    assert words[4:] == ["-m", "pytest", "-p", "no:cacheprovider", "--junitxml=/tmp/s/junit.xml", "-k", "dark"]
    configured = write(tmp_path, '[tool.coverage.run]\nsource = ["lib"]\n')
    assert "--source=." not in plan_words(configured, TestRun(arguments=[], coverage=True), "/tmp/s")


# What comes back


def test_coverage_data_gets_the_paths_of_this_computer(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    data = tmp_path / ".coverage"
    connection = sqlite3.connect(data)
    connection.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT)")
    connection.executemany("INSERT INTO file (path) VALUES (?)", [("/r/app/app.py",), ("/r/app/made.py",)])
    connection.commit()
    connection.close()
    rewrite_coverage(data, HostPaths(folders=("/r/app",), sources=(tmp_path,)))
    connection = sqlite3.connect(data)
    assert connection.execute("SELECT path FROM file").fetchall() == [(f"{tmp_path}/app.py",), ("/r/app/made.py",)]
    connection.close()


@pytest.mark.parametrize(
    "statements",
    [
        # A view without an end.
        [
            "CREATE VIEW file AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n)"
            " SELECT id, 'a' path FROM n"
        ],
        ["CREATE TABLE file (id, path)", "CREATE VIEW more AS SELECT 1"],
        [
            "CREATE TABLE file (id, path)",
            "INSERT INTO file VALUES (1, '/r/app/app.py')",
            "CREATE TRIGGER t AFTER UPDATE ON file BEGIN DELETE FROM file; END",
        ],
        ["CREATE VIRTUAL TABLE file USING fts5(id, path)"],
        # What SQLite reads is the text, and the kind beside it may be wrong.
        [
            "CREATE TABLE file (id, path)",
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE VIEW v AS SELECT 1')",
        ],
        [
            "CREATE TABLE file (id, path)",
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('table', 'v', 'v', 0, 'CREATE/**/VIRTUAL TABLE v USING fts5(x)')",
        ],
        [
            "CREATE TABLE file (id, path)",
            "PRAGMA writable_schema = ON",
            "INSERT INTO sqlite_master VALUES ('index', 't', 'file', 0,"
            " 'CREATE TRIGGER t AFTER UPDATE ON file BEGIN DELETE FROM file; END')",
        ],
        ["CREATE TABLE other (id, path)"],
        ["CREATE TABLE file (path)"],
    ],
)
def test_coverage_file_with_more_than_tables_is_a_device_error(tmp_path: Path, statements: list[str]) -> None:
    (tmp_path / "app.py").touch()
    data = tmp_path / ".coverage"
    connection = sqlite3.connect(data)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(DeviceError, match="coverage data"):
        rewrite_coverage(data, HostPaths(folders=("/r/app",), sources=(tmp_path,)))


def test_coverage_file_with_odd_paths_is_taken_and_a_damaged_one_is_not(tmp_path: Path) -> None:
    data = tmp_path / ".coverage"
    connection = sqlite3.connect(data)
    connection.execute("create  table file (id unique, path)")
    connection.execute("create unique  index by_path on file (path)")
    connection.executemany(
        "INSERT INTO file VALUES (?, ?)", [(1, None), ("x", 7), (2, b"/r/app/\xff"), (3, "/r/app/..")]
    )
    connection.commit()
    connection.close()
    paths = HostPaths(folders=("/r/app",), sources=(tmp_path,))
    rewrite_coverage(data, paths)
    for damaged in (b"not a database", data.read_bytes()[:1000], data.read_bytes().replace(b"SQLite", b"SQLate")):
        data.write_bytes(damaged)
        with pytest.raises(DeviceError, match="coverage data"):
            rewrite_coverage(data, paths)


def test_junit_results_get_the_paths_of_this_computer(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    paths = HostPaths(folders=("/r/app",), sources=(tmp_path,))
    assert rewrite_text(b"<x>/r/app/app.py:3</x>", paths) == f"<x>{tmp_path}/app.py:3</x>".encode()


class _Told(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, text: str) -> None:
        self.said.append(text)

    def warn(self, text: str) -> None:
        self.said.append(f"warning: {text}")


def test_results_that_could_not_be_written_are_refused_before_the_tests_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "out.xml"):
        with pytest.raises(UsageError, match=r"is a (?:folder|file)"):
            require_file_name(path)
    require_file_name(tmp_path / "made" / "later" / "out.xml")


def test_files_that_the_tests_leave_are_named_and_missing_ones_are_warned_of(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "junit.xml").write_text("<x>/r/app/app.py:3</x>")
    (tmp_path / "app.py").touch()
    told, junit, coverage = _Told(), tmp_path / "results.xml", tmp_path / ".coverage"
    context = Context(Store(tmp_path / "store"), told, {})
    run = TestRun(arguments=[], junit=junit, coverage=True)
    paths = HostPaths(folders=("/r/app",), sources=(tmp_path,))
    with open_local(Device(name="cam", address=SshAddress(host="127.0.0.1"))) as session:
        bring_back(context, session, str(scratch), run, coverage, paths)
        assert junit.read_text() == f"<x>{tmp_path}/app.py:3</x>"
        assert told.said == [
            f"wrote the test results to {junit}",
            f"warning: the tests left no coverage data: {coverage} was not written",
        ]
        (scratch / "junit.xml").unlink()
        told.said.clear()
        bring_back(context, session, str(scratch), TestRun(arguments=[], junit=junit), coverage, paths)
    assert told.said == [f"warning: pytest left no test results: {junit} was not written"]


# The debugger


def test_packages_of_a_wheel_are_mapped_to_their_source_folders(tmp_path: Path) -> None:
    (tmp_path / "src" / "bell").mkdir(parents=True)
    plain = launch_configuration(write(tmp_path), 5678)
    built = launch_configuration(write(tmp_path, '[build-system]\nrequires = ["hatchling"]\n'), 5679)
    remote = plain["pathMappings"][0]["remoteRoot"]
    assert plain["pathMappings"] == [{"localRoot": "${workspaceFolder}", "remoteRoot": remote}]
    assert built["pathMappings"][0] == {"localRoot": "${workspaceFolder}/src/bell", "remoteRoot": f"{remote}/bell"}
    assert built["connect"] == {"host": "127.0.0.1", "port": 5679}


def test_writing_the_launch_file_keeps_other_configurations(tmp_path: Path) -> None:
    first: dict[str, Any] = {"name": CONFIGURATION, "port": 1}
    path = write_launch_file(tmp_path, first)
    document = json.loads(path.read_text())
    document["configurations"].insert(0, {"name": "other"})
    path.write_text(json.dumps(document))
    write_launch_file(tmp_path, {**first, "port": 2})
    assert json.loads(path.read_text())["configurations"] == [{"name": "other"}, {**first, "port": 2}]


@pytest.mark.parametrize("text", ['{\n  // mine\n  "configurations": []\n}', "[]", '{"configurations": 3}'])
def test_launch_file_that_is_not_plain_json_is_left_alone(text: str, tmp_path: Path) -> None:
    (tmp_path / ".vscode").mkdir()
    path = tmp_path / ".vscode" / "launch.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="left as it is") as error:
        write_launch_file(tmp_path, {"name": CONFIGURATION, "port": 2})
    assert path.read_text() == text
    assert '"port": 2' in str(error.value.hint)


# The start


def test_phases_of_a_start_add_up_to_the_total() -> None:
    module = Import(name="json", own=0.1, seconds=0.25, children=())
    startup = Startup(opened=10.0, ready=11.0, first_output=12.0, age=0.8, imports=[module])
    start, imports, app = plan_phases(startup, 20.0)
    assert (start.seconds, start.inside) == (1.0, 0.8)
    assert (imports.seconds, app.seconds) == (0.25, 0.75)
    assert "without output" in plan_phases(Startup(opened=10.0, ready=11.0), 12.0)[2].what
    assert "did not start" in plan_phases(Startup(opened=10.0), 12.0)[0].what


def test_small_imports_are_left_out_of_the_tree() -> None:
    small = Import(name="small", own=0.001, seconds=0.001, children=())
    middle = Import(name="middle", own=0.1, seconds=0.1, children=(small,))
    large = Import(name="large", own=0.4, seconds=0.5, children=(middle,))
    shown = [(depth, item.name) for depth, item in describe_imports([large, small], least=0.01)]
    assert shown == [(0, "large"), (1, "middle")]
