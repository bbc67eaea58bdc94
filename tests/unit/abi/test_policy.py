"""The data of the audit: complete for each profile and target, with sources, and readable."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from incamera.abi.loader_rule import is_newer
from incamera.abi.policy import load_api, load_policy, load_runtime, make_policy
from incamera.elf import dump_exports, parse_exports
from incamera.errors import ConfigError
from incamera.targets.architecture import Architecture
from incamera.targets.profile import load_profiles
from incamera.targets.suite import load_suites
from incamera.targets.target import Target

PYTHONS = [suite.python for suite in load_suites().values() if suite.python]
TARGETS = [Target(architecture, python) for architecture in Architecture for python in PYTHONS]


@pytest.mark.parametrize("name", load_profiles())
def test_each_profile_has_a_policy(name: str) -> None:
    policy = load_policy(name)
    facts = policy.architecture.facts
    assert policy.loader == f"/lib/{facts.loader}"
    assert {item.facts.machine for item in policy.libraries.values()} == {facts.elf_machine}
    for soname, item in policy.libraries.items():
        assert item.path.rpartition("/")[0] in policy.folders
        assert (item.symbols is None) is (soname in policy.api), soname
    libc = policy.libraries["libc.so.6"]
    glibc = load_profiles()[name].glibc
    assert f"GLIBC_{glibc}" in {*libc.facts.defines, *policy.libraries["libm.so.6"].facts.defines}
    assert libc.symbols is not None
    assert {"malloc", f"malloc@{libc.facts.defines[0]}"} <= libc.symbols.exports


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_each_target_has_a_bare_runtime(target: Target) -> None:
    runtime = load_runtime(target)
    assert runtime.program.symbols is not None
    assert {"PyLong_FromLong", "PyModule_Create2"} <= runtime.program.symbols.exports
    assert set(runtime.program.facts.needed) <= set(runtime.libraries)
    assert not any(item.camera or item.ours for item in runtime.libraries.values())


def test_profiles_include_an_older_and_a_newer_libc_than_the_bundles() -> None:
    """So tests on the profiles cover both branches of the loader rule."""
    for architecture in Architecture:
        ours = load_runtime(Target(architecture)).libraries["libc.so.6"].facts
        old, new = (load_policy(f"axis-os-{track}-{architecture}") for track in (10, 11))
        assert not is_newer(old.facts()["libc.so.6"], dataclasses.replace(new.facts()["libc.so.6"]))
        assert set(old.libraries["libc.so.6"].facts.defines) < set(new.libraries["libc.so.6"].facts.defines)
        assert set(ours.defines) < set(new.libraries["libc.so.6"].facts.defines)


def test_policies_include_the_cameras_own_libraries_of_their_track() -> None:
    assert load_api()["libvdostream.so.1"].versions[-1] == "VDOSTREAM_1.962"
    assert all(library.source for library in load_api().values())
    old, new = load_policy("axis-os-10-armv7hf"), load_policy("axis-os-11-armv7hf")
    assert new.api - old.api == {"libbbox.so.1", "libvdo.so.1"}
    assert (old.time_bits, load_policy("axis-os-11-aarch64").time_bits) == (32, 64)


def test_live_cameras_policy_has_only_the_libraries_found_in_it() -> None:
    document: dict[str, Any] = {"loader": None, "folders": [], "page_size": 4096, "libraries": []}
    policy = make_policy(document, name="lobby", architecture=Architecture.armv7hf, track=None, exports=dict)
    assert not policy.libraries
    assert policy.time_bits is None


def test_unknown_profile_is_refused_with_a_similar_name() -> None:
    with pytest.raises(ConfigError) as caught:
        load_policy("axis-os-11-armv7")
    assert caught.value.hint is not None
    assert "axis-os-11-armv7hf" in caught.value.hint


def test_exports_survive_dump_and_parse() -> None:
    exports = frozenset({"open", "open@V_1", "open@V_2", "old@V_1", "plain", "plain@"})
    assert parse_exports(dump_exports(exports)) == exports
    assert dump_exports(exports) == ["old -V_1", "open V_1 V_2", "plain "]
