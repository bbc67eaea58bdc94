"""The lockfile: valid PEP 751, complete, and stale when the settings have changed."""

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.pylock import Pylock, is_valid_pylock_path

from incamera.digest import Sha256
from incamera.errors import ConfigError
from incamera.project.lock_changes import find_changes
from incamera.project.lock_parsing import ForeignLock
from incamera.project.locked import Lock, LockedBuild, LockedDeb, LockedDistribution, LockedFile, build_digest
from incamera.project.lockfile import find_lock, is_replaceable, load_lock, lock_inputs, lock_path, write_lock
from incamera.project.recipes import load_recipes
from incamera.project.settings import Project
from incamera.project.settings_parsing import parse_project

DEB = LockedDeb(
    package="python3-numpy",
    version="1:1.24.2-1",
    architecture="armhf",
    archive="main",
    filename="pool/main/n/numpy/python3-numpy_1.24.2-1_armhf.deb",
    size=4092932,
    sha256=Sha256("ab" * 32),
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "app.py").touch()
    return parse_project({"project": {"name": "bell", "dependencies": ["numpy"]}}, tmp_path)


def a_lock(project: Project) -> Lock:
    (target,) = project.default_targets
    numpy = LockedDistribution(name="numpy", version="1.24.2", source="deb", why="because")
    return Lock(target=target, inputs=lock_inputs(project, target), distributions=(numpy,), debs=(DEB,))


def test_a_lock_is_read_as_it_was_written(project: Project) -> None:
    lock = a_lock(project)
    write_lock(project, lock)
    assert find_lock(project, lock.target) == lock


def test_a_lockfile_is_valid_pep_751(project: Project) -> None:
    path = write_lock(project, a_lock(project))
    assert is_valid_pylock_path(path)
    Pylock.from_dict(tomllib.loads(path.read_text())).validate()


def test_a_lockfile_names_no_debian_mirror(project: Project) -> None:
    assert "http" not in write_lock(project, a_lock(project)).read_text()


def test_changed_dependencies_make_a_lock_stale(project: Project) -> None:
    lock = a_lock(project)
    write_lock(project, lock)
    assert find_lock(replace(project, dependencies=("numpy", "pillow")), lock.target) is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("lock-version", "lock_version", "lock-version is missing"),
        ("[packages.sdist.hashes]", "[packages.sdist.hash]", "packages[0].sdist.hashes.sha256 is missing"),
        ("size = 7", 'size = "7"', "packages[0].sdist.size must be an integer, not a string"),
        ('url = "https', 'place = "https', "packages[0].sdist.url is missing"),
        ('lock-version = "1.0"', 'lock-version = "2.0"', 'lock-version "2.0" is not supported'),
        ("[[packages]]", "[[package]]", "packages must be an array of tables"),
        ('name = "lamp"', 'name = "Lamp"', 'packages[0].name: "Lamp" is not normalized'),
        ('name = "lamp-2.0.tar.gz"', 'name = "lamp-2.1.tar.gz"', '"lamp-2.1.tar.gz" is not a file of lamp 2.0'),
        ('name = "lamp-2.0.tar.gz"', 'name = "bulb-2.0.tar.gz"', '"bulb-2.0.tar.gz" is not a file of lamp 2.0'),
        ('version = "2.0"', 'version = "2.0"\nvcs = 1', "packages[0] must have one of: wheels, sdist, directory, vcs"),
        ("cd" * 32, "CD" * 32, "packages[0].sdist.hashes.sha256 is not a sha256"),
        ("cd" * 32, "../" * 21 + "x", "packages[0].sdist.hashes.sha256 is not a sha256"),
        ("ab" * 32, "../../etc/passwd", "tool.incamera.debs[0].sha256 is not a sha256"),
        ('archive = "main"', 'archive = "../x"', "tool.incamera.debs[0].archive must be main or security"),
        ('filename = "pool', 'filename = "../pool', "tool.incamera.debs[0].filename leads out of the archive"),
        ("size = 4092932", "size = -1", "tool.incamera.debs[0].size is negative"),
        ("size = 7", "size = -7", "packages[0].sdist.size is negative"),
        ('source = "sdist"', 'source = "egg"', "tool.incamera.distributions[0].source must be one of: wheel, deb"),
        ('name = "lamp-2.0', 'name = "lamp-2.0 ', "packages[0].sdist.name is not a file name"),
        ("size = 4092932", "size = true", "tool.incamera.debs[0].size must be an integer, not true or false"),
        ("[tool.incamera]", "[tool.other]", "tool.incamera.target is missing"),
        ('source = "sdist"', 'rung = "sdist"', "tool.incamera.distributions[0].source is missing"),
        ('source = "deb"', 'source = "wheel"', "tool.incamera.distributions[1].name: there is no numpy in packages"),
        ("ef" * 32, "../../x", "tool.incamera.builds[0].files[0].sha256 is not a sha256"),
        ('name = "tool-', 'name = "../tool-', "tool.incamera.builds[0].files[0].name is not a file name"),
        ('"tool>=1"', "7", "tool.incamera.builds[0].requires must be a list of strings"),
        ("lock-version", "x = " + "[" * 10_000, "nested too deep"),
        ("lock-version", "nonsense", "Expected '=' after a key"),
    ],
)
def test_a_damaged_lockfile_is_refused_with_the_key_that_is_wrong(
    project: Project, old: str, new: str, reason: str
) -> None:
    lock = with_sdist(project)
    path = write_lock(project, lock)
    text = path.read_text()
    path.write_text(text.replace(old, f"{new}\n{old}" if new.startswith(("x = ", "nonsense")) else new, 1))
    with pytest.raises(ConfigError) as caught:
        find_lock(project, lock.target)
    assert not isinstance(caught.value, ForeignLock)
    assert str(caught.value).startswith(f"{path.name} is damaged: ")
    assert reason in str(caught.value)
    assert "`incamera lock`" in (caught.value.hint or "")


