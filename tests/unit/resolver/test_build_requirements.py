"""What a build requires: chosen from the user's indexes, for the Python that runs the build."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.resolver.world import World

from incamera.digest import Sha256
from incamera.errors import ConfigError, ResolveError
from incamera.project.locked import LockedFile
from incamera.project.recipes import Recipes
from incamera.resolver.build_finder import BuildFinder
from incamera.resolver.builds import _setuptools
from incamera.resolver.solve import resolve_requirements
from incamera.targets.target import Target
from incamera.wheels.tags import supported_tags, tags_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.wheels.metadata import Metadata
    from incamera.wheels.page import IndexFile

ENVIRONMENT = {
    "python_version": "3.11",
    "python_full_version": "3.11.2",
    "platform_machine": "x86_64",
    "sys_platform": "linux",
}


def choose(world: World, *requirements: str, installed: Mapping[str, str] | None = None) -> dict[str, str]:
    def read(file: IndexFile) -> Metadata:
        return world.read_metadata(file, Recipes({}, world.target.architecture).find(file.project))

    tags = tags_for("3.11", "x86_64", "2.36") if installed is None else supported_tags(Target.parse("armv7hf"))
    environment = {**ENVIRONMENT, "platform_machine": "x86_64" if installed is None else "armv7l"}
    finder = BuildFinder("the build of lamp", tags, environment, world, read)  # type: ignore[arg-type]
    finder.installed = installed
    resolved = [item.candidate for item in resolve_requirements(requirements, (), finder)]
    return {candidate.name: f"{candidate.version} {candidate.source}" for candidate in resolved}


@pytest.fixture
def world() -> World:
    return World()


def test_wheels_for_the_build_interpreter_are_chosen_and_what_they_require(world: World) -> None:
    world.wheel("cython", "3.1", "more; platform_machine == 'x86_64'", platform="manylinux_2_17_x86_64")
    world.wheel("cython", "3.2", platform="manylinux_2_17_armv7l")
    world.wheel("more", "1.0", platform="manylinux1_x86_64")
    assert choose(world, "cython>=3", "old; python_version < '3'") == {"cython": "3.1 wheel", "more": "1.0 wheel"}


def test_sdist_is_no_build_requirement_of_a_cross_build(world: World) -> None:
    world.sdist("cython", "3.1")
    with pytest.raises(ResolveError, match="no wheel: the index has none for this computer") as caught:
        choose(world, "cython")
    assert "PIP_EXTRA_INDEX_URL" in (caught.value.hint or "")


def test_emulated_build_takes_debian_packages_of_its_root_first_and_sdists_last(world: World) -> None:
    world.wheel("numpy", "2.0")
    world.sdist("cffi", "1.17")
    world.wheel("own", "1.0", platform="manylinux_2_17_armv7l")
    chosen = choose(world, "numpy>=1.20", "cffi", "own", installed={"numpy": "1.24.2"})
    assert chosen == {"numpy": "1.24.2 deb", "cffi": "1.17 emulated", "own": "1.0 wheel"}
    assert choose(world, "numpy>=2", installed={"numpy": "1.24.2"}) == {"numpy": "2.0 wheel"}


def test_version_of_setuptools_is_read_also_where_an_emulated_build_gets_an_sdist() -> None:
    def version_of(*names: str) -> str:
        return str(_setuptools(LockedFile(filename=name, url="", sha256=Sha256("a" * 64)) for name in names))

    assert version_of("setuptools-68.0.0.tar.gz") == "68.0.0"
    assert version_of("setuptools-git-1.2.tar.gz", "setuptools-77.0-py3-none-any.whl") == "77.0"
    assert version_of("setuptools-git-1.2.tar.gz", "setuptools_scm-8.0-py3-none-any.whl") == "None"


def test_error_names_the_build_and_few_versions(world: World) -> None:
    for minor in range(170):
        world.wheel("cython", f"0.{minor}")
    with pytest.raises(ResolveError) as caught:
        choose(world, "cython>=3")
    assert str(caught.value) == (
        "cannot resolve cython for the build of lamp: the build of lamp asks for cython>=3; "
        "there is wheel 0.169, 0.168, 0.167, 0.166, …"
    )
    assert caught.value.hint == "ask for other versions in build-system.requires"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("setuptols", "did you mean setuptools?"),
        ("setuptoolsscm", "did you mean setuptools-scm?"),
        ("poetry_cor", "did you mean poetry-core?"),
        ("cv2", "the package is called opencv-python-headless"),
        ("distutils", "is in Python's standard library"),
        ("zzz-nothing", "check the name in the dependencies"),
    ],
)
def test_unknown_build_requirement_gets_the_hint_that_fits(world: World, name: str, hint: str) -> None:
    with pytest.raises(ResolveError, match="the build of lamp asks for") as caught:
        choose(world, name)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "cython @ https://example.org/cython.whl",
        "cython =! 3",
        f"cython>={'9' * 5000}",
        f"cython; {'(' * 1900}os_name == 'x'{')' * 1900}",
        f"cython; {'os_name == `x` or ' * 20_000}os_name == 'x'",
    ],
)
def test_requirement_that_cannot_be_locked_is_refused(world: World, text: str) -> None:
    with pytest.raises(ConfigError, match="the build of lamp: ") as caught:
        choose(world, text)
    assert "cython" in str(caught.value)
    assert len(str(caught.value)) < 200
