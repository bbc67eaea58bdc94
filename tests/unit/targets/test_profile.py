"""Profiles: the data are complete, and a wrong name or wrong data are refused."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from incamera.errors import ConfigError, UsageError
from incamera.targets.architecture import Architecture
from incamera.targets.profile import PlaceKind, load_profiles, parse_profiles, require_profile
from incamera.targets.target import Target


@pytest.fixture
def tables() -> dict[str, Any]:
    return tomllib.loads(resources.files("incamera.targets").joinpath("data/profiles.toml").read_text("utf-8"))


def release(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize("architecture", Architecture)
def test_each_architecture_has_profiles_with_an_older_and_a_newer_glibc_than_a_bundle(
    architecture: Architecture,
) -> None:
    bundled = release(Target(architecture).suite.glibc)
    libcs = [release(profile.glibc) for profile in load_profiles().values() if profile.architecture is architecture]
    assert min(libcs) < bundled < max(libcs)


@pytest.mark.parametrize("name", load_profiles())
def test_every_profile_has_the_places_that_deploying_relies_on(name: str) -> None:
    places = {place.path: place for place in require_profile(name).places}
    assert places["/usr/local/packages"].kind is PlaceKind.flash
    assert places["/usr/local/packages"].executable
    assert places["/tmp"].kind is PlaceKind.ram
    assert not places["/var/spool/storage/SD_DISK"].executable
    assert places["/var/spool/storage/NetworkShare"].kind is PlaceKind.share


@pytest.mark.parametrize("name", load_profiles())
def test_every_profile_names_the_sources_of_its_facts(name: str) -> None:
    sources = dict(require_profile(name).sources)
    assert {"suite", "version", "kernel", "cpu", "memory", "user", "sizes"} <= sources.keys()
    assert all(sources.values())


def test_an_unknown_name_is_answered_with_similar_names() -> None:
    with pytest.raises(UsageError) as caught:
        require_profile("axis-os-10-armv7")
    assert caught.value.hint is not None
    assert "axis-os-10-armv7hf" in caught.value.hint


def test_a_name_similar_to_none_is_answered_with_all_names() -> None:
    with pytest.raises(UsageError) as caught:
        require_profile("xyzzy")
    assert caught.value.hint is not None
    assert all(name in caught.value.hint for name in load_profiles())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("generations", "axis-os-10", "places"), "nowhere"),
        (("generations", "axis-os-10", "architectures"), ["sparc"]),
        (("generations", "axis-os-10", "suite"), "sarge"),
        (("machines", "aarch64", "processors"), "many"),
        (("places", "camera", "places"), [{"path": "tmp", "kind": "ram", "filesystem": "tmpfs"}]),
        (("places", "camera", "places"), [{"path": "/tmp", "kind": "ram"}]),
        (("places", "camera", "places"), [{"path": "/tmp", "kind": "cloud"}]),
        (("places", "camera", "places"), [{"path": "/tmp", "kind": "ram", "size": 1}]),
    ],
)
def test_wrong_profile_data_are_refused(tables: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    table = tables
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    with pytest.raises(ConfigError):
        parse_profiles(tables)
