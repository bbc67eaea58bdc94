"""`incamera add` and `remove` with a package index on loopback: what is written, what it costs, and what is undone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .command import assert_error, command_environment, running
from .local_index import LocalIndex, local_index
from .project import write_project

if TYPE_CHECKING:
    from .command import Finished, Run


class Place:
    """A project whose packages come from an index on loopback."""

    def __init__(self, folder: Path, index: LocalIndex, run: Run) -> None:
        self.folder, self.index, self._run = folder, index, run
        self.environment = index.environment
        write_project(folder)

    def __call__(self, *arguments: str) -> Finished:
        return self._run(*arguments, cwd=self.folder, env=self.environment)

    def document(self, *arguments: str) -> dict[str, Any]:
        done = self(*arguments, "--json")
        assert done.code == 0, done.err
        found: dict[str, Any] = json.loads(done.out)
        return found

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.glob("*.toml")}


@pytest.fixture
def place(tmp_path: Path, incamera: Run) -> Iterator[Place]:
    with local_index() as index:
        index.add_wheel("lamp", "2.3.1", "bulb>=1")
        index.add_wheel("bulb", "1.5")
        yield Place(tmp_path / "plain", index, incamera)


@pytest.fixture
def building(place: Place) -> Place:
    """The same, and the tests' package index has what builds need."""
    place.environment = {"PIP_EXTRA_INDEX_URL": place.index.url, "no_proxy": "127.0.0.1"}
    return place


def test_add_writes_a_bound_and_the_lock_and_says_what_it_costs_and_remove_undoes_it(place: Place) -> None:
    locked = place("lock")
    assert locked.code == 0, locked.err
    before = place.files()
    added = place.document("add", "lamp", "--source", "wheel")
    assert added["requirements"] == ["lamp>=2.3"]
    (target,) = added["targets"]
    sizes = {file.filename: len(file.content) for files in place.index.projects.values() for file in files}
    assert [(item["name"], item["version"], item["source"], item["bytes"]) for item in target["added"]] == [
        ("bulb", "1.5", "wheel", sizes["bulb-1.5-py3-none-any.whl"]),
        ("lamp", "2.3.1", "wheel", sizes["lamp-2.3.1-py3-none-any.whl"]),
    ]
    assert target["download_bytes"] == sum(item["bytes"] for item in (*target["added"], *target["debs"]))
    text = (place.folder / "pyproject.toml").read_text()
    assert 'dependencies = ["lamp>=2.3"]' in text
    assert 'lamp = "wheel"' in text
    after = place.files()
    assert place("lock").code == 0
    assert place.files() == after, "`lock` after `add` writes something else"
    assert place("build").code == 0
    removed = place.document("remove", "Lamp")
    assert removed["requirements"] == ["lamp>=2.3"]
    assert removed["targets"][0]["removed"] == ["bulb", "lamp"]
    assert place.files() == before


def test_nothing_is_changed_when_the_lock_fails_or_ctrl_c_comes(place: Place) -> None:
    assert place("lock").code == 0
    before = place.files()
    place.index.add_wheel("lantern", "1", "bulb>=9")
    assert_error(place("add", "lamp", "lantern"), 5, "bulb")
    assert_error(place("add", "nothing-of-that-name"), 5, "nothing-of-that-name")
    assert place.files() == before
    with socket.create_server(("127.0.0.1", 0)) as server:  # answers nothing
        url = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
        environment = command_environment({**place.environment, "PIP_INDEX_URL": url})
        with running("add", "other", cwd=place.folder, env=environment) as command:
            server.settimeout(300)
            connection, _ = server.accept()
            with connection:
                command.press_ctrl_c()
                assert command.finish() == 130
    assert place.files() == before
    assert [path.name for path in place.folder.iterdir() if path.name.startswith(".")] == []


def test_a_group_that_does_not_go_into_the_camera_changes_no_lock(place: Place) -> None:
    assert place("lock").code == 0
    before = place.files()
    added = place.document("add", "--dev", "lamp")
    assert (added["requirements"], added["targets"]) == (["lamp>=2.3"], [])
    changed = {name for name, data in place.files().items() if data != before[name]}
    assert changed == {"pyproject.toml"}
    assert_error(place("add", "--dev", "nothing-of-that-name"), 5, "no package index")