def test_a_lockfile_that_is_too_large_is_refused(project: Project) -> None:
    path = write_lock(project, a_lock(project))
    with path.open("wb") as stream:
        stream.truncate(10**12)
    with pytest.raises(ConfigError, match=r"it is larger than 10\.0 MB"):
        find_lock(project, project.default_targets[0])


def test_equal_locks_give_equal_files(project: Project) -> None:
    first = write_lock(project, a_lock(project)).read_bytes()
    assert write_lock(project, a_lock(project)).read_bytes() == first


def test_changes_are_described_by_package(project: Project) -> None:
    before = a_lock(project)
    after = replace(before, debs=(replace(DEB, version="1:1.24.2-2"), replace(DEB, package="libnew")))
    assert [str(change) for change in find_changes(before, after)] == [
        "added libnew 1:1.24.2-1",
        "updated python3-numpy 1:1.24.2-1 → 1:1.24.2-2",
    ]
    assert "removed libnew 1:1.24.2-1" in map(str, find_changes(after, before))


def test_changes_of_what_builds_require_are_described(project: Project) -> None:
    after = with_sdist(project)
    (build,) = after.builds
    newer = replace(build.files[0], filename="tool-2.0-py3-none-any.whl")
    before = replace(after, builds=(replace(build, files=(newer,)),))
    assert list(map(str, find_changes(before, after))) == ["updated tool, for the build of lamp, 2.0 → 1.0"]


def test_the_file_is_named_after_the_target(project: Project) -> None:
    assert lock_path(project, project.default_targets[0]).name == "pylock.armv7hf-cp311.toml"


def with_sdist(project: Project) -> Lock:
    recipes = load_recipes(project.default_targets[0].architecture, project.recipes)
    url = "https://index.example/lamp-2.0.tar.gz"
    file = LockedFile(filename="lamp-2.0.tar.gz", url=url, sha256=Sha256("cd" * 32), size=7)
    lamp = LockedDistribution(
        name="lamp",
        version="2.0",
        source="sdist",
        why="because",
        file=file,
        requires=("numpy",),
        passed_over=("wheel: there is none",),
        recipe=recipes.find("lamp").digest,
    )
    lock = a_lock(project)
    tool = LockedFile(filename="tool-1.0-py3-none-any.whl", url=url, sha256=Sha256("ef" * 32), size=8)
    build = LockedBuild(name="lamp", sdist=file.sha256, requires=("tool>=1",), files=(tool,))
    return replace(lock, distributions=(lamp, *lock.distributions), builds=(build,))


