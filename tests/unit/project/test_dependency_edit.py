"""`incamera add` and `remove`: what they change in pyproject.toml, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from incamera.errors import ConfigError, UsageError
from incamera.project.additions import Addition, parse_addition
from incamera.project.dependency_edit import add_requirement, remove_requirement, set_bound
from incamera.project.toml_text import TomlText
from incamera.workflows.add import lower_bound

TEXT = """\
[project]
name = "lamp"
dependencies = [
    "NumPy>=1.24",  # fast
    "requests[socks] ; sys_platform == 'linux'",
]

[dependency-groups]
dev = ["pytest", { include-group = "lint" }]
lint = ["ruff"]
"""


def parsed(typed: str, project: Path, working: Path) -> Addition:
    found = parse_addition(typed, project, working)
    assert isinstance(found, Addition)
    return found


def add(text: str, typed: str, folder: Path = Path("/nowhere"), group: str | None = None) -> str:
    toml = TomlText(text)
    add_requirement(toml, parsed(typed, folder, folder), group, None)
    return toml.text


def test_a_package_that_is_there_is_changed_by_its_normalized_name() -> None:
    assert add(TEXT, "numpy<3") == TEXT.replace('"NumPy>=1.24"', '"NumPy<3"')


def test_a_name_alone_keeps_the_version_that_is_there() -> None:
    assert add(TEXT, "numpy") == TEXT


def test_extras_are_added_to_those_that_are_there_and_the_marker_stays() -> None:
    assert '"requests[http2,socks]>=2; sys_platform == \\"linux\\""' in add(TEXT, "requests[http2]>=2")


def test_another_marker_is_another_requirement() -> None:
    added = add(TEXT, "numpy>=2 ; python_version >= '3.12'")
    assert '"NumPy>=1.24",  # fast' in added
    assert '"numpy>=2; python_version >= \\"3.12\\""' in added
    assert '"NumPy<3",  # fast' in add(added, "numpy<3")
    both = "[project]\ndependencies = [\"a ; os_name == 'nt'\", \"a>=1 ; os_name == 'posix'\"]\n"
    with pytest.raises(UsageError, match="several markers"):
        add(both, "a<3")


def test_a_group_keeps_the_groups_that_it_includes() -> None:
    assert 'dev = ["pytest", { include-group = "lint" }, "mypy"]' in add(TEXT, "mypy", group="dev")


def test_a_bound_is_written_beside_extras_and_marker() -> None:
    toml = TomlText(TEXT)
    assert set_bound(toml, None, "requests", "2.32") == 'requests[socks]>=2.32; sys_platform == "linux"'


@pytest.mark.parametrize(
    ("version", "bound"),
    [("1.24.2", "1.24"), ("2026.1", "2026.1"), ("6", "6"), ("2!1.4.0", "2!1.4"), ("1.0rc1", "1.0rc1")],
)
def test_lower_bounds(version: str, bound: str) -> None:
    assert lower_bound(Version(version)) == bound


@pytest.mark.parametrize(
    ("typed", "told", "hint"),
    [
        ("cv2", "opencv-python-headless", "incamera add opencv-python-headless"),
        ("json", "standard library", "nothing to add"),
        ("a b", "a b", "'numpy>=1.24,<2'"),
        ("numpy=1.26", "not a requirement", "'numpy==1.26'"),
        ("numpy@1.26", "not a requirement", "'numpy==1.26'"),
        ("https://example.com/lamp-1-py3-none-any.whl", "is a URL", "./FILE.whl"),
        ("requirements.txt", "requirements.txt is a file", "incamera add numpy requests"),
        ("./app.py", "app.py is neither a folder nor a wheel", "a folder or a wheel"),
        ("./lamp.whl", "lamp.whl is not the name of a wheel", "a folder or a wheel"),
    ],
)
def test_what_is_no_package_is_refused(typed: str, told: str, hint: str, tmp_path: Path) -> None:
    for name in ("requirements.txt", "app.py", "lamp.whl"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=told) as error:
        parse_addition(typed, Path("/nowhere"), tmp_path)
    assert error.value.hint is not None
    assert hint in error.value.hint


def test_a_folder_and_a_wheel_are_named_relative_to_the_project(tmp_path: Path) -> None:
    project = tmp_path / "app"
    (project / "dist").mkdir(parents=True)
    (project / "dist" / "Bell-1.0-py3-none-any.whl").touch()
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "pyproject.toml").write_text('[project]\nname = "lamp"\nversion = "1"\n')
    folder = parsed("../lamp[view]", project, project)
    assert (str(folder.requirement), folder.source) == ("lamp[view]", {"path": "../lamp"})
    wheel = parsed("Bell-1.0-py3-none-any.whl", project, project / "dist")
    assert (wheel.name, wheel.source) == ("bell", {"path": "dist/Bell-1.0-py3-none-any.whl"})
    for typed in ("../nowhere", ".", "./dist/nothing.tar.gz", "~no-such-user/lamp", f"./{'a' * 300}"):
        with pytest.raises(UsageError):
            parse_addition(typed, project, project)


def test_remove_takes_all_markers_and_what_is_said_about_the_package_elsewhere() -> None:
    more = (
        '[tool.incamera.sources]\nnumpy = "deb"\nrequests = "wheel"\n\n'
        '[tool.uv.sources]\nnumpy = { path = "../numpy" }\n'
    )
    toml = TomlText(add(TEXT, "numpy>=2 ; python_version >= '3.12'") + more)
    assert remove_requirement(toml, "NUMPY", None) == ["NumPy>=1.24", 'numpy>=2; python_version >= "3.12"']
    assert "umpy" not in toml.text
    assert toml.find("tool", "incamera", "sources") == {"requests": "wheel"}


@pytest.mark.parametrize(
    ("name", "group", "message", "hint"),
    [
        ("pillow", None, "not in the dependencies", "in the dependencies: NumPy, requests"),
        ("numpi", None, "not in the dependencies", 'did you mean "numpy"'),
        ("numpy>=1", None, "not in the dependencies", "the name alone: NumPy"),
        ("pytest", None, "in the group dev", "--dev"),
        ("ruff", "dev", "in the group lint", "--group lint"),
        ("numpy", "dev", "in the dependencies", "leave out"),
    ],
)
def test_remove_says_what_is_there(name: str, group: str | None, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        remove_requirement(TomlText(TEXT), name, group)
    assert error.value.hint is not None
    assert hint in error.value.hint


def test_dependencies_that_the_back_end_fills_in_are_left_alone() -> None:
    text = '[project]\nname = "lamp"\ndynamic = ["dependencies"]\n'
    with pytest.raises(ConfigError, match="dynamic"):
        add(text, "numpy")
    with pytest.raises(ConfigError, match="dynamic"):
        remove_requirement(TomlText(text), "numpy", None)