def test_a_wheel_and_a_folder_are_pinned_by_hash(building: Place) -> None:
    place = building
    wheel = place.folder / "dist" / "bell-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(place.index.add_wheel("bell", "1.0").content)
    folder = place.folder.parent / "gong"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "gong"\nversion = "3"\ndependencies = ["bulb"]\n')
    added = place.document("add", "./dist/bell-1.0-py3-none-any.whl", "../gong")
    assert added["requirements"] == ["bell", "gong"]
    assert {item["name"]: item["version"] for item in added["targets"][0]["added"]} == {
        "bell": "1.0",
        "bulb": "1.5",
        "gong": "3",
    }
    assert "/simple/bell/" not in place.index.requests
    lock = (place.folder / "pylock.armv7hf-cp311.toml").read_text()
    assert 'path = "dist/bell-1.0-py3-none-any.whl"' in lock
    assert 'path = "../gong"' in lock


def git(folder: Path, *words: str) -> str:
    """Run git in *folder*, with no settings but those of the test."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "lamp"),
        **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "lamp@example.com"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a package in a folder, a link that leads out, and two commits; the first one is tagged."""
    folder = tmp_path / "repository"
    (folder / "py").mkdir(parents=True)
    (folder / "py" / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n\n'
        '[project]\nname = "gong"\nversion = "1.0"\n\n[tool.setuptools]\npy-modules = ["gong"]\n'
    )
    (folder / "py" / "gong.py").write_text("SOUND = 'bong'\n")
    (folder / "py" / "leak.txt").symlink_to("/etc/hostname")
    git(folder, "init", "--quiet", "--initial-branch=main", ".")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    git(folder, "tag", "-a", "v1.0", "-m", "The first")
    (folder / "py" / "gong.py").write_text("SOUND = 'BONG'\n")
    git(folder, "commit", "--quiet", "-a", "-m", "Second")
    return folder


def test_a_tag_of_a_git_repository_is_pinned_to_its_commit(building: Place, repository: Path) -> None:
    place = building
    commit = git(repository, "rev-parse", "v1.0^{commit}")
    added = place.document("add", f"git+{repository.as_uri()}@v1.0#subdirectory=py")
    assert added["requirements"] == ["gong"]
    source = tomllib.loads((place.folder / "pyproject.toml").read_text())["tool"]["uv"]["sources"]["gong"]
    assert source == {"git": repository.as_uri(), "rev": commit, "subdirectory": "py"}
    (package,) = tomllib.loads((place.folder / "pylock.armv7hf-cp311.toml").read_text())["packages"]
    assert package["vcs"] == {
        "type": "git",
        "url": repository.as_uri(),
        "commit-id": commit,
        "subdirectory": "py",
    }
    before = place.files()
    assert place("lock").code == 0
    assert place.files() == before
    built = place.document("build")
    modules = list(Path(built["path"]).rglob("gong.py*"))
    assert modules, "the package is not in the bundle"
    assert not list(Path(built["path"]).rglob("leak.txt"))
    assert_error(place("add", f"git+{repository.as_uri()}@nowhere"), 5, "no branch and no tag nowhere")
    assert_error(place("add", f"git+{repository.as_uri()}@{'0' * 40}#subdirectory=py"), 5, "0000")
    assert place.files() == before


def test_a_requirement_may_name_the_commit(building: Place, repository: Path) -> None:
    commit = git(repository, "rev-parse", "v1.0^{commit}")
    path = building.folder / "pyproject.toml"
    table = path.read_text()
    direct = f"gong @ git+{repository.as_uri()}@{commit}#subdirectory=py"
    path.write_text(table.replace("dependencies = []", f'dependencies = ["{direct}"]'))
    assert path.read_text() != table
    assert building("lock").code == 0
    (package,) = tomllib.loads((building.folder / "pylock.armv7hf-cp311.toml").read_text())["packages"]
    assert package["vcs"]["commit-id"] == commit