def test_a_lock_without_the_build_of_its_sdist_is_stale(project: Project) -> None:
    lock = with_sdist(project)
    write_lock(project, replace(lock, builds=()))
    assert find_lock(project, lock.target) is None


def test_changed_build_requirements_of_the_project_make_a_lock_stale(project: Project) -> None:
    project = replace(project, has_build_system=True, build_requires=("setuptools",))
    lock = a_lock(project)
    write_lock(project, lock)
    assert find_lock(project, lock.target) == lock
    assert find_lock(replace(project, build_requires=("setuptools", "cython")), lock.target) is None


def test_a_build_depends_on_every_file_that_it_requires(project: Project) -> None:
    (build,) = with_sdist(project).builds
    inner = LockedFile(filename="deep-1.tar.gz", url="https://index.example/deep-1.tar.gz", sha256=Sha256("12" * 32))
    digests = {
        build_digest(builds, build.sdist)
        for builds in (
            [],
            [build],
            [replace(build, files=(inner,))],
            [
                replace(build, files=(inner,)),
                LockedBuild(name="deep", sdist=inner.sha256, requires=(), files=build.files),
            ],
        )
    }
    assert len(digests) == 4


def test_wheels_and_sdists_are_read_as_written_and_valid_pep_751(project: Project) -> None:
    lock = with_sdist(project)
    path = write_lock(project, lock)
    assert find_lock(project, lock.target) == lock
    read = Pylock.from_dict(tomllib.loads(path.read_text()))
    read.validate()
    (package,) = read.packages
    assert package.sdist is not None
    assert package.sdist.hashes == {"sha256": "cd" * 32}
    # numpy comes from Debian, so that PEP 751 has no package to point to
    assert not package.dependencies


def test_a_changed_recipe_makes_the_lock_stale(project: Project, tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    recipe = tmp_path / "recipes/lamp.toml"
    recipe.write_text('[sdist]\ndev = ["libjpeg-dev"]\n')
    project = replace(project, recipes=tmp_path / "recipes")
    lock = with_sdist(project)
    write_lock(project, lock)
    assert find_lock(project, lock.target) == lock
    recipe.write_text('[sdist]\ndev = ["libjpeg-dev", "libtiff-dev"]\n')
    assert find_lock(project, lock.target) is None


@pytest.mark.parametrize(
    "text",
    [
        'lock-version = "1.0"\ncreated-by = "uv"\npackages = []\n',
        'lock-version = "1.0"\ncreated-by = "pip"\n[[packages]]\nname = "six"\n[tool.incamera]\n',
    ],
)
def test_lockfile_of_another_tool_is_refused_and_not_replaced(project: Project, text: str) -> None:
    target = project.default_targets[0]
    lock_path(project, target).write_text(text)
    for load in (load_lock, find_lock):
        with pytest.raises(ForeignLock, match=r"was made by (uv|pip), but incamera keeps its own"):
            load(project, target)
    assert not is_replaceable(project, target)


def test_damaged_lockfile_is_replaced_only_if_incamera_made_it(project: Project) -> None:
    target = project.default_targets[0]
    path = write_lock(project, with_sdist(project))
    path.write_text(path.read_text() + "<<<<<<< HEAD\n")
    assert is_replaceable(project, target)
    path.write_text("notes of mine, which are not TOML")
    assert not is_replaceable(project, target)


def test_lockfile_in_the_store_is_marked_as_used_when_it_is_read(project: Project, tmp_path: Path) -> None:
    script = replace(project, script="bell.py", lock_folder=tmp_path / "scripts/bell")
    for used, owner in ((True, script), (False, project)):
        path = write_lock(owner, a_lock(owner))
        os.utime(path, (1, 1))
        assert find_lock(owner, a_lock(owner).target) is not None
        assert (path.stat().st_mtime > 1) is used
