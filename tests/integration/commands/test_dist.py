"""The files that are published: what is in them, and that incamera works when it is installed from them alone."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.metadata import Metadata
from packaging.utils import canonicalize_name
from packaging.version import Version
from tools.make_dist import make_dist

from ..command import COMMAND_SECONDS, command_environment
from ..paths import REPOSITORY

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

BLINK = """\
# /// script
# dependencies = ["tqdm"]
# ///
import os
from tqdm import tqdm

print(f"{os.uname().machine[:3]}: {sum(1 for _ in tqdm(range(3), disable=True))} frames")
"""
PACKAGES = {
    "incamera": "src/incamera",
    "incamera/packages/acap": "packages/acap",
    "incamera_agent": "packages/incamera-agent/src/incamera_agent",
}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist and the wheel."""
    return make_dist(tmp_path_factory.mktemp("dist"))


def committed(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", folder], cwd=REPOSITORY, check=True, capture_output=True
    )
    return set(listed.stdout.decode().splitlines())


def test_equal_commits_give_equal_files(
    dist: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        again = make_dist(tmp_path)
    finally:
        os.umask(before)
    assert [path.name for path in again] == [path.name for path in dist]
    assert [path.read_bytes() == other.read_bytes() for path, other in zip(dist, again, strict=True)] == [True, True]


def test_wheel_has_all_files_of_the_packages_and_no_others(dist: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(dist[1]) as archive:
        names = set(archive.namelist())
    expected = {
        f"{package}/{Path(file).relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for file in committed(folder)
    }
    metadata = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    assert names - metadata == expected
    assert {name.partition("/")[2] for name in metadata} == {
        *("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }


def test_sdist_has_all_files_of_the_repository(dist: tuple[Path, Path]) -> None:
    with tarfile.open(dist[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names - {"PKG-INFO"} == committed(".")


def test_metadata_are_valid_and_requirements_bounded(dist: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(dist[1]) as archive:
        [file] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Metadata.from_email(archive.read(file), validate=True)
    assert metadata.name == "incamera"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (REPOSITORY / "README.md").read_text("utf-8")
    assert metadata.license_expression == "MIT"
    pinned = {}
    for line in (REPOSITORY / "requirements/run.txt").read_text("utf-8").splitlines():
        name, equals, version = line.partition("==")
        if equals and not line.startswith(" "):
            pinned[canonicalize_name(name)] = Version(version.split()[0])
    for requirement in metadata.requires_dist or []:
        assert {specifier.operator for specifier in requirement.specifier} == {">=", "<"}, requirement
        assert requirement.url is None
        if "extra" not in str(requirement.marker):  # what an extra adds is not installed for the tests
            assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def install_with_pip(wheel: Path, folder: Path, index: str) -> Path:
    venv.create(folder / "venv")
    python = folder / "venv/bin/python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--index-url", index, wheel],
        env={**os.environ, "PIP_CACHE_DIR": str(folder / "cache"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
        check=True,
    )
    return folder / "venv/bin/incamera"


def install_with_uv(wheel: Path, folder: Path, index: str) -> Path:
    places = {name: str(folder / name.lower()) for name in ("UV_TOOL_DIR", "UV_TOOL_BIN_DIR", "UV_CACHE_DIR")}
    subprocess.run(
        [Path(sys.executable).with_name("uv"), "tool", "install", "--quiet", "--default-index", index, wheel],
        env={**os.environ, **places, "UV_PYTHON": sys.executable, "UV_NO_CONFIG": "1"},
        cwd=folder,
        check=True,
    )
    return folder / "uv_tool_bin_dir/incamera"


@pytest.mark.parametrize("install", [install_with_uv, pytest.param(install_with_pip, marks=pytest.mark.matrix)])
def test_installed_tool_runs_a_script(
    dist: tuple[Path, Path], own_index: str, camera: VirtualCamera, tmp_path: Path, install: object
) -> None:
    assert callable(install)
    program = install(dist[1], tmp_path, own_index)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/blink.py").write_text(BLINK)
    environment = {key: value for key, value in command_environment().items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [program, "run", "--device", camera.name, "blink.py"],
        cwd=tmp_path / "elsewhere",
        env=environment | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert (done.returncode, done.stdout) == (0, "arm: 3 frames\n"), done.stderr
