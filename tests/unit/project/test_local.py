"""Packages that a project takes from a wheel or folder of the user's own."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.digest import Sha256
from incamera.errors import ConfigError
from incamera.project.included import included_folder
from incamera.project.local import load_local
from incamera.project.locked import Lock, LockedDistribution, LockedFile
from incamera.project.lockfile import find_lock, lock_inputs, write_lock
from incamera.project.settings_parsing import parse_project
from incamera.targets.target import Target

if TYPE_CHECKING:
    from incamera.project.settings import Project

TARGET = Target.parse("armv7hf")


@pytest.fixture
def porch(tmp_path: Path) -> Path:
    """The folder of a project, beside the folder of the package `lamp` and a wheel of `bulb`."""
    for name in ("porch", "lamp"):
        (tmp_path / name).mkdir()
    (tmp_path / "porch/app.py").touch()
    (tmp_path / "lamp/pyproject.toml").write_text('[project]\nname = "Lamp"\nversion = "1.0"\n')
    (tmp_path / "bulb-2.0-py3-none-any.whl").write_bytes(b"a wheel")
    (tmp_path / "bulb-2.0.tar.gz").write_bytes(b"an sdist")
    return tmp_path / "porch"


def project(porch: Path, text: str, *dependencies: str) -> Project:
    """Return the project with the TOML *text* after its [project] table, which begins with *dependencies*."""
    table = tomllib.loads(f'[project]\nname = "porch"\ndependencies = {list(dependencies)}\n{text}')
    return parse_project(table, porch)


def test_uv_sources_name_a_folder_or_a_wheel_by_a_relative_path(porch: Path) -> None:
    text = '[tool.uv.sources]\nLAMP = { path = "../lamp", editable = true }\n'
    text += 'bulb = { path = "../bulb-2.0-py3-none-any.whl" }\nother = { git = "https://example.com/other" }\n'
    found = project(porch, text, "lamp[night]>=1", "bulb")
    assert found.local == {"lamp": porch.parent / "lamp", "bulb": porch.parent / "bulb-2.0-py3-none-any.whl"}
    assert found.dependencies == ("lamp[night]>=1", "bulb")


@pytest.mark.parametrize(
    "text",
    [
        "dependencies = [\"lamp[night] @ URL ; sys_platform == 'linux'\"]\n",
        "optional-dependencies.night = [\"lamp[night] @ URL ; sys_platform == 'linux'\"]\n"
        '[tool.incamera]\nextras = ["night"]\n',
        "[dependency-groups]\nnight = [\"lamp[night] @ URL ; sys_platform == 'linux'\"]\n"
        '[tool.incamera]\ngroups = ["night"]\n',
    ],
    ids=["dependencies", "extra", "group"],
)
def test_direct_reference_names_a_folder(porch: Path, text: str) -> None:
    for url in ((porch.parent / "lamp").as_uri(), "file:///${PROJECT_ROOT}/../lamp", "{root:uri}/../lamp"):
        table = tomllib.loads(f'[project]\nname = "porch"\n{text}'.replace("URL", url))
        found = parse_project(table, porch)
        assert found.local == {"lamp": porch.parent / "lamp"}
        assert found.dependencies == ('lamp[night]; sys_platform == "linux"',)


def test_test_group_may_name_a_folder(porch: Path) -> None:
    (porch / "pyproject.toml").write_text('[tool.uv.sources]\nlamp = { path = "../lamp" }\n')
    found = load_local(porch, ["lamp", "pytest"])
    assert (found.requirements, found.paths) == (("lamp", "pytest"), {"lamp": porch.parent / "lamp"})


def test_folder_names_the_sources_of_its_own_dependencies(porch: Path) -> None:
    text = '[project]\nname = "lamp"\nversion = "1"\noptional-dependencies.night = ["bulb"]\n'
    text += '[tool.uv.sources]\nbulb = { path = "../bulb-2.0-py3-none-any.whl" }\n'
    (porch.parent / "lamp/pyproject.toml").write_text(text)
    found = project(porch, '[tool.uv.sources]\nlamp = { path = "../lamp" }', "lamp")
    assert sorted(found.local) == ["bulb", "lamp"]


def test_first_source_whose_marker_holds_in_cameras_is_taken(porch: Path) -> None:
    text = """[tool.uv.sources]
