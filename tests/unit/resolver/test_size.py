"""A lock that grows large says so, with its size and what makes it large."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.debian.closure import ClosureRules, resolve_closure
from incamera.debian.index import PackageIndex
from incamera.resolver.size import describe_size

from .world import World, solve


def describe(world: World, tmp_path: Path, *dependencies: str, named: tuple[str, ...] = ()) -> list[str]:
    index = PackageIndex({"main": "\n".join(world.stanzas).encode()})
    rules = ClosureRules()
    resolved = solve(world, tmp_path, *dependencies)
    roots = [*(item.candidate.deb.package for item in resolved if item.candidate.deb is not None), *named]
    return list(describe_size(resolved, resolve_closure(index, roots, rules), index, rules, named))


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(120):
        world.deb(f"libpart{number}", "1")
    every = ", ".join(f"libpart{number}" for number in range(120))
    world.deb("python3-opencv", "4.6-1", every)
    world.deb("desktop", "1", every)
    world.deb("python3-lamp", "1-1")
    world.wheel("torch", "2", "nvidia", "lamp", size=100_000_000)
    world.wheel("nvidia", "12", size=900_000_000)
    world.wheel("lamp", "1", size=10)
    return world


def test_many_debian_packages_are_told_with_the_dependency_that_brings_them(world: World, tmp_path: Path) -> None:
    (text,) = describe(world, tmp_path, "opencv", "lamp")
    assert text.startswith("the lock has 121 Debian packages and 1 file of package indexes, ")
    assert "opencv brings 121 of them" in text
    assert "opencv-python-headless may be what you need" in text


def test_debian_package_of_the_settings_that_brings_many_is_named(world: World, tmp_path: Path) -> None:
    (text,) = describe(world, tmp_path, "lamp", named=("libpart1", "desktop"))
    assert "; desktop brings 121 of them" in text


def test_large_wheels_are_told_with_the_dependency_that_needs_them(world: World, tmp_path: Path) -> None:
    (text,) = describe(world, tmp_path, "lamp", "torch")
    assert text.endswith("3 files of package indexes, 1.0 GB to download; torch brings 3 of them, 1.0 GB")


def test_small_lock_has_no_warning(world: World, tmp_path: Path) -> None:
    assert describe(world, tmp_path, "lamp", named=("libpart1",)) == []