lamp = [
  { git = "https://example.com/lamp", marker = "sys_platform == 'win32'" },
  { path = "../other", extra = "day" },
  { path = "../lamp", marker = "sys_platform != 'win32' and os_name == 'posix'" },
]
"""
    assert project(porch, text, "lamp").local == {"lamp": porch.parent / "lamp"}


@pytest.mark.parametrize(
    ("source", "message", "hint"),
    [
        (
            '{ git = "https://example.com/lamp" }',
            "tool.uv.sources.lamp.rev",
            "git ls-remote https://example.com/lamp HEAD",
        ),
        ('{ url = "https://example.com/lamp.whl" }', "tool.uv.sources.lamp.url", "download"),
        ('{ index = "mine" }', "tool.uv.sources.lamp.index", "PIP_INDEX_URL"),
        ("{ workspace = true }", "tool.uv.sources.lamp.workspace", "path"),
        ('{ path = "../lamp", package = false }', "package = false", "remove the key"),
        ('{ path = "../lamp", marker = "python_version > \'3\'" }', "may differ between targets", "sys_platform"),
        ('{ path = "../lamp", subdirectory = "x" }', "tool.uv.sources.lamp.subdirectory", "path"),
        ('{ path = "../lamp", marker = "os_name ~= \'posix\'" }', "has no meaning", "=="),
        ("[{ workspace = true, marker = \"os_name == 'posix'\" }]", "tool.uv.sources.lamp[0].workspace", "path"),
        ('{ path = "../none" }', "there is no ", "correct the path"),
        ('{ path = "../bulb-2.0.tar.gz" }', "neither a folder nor a wheel", "folders and wheels"),
        ('{ path = "../bulb-2.0-py3-none-any.whl" }', "is the package bulb, not lamp", "name each package"),
        ('{ path = ".." }', "neither pyproject.toml nor setup.py", "folder"),
        ("7", "tool.uv.sources.lamp must be a table", "path"),
    ],
)
def test_source_that_is_not_supported_is_refused_with_key_and_remedy(
    porch: Path, source: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        project(porch, f"[tool.uv.sources]\nlamp = {source}\n", "lamp")
    assert message in str(caught.value)
    assert hint in str(caught.value.hint)


def test_git_repository_that_a_folder_names_must_be_named_by_the_project(porch: Path) -> None:
    entry = f'bulb = {{ git = "https://example.com/bulb", rev = "{"01" * 20}" }}\n'
    lamp = porch.parent / "lamp/pyproject.toml"
    lamp.write_text(f'[project]\nname = "lamp"\ndependencies = ["bulb"]\n[tool.uv.sources]\n{entry}')
    text = '[tool.uv.sources]\nlamp = { path = "../lamp" }\n'
    with pytest.raises(ConfigError, match=r"tool\.uv\.sources\.bulb is a git repository"):
        project(porch, text, "lamp")
    assert project(porch, text + entry, "lamp", "bulb").git.keys() == {"bulb"}


@pytest.mark.parametrize("wrapped", ["project", "group", "tests"])
def test_requirement_may_name_a_commit(porch: Path, wrapped: str) -> None:
    source = f"git+https://example.com/bulb@{'01' * 20}#subdirectory=py"
    text = f'["bulb[night] @ {source}"]\n'
    uv_sources = '[tool.uv.sources]\nbulb = { path = "../none" }\n'
    if wrapped == "project":
        found = project(porch, f"optional-dependencies.a = {text}{uv_sources}[tool.incamera]\nextras = ['a']\n")
        requirements, git = found.dependencies, found.git
    elif wrapped == "group":
        found = project(porch, f"[dependency-groups]\na = {text}{uv_sources}[tool.incamera]\ngroups = ['a']\n")
        requirements, git = found.dependencies, found.git
    else:
        own = load_local(porch, [f"bulb[night] @ {source}"])
        requirements, git = own.requirements, own.git
    assert requirements == ("bulb[night]",)
    assert {name: str(found) for name, found in git.items()} == {"bulb": source}


def test_folder_may_name_a_commit_that_the_project_names_too(porch: Path) -> None:
    bulb = f"bulb @ git+https://example.com/bulb@{'01' * 20}"
    (porch.parent / "lamp/pyproject.toml").write_text(f'[project]\nname = "lamp"\ndependencies = ["{bulb}"]\n')
    sources = '[tool.uv.sources]\nlamp = { path = "../lamp" }\n'
    with pytest.raises(ConfigError, match="the project does not name it") as caught:
        project(porch, sources, "lamp")
    assert f'dependencies = ["{bulb}"]' in str(caught.value.hint)
    assert project(porch, sources, "lamp", bulb).git.keys() == {"bulb"}


def test_one_package_from_two_commits_is_refused(porch: Path) -> None:
    urls = [f"bulb @ git+https://example.com/bulb@{digits * 20}" for digits in ("01", "02")]
    with pytest.raises(ConfigError, match="elsewhere"):
        project(porch, "", *urls)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://example.com/lamp-1.0-py3-none-any.whl", "is a URL (https)"),
        ("git+https://example.com/lamp", "names no commit"),
        ("git+file:///srv/lamp@main", "main may be another commit tomorrow"),
        ("git://example.com/lamp", "is a URL (git)"),
        ("file://server/lamp", "does not have an absolute path of this computer"),
        ("file:../lamp", "does not have an absolute path of this computer"),
        ("file:///srv/lamp#subdirectory=x", "has more than a path"),
        ("http://[::/lamp.whl", "is a faulty URL"),
        ("file:///nowhere/lamp", "there is no /nowhere/lamp"),
    ],
)
def test_direct_reference_that_is_not_supported_is_refused(porch: Path, url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        project(porch, "", f"lamp @ {url}")
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[[tool.uv.index]]\nurl = "https://example.com/simple"\n', "tool.uv.index"),
        ('[tool.uv]\nextra-index-url = ["https://example.com/simple"]\n', "tool.uv.extra-index-url"),
        ('[tool.uv]\noverride-dependencies = ["bulb==1"]\n', "tool.uv.override-dependencies"),
        ('[[tool.pdm.source]]\nurl = "https://example.com/simple"\n', "tool.pdm.source"),
        ('[tool.pdm.resolution.overrides]\nbulb = "1"\n', "tool.pdm.resolution.overrides"),
        ('[[tool.poetry.source]]\nname = "mine"\n', "tool.poetry.source"),
        ('[tool.poetry.dependencies]\nlamp = { path = "../lamp" }\n', "tool.poetry.dependencies.lamp.path"),
        ('[tool.poetry.group.night.dependencies]\nlamp = { git = "x" }\n', "tool.poetry.group.night.dependencies"),
        ('[tool.pixi.pypi-dependencies]\nlamp = { path = "../lamp" }\n', "tool.pixi.pypi-dependencies.lamp.path"),
    ],
)
def test_what_other_tools_would_obey_is_refused_with_its_key(porch: Path, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        project(porch, text, "lamp")
    assert key in str(caught.value)
    assert caught.value.hint


def test_what_does_not_concern_the_packages_of_the_project_is_accepted(porch: Path) -> None:
    text = '[[tool.uv.index]]\nname = "mine"\nurl = "https://example.com/simple"\nexplicit = true\n'
    text += '[tool.uv]\ndev-dependencies = ["ruff"]\n[tool.uv.sources]\nruff = { index = "mine" }\n'
    text = text.replace("[tool.uv]\ndev-dependencies", "[tool.uv.pip]\nx").replace('x = ["ruff"]', "strict = true")
    text += '[tool.poetry.dependencies]\npython = ">=3.11"\nlamp = ">=1"\n'
    assert project(porch, text, "lamp").local == {}


def test_constraints_of_uv_are_obeyed(porch: Path) -> None:
    found = project(porch, '[tool.uv]\nconstraint-dependencies = ["lamp<2"]\n', "lamp")
    assert found.constraints == ("lamp<2",)


def test_build_requirement_with_a_source_is_refused(porch: Path) -> None:
    text = '[build-system]\nrequires = ["lamp"]\n[tool.uv.sources]\nlamp = { path = "../lamp" }\n'
    with pytest.raises(ConfigError, match=r"tool\.uv\.sources\.lamp: what a build requires"):
        project(porch, text)


# Packages that come with incamera


def test_package_that_comes_with_incamera_is_never_taken_from_an_index(porch: Path) -> None:
    found = project(porch, "", "acap>=0.1", "numpy")
    assert found.local == {"acap": included_folder("acap")}
    assert found.dependencies == ("acap>=0.1", "numpy")
    assert (found.local["acap"] / "pyproject.toml").is_file()


def test_folder_may_require_what_comes_with_incamera(porch: Path) -> None:
    (porch.parent / "lamp/pyproject.toml").write_text('[project]\nname = "lamp"\ndependencies = ["Acap"]\n')
    found = project(porch, '[tool.uv.sources]\nlamp = { path = "../lamp" }', "lamp")
    assert sorted(found.local) == ["acap", "lamp"]


def test_own_copy_takes_the_place_of_what_comes_with_incamera(porch: Path) -> None:
    (porch.parent / "lamp/pyproject.toml").write_text('[project]\nname = "lamp"\ndependencies = ["acap"]\n')
    (porch.parent / "acap").mkdir()
    (porch.parent / "acap/setup.py").touch()
    text = '[tool.uv.sources]\nlamp = { path = "../lamp" }\nacap = { path = "../acap" }'
    assert project(porch, text, "lamp", "acap").local["acap"] == porch.parent / "acap"
    commit = "git+https://example.com/acap@" + "ab" * 20
    found = project(porch, "", f"acap @ {commit}")
    assert (dict(found.local), sorted(found.git)) == ({}, ["acap"])


def test_test_group_may_need_what_comes_with_incamera(porch: Path) -> None:
    assert load_local(porch, ["acap"]).paths == {"acap": included_folder("acap")}


def test_lockfile_names_no_folder_of_this_computer_for_what_comes_with_incamera(porch: Path) -> None:
    found = project(porch, "", "acap")
    file = LockedFile(filename="acap-0.1.0.tar.gz", url="", sha256=Sha256("ab" * 32), size=7, path="incamera:acap")
    acap = LockedDistribution(name="acap", version="0.1.0", source="sdist", why="", file=file)
    lock = Lock(target=TARGET, inputs=lock_inputs(found, TARGET), distributions=(acap,), debs=())
    text = write_lock(found, lock).read_text()
    assert find_lock(found, TARGET) == lock
    assert tomllib.loads(text)["packages"][0]["directory"] == {"path": "incamera:acap"}
    assert str(included_folder("acap")) not in text


# The lockfile


def locked(found: Project, path: str) -> Lock:
    """Return a lock of *found*, which has lamp from the folder *path*, and bulb from a wheel beside it."""
    lamp = LockedFile(filename="lamp-1.0.tar.gz", url="", sha256=Sha256("ab" * 32), size=7, path=path)
    bulb = LockedFile(
        filename="bulb-2.0-py3-none-any.whl",
        url="",
        sha256=Sha256("cd" * 32),
        size=8,
        path="../bulb-2.0-py3-none-any.whl",
    )
    distributions = (
        LockedDistribution(name="bulb", version="2.0", source="wheel", why="", file=bulb),
        LockedDistribution(name="lamp", version="1.0", source="sdist", why="", file=lamp, requires=("bulb",)),
    )
    return Lock(target=TARGET, inputs=lock_inputs(found, TARGET), distributions=distributions, debs=())


@pytest.fixture
def found(porch: Path) -> Project:
    text = '[tool.uv.sources]\nlamp = { path = "../lamp" }\nbulb = { path = "../bulb-2.0-py3-none-any.whl" }\n'
    return project(porch, text, "lamp", "bulb")


def test_lockfile_has_paths_relative_to_itself_with_hashes(found: Project) -> None:
    lock = locked(found, "../lamp")
    text = write_lock(found, lock).read_text()
    assert find_lock(found, TARGET) == lock
    packages = {item["name"]: item for item in tomllib.loads(text)["packages"]}
    assert packages["lamp"]["directory"] == {"path": "../lamp"}
    assert packages["lamp"]["tool"]["incamera"]["sha256"] == "ab" * 32
    [wheel] = packages["bulb"]["wheels"]
    assert wheel["path"] == "../bulb-2.0-py3-none-any.whl"
    assert "url" not in wheel


@pytest.mark.parametrize("path", ["../../../etc", "/etc", "../lamp2"])
def test_lock_with_another_path_than_pyproject_is_stale(found: Project, path: str) -> None:
    write_lock(found, locked(found, path))
    assert find_lock(found, TARGET) is None


def test_lock_with_a_path_that_pyproject_does_not_name_is_stale(found: Project) -> None:
    other = dataclasses.replace(found, local={})
    lock = dataclasses.replace(locked(found, "../lamp"), inputs=lock_inputs(other, TARGET))
    write_lock(other, lock)
    assert find_lock(other, TARGET) is None


def test_edit_in_a_local_folder_makes_the_lock_stale(found: Project, porch: Path) -> None:
    write_lock(found, locked(found, "../lamp"))
    (porch.parent / "lamp/.cache").write_text("left out")
    assert find_lock(found, TARGET) is not None
    (porch.parent / "lamp/lamp.py").write_text("BRIGHT = True\n")
    assert find_lock(found, TARGET) is None


def test_all_sources_count_where_only_the_back_end_knows_the_dependencies(porch: Path) -> None:
    (porch / "setup.py").touch()
    for key in ("dependencies", "optional-dependencies"):
        text = f'[project]\nname = "porch"\ndynamic = ["{key}"]\n[tool.uv.sources]\nlamp = {{ path = "../lamp" }}\n'
        assert sorted(parse_project(tomllib.loads(text), porch).local) == ["lamp"]
