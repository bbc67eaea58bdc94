"""The data of the audit: complete for each profile and target, with sources, and readable."""

from __future__ import annotations

from typing import Any

import pytest

from incamera.abi.camera_api import Answer, Evidence, find_api, load_api, load_stand_ins, parse_track
from incamera.abi.loader_rule import is_newer, parse_version
from incamera.abi.policy import (
    audited_profiles,
    load_policy,
    load_runtime,
    make_policy,
    read_document,
    require_generation,
)
from incamera.elf import Reference, dump_exports, pack_exports, parse_exports, unpack_exports
from incamera.errors import UsageError
from incamera.targets.architecture import Architecture
from incamera.targets.profile import load_profiles
from incamera.targets.suite import load_suites
from incamera.targets.target import Target

PYTHONS = [suite.python for suite in load_suites().values() if suite.python]
TARGETS = [Target(architecture, python) for architecture in Architecture for python in PYTHONS]


@pytest.mark.parametrize("name", audited_profiles())
def test_each_profile_has_a_policy(name: str) -> None:
    policy = load_policy(name)
    facts = policy.architecture.facts
    assert policy.loader == f"/lib/{facts.loader}"
    assert {item.facts.machine for item in policy.libraries.values()} == {facts.elf_machine}
    for soname, item in policy.libraries.items():
        assert item.path.rpartition("/")[0] in policy.folders
        assert (item.symbols is None) is (soname in policy.api), soname
    libc = policy.libraries["libc.so.6"]
    assert libc.symbols is not None
    assert {"malloc", f"malloc@{libc.facts.defines[0]}"} <= libc.symbols.exports


def test_audit_knows_every_generation_of_virtual_cameras_by_its_track() -> None:
    profiles = load_profiles()
    assert set(profiles) <= set(audited_profiles())
    for name, profile in profiles.items():
        assert require_generation(name)[0].track == parse_track(profile.track)


@pytest.mark.parametrize(
    ("generation", "glibc"),
    [("axis-os-10", "2.34"), ("axis-os-11", "2.39"), ("axis-os-12", "2.42"), ("axis-os-13", "2.42")],
)
@pytest.mark.parametrize("architecture", Architecture)
def test_profiles_have_the_glibc_of_their_axis_os(generation: str, glibc: str, architecture: Architecture) -> None:
    libc = load_policy(f"{generation}-{architecture}").libraries["libc.so.6"]
    numbers = {parse_version(name) for name in libc.facts.defines if name.startswith("GLIBC_2")}
    assert max(numbers) == tuple(map(int, glibc.split(".")))
    assert libc.symbols is not None
    versions = {parse_version(export) for export in libc.symbols.exports if "@GLIBC_2" in export}
    assert max(versions) <= max(numbers)


def test_every_library_of_the_stand_ins_is_documented_seen_or_listed_as_a_stand_in() -> None:
    for name in load_profiles():
        generation, architecture = require_generation(name)
        for row in read_document(f"policies/{generation.stand_in}-{architecture}")["libraries"]:
            if row["name"] == row["soname"]:
                known = find_api(row["soname"]) is not None
                assert known is not (row["soname"] in load_stand_ins()), row["soname"]


def test_every_library_of_the_table_has_its_evidence() -> None:
    for soname, library in load_api().items():
        assert library.source, soname
        assert library.evidence in (Evidence.documented, Evidence.seen), soname
        assert [since for since, _ in library.has] == sorted(since for since, _ in library.has), soname
        assert [since for since, _ in library.versions] == sorted(since for since, _ in library.versions), soname
        assert bool(library.why) is any(answer is Answer.unclear for _, answer in library.has), soname
        assert all(find_api(name) is not None for name in library.needs), soname


@pytest.mark.parametrize(
    ("soname", "track", "answer"),
    [
        ("libvdostream.so.1", (10, 12), Answer.yes),
        ("libbbox.so.1", (10, 12), Answer.no),
        ("libbbox.so.1", (11, 11), Answer.yes),
        ("libmdb.so.0", (10, 12), Answer.no),
        ("libmdb.so.0", (11, 11), Answer.yes),
        ("libmdb.so.0", (13, 0), Answer.no),
        ("libcurl.so.4", (10, 12), Answer.unclear),
        ("libcurl.so.4", (11, 11), Answer.yes),
        ("libcairo.so.2", (10, 12), Answer.yes),
        ("libaxhttp.so.1", (12, 11), Answer.unclear),
    ],
)
def test_presence_of_a_library_depends_on_the_track(soname: str, track: tuple[int, ...], answer: Answer) -> None:
    assert load_api()[soname].presence(track) is answer


@pytest.mark.parametrize(
    ("soname", "version", "track", "answer"),
    [
        ("libc.so.6", "GLIBC_2.34", (10, 12), Answer.yes),
        ("libc.so.6", "GLIBC_2.35", (10, 12), Answer.no),
        ("libc.so.6", "GLIBC_2.40", (11, 11), Answer.no),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", (10, 12), Answer.no),
        ("libc.so.6", "GLIBC_ABI_DT_RELR", (11, 11), Answer.yes),
        ("libvdostream.so.1", "VDOSTREAM_1.900", (9, 80), Answer.yes),
        ("libvdostream.so.1", "VDOSTREAM_12.0", (11, 11), Answer.unclear),
        ("libvdostream.so.1", "VDOSTREAM_15.34", (11, 11), Answer.no),
        ("libvdostream.so.1", "VDOSTREAM_15.34", (12, 11), Answer.yes),
        ("liblarod.so.1", "LIBLAROD_4.0.0", (12, 11), Answer.no),
        ("libstdc++.so.6", "GLIBCXX_3.4.31", (11, 11), Answer.unclear),
        ("libsystemd.so.0", "LIBSYSTEMD_255", (11, 11), Answer.unclear),
    ],
)
def test_versions_of_a_library_depend_on_the_track(
    soname: str, version: str, track: tuple[int, ...], answer: Answer
) -> None:
    assert load_api()[soname].defines(version, track) is answer


def test_glib_of_a_profile_is_that_of_its_axis_os() -> None:
    """g_string_free_and_steal came with GLib 2.76, between those of AXIS OS 11.11 and 12.11."""
    for architecture in Architecture:
        answers = {}
        for generation in ("axis-os-10", "axis-os-11", "axis-os-12"):
            glib = load_policy(f"{generation}-{architecture}").libraries["libglib-2.0.so.0"]
            assert glib.symbols is not None
            assert "g_strcmp0" in glib.symbols.exports
            sure = "g_string_free_and_steal" in glib.symbols.exports
            may_export = glib.may_export
            answers[generation] = sure or (
                may_export is not None and may_export(Reference("g_string_free_and_steal", ""))
            )
        assert answers == {"axis-os-10": False, "axis-os-11": False, "axis-os-12": True}


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
        assert not is_newer(old.facts()["libc.so.6"], new.facts()["libc.so.6"])
        assert set(old.libraries["libc.so.6"].facts.defines) < set(new.libraries["libc.so.6"].facts.defines)
        assert set(ours.defines) < set(new.libraries["libc.so.6"].facts.defines)


def test_loader_rule_compares_only_libraries_whose_age_is_known() -> None:
    known = set(load_policy("axis-os-10-armv7hf").facts())
    assert {"libc.so.6", "libstdc++.so.6", "libglib-2.0.so.0"} <= known
    assert not {"libz.so.1", "libssl.so.1.1", "libvdostream.so.1"} & known


def test_time_t_has_64_bits_from_axis_os_13_on() -> None:
    widths = [load_policy(f"axis-os-{track}-armv7hf").time_bits for track in (10, 11, 12, 13)]
    assert widths == [32, 32, 32, 64]
    assert load_policy("axis-os-11-aarch64").time_bits == 64


def test_live_cameras_policy_has_only_the_libraries_found_in_it() -> None:
    document: dict[str, Any] = {"loader": None, "folders": [], "page_size": 4096, "libraries": []}
    policy = make_policy(document, name="lobby", architecture=Architecture.armv7hf, exports=dict)
    assert not policy.libraries
    assert policy.find("libaxserialport.so.1") is None
    assert policy.time_bits is None


def test_unknown_profile_is_refused_with_a_similar_name() -> None:
    with pytest.raises(UsageError) as caught:
        load_policy("axis-os-11-armv7")
    assert caught.value.hint is not None
    assert "axis-os-11-armv7hf" in caught.value.hint


EXPORTS = frozenset({"open", "open@V_1", "open@V_2", "shut", "shut@V_2", "old@V_1", "plain", "plain@"})


def test_exports_survive_dump_and_parse() -> None:
    lines = dump_exports(EXPORTS)
    assert lines == ["old -V_1", "open V_1 V_2", "plain ", "shut V_2"]
    for found in (parse_exports(lines), unpack_exports(pack_exports(lines))):
        assert set(found) == EXPORTS
        assert len(found) == len(EXPORTS)
        assert not {"old", "open@", "open@V_3", "plain@V_1", "V_1", "", "@"} & found
    assert not unpack_exports(pack_exports([]))


def test_exports_of_an_older_library_have_no_newer_versions() -> None:
    found = unpack_exports("-V_1\told\n-V_1 V_2\tboth\nV_2\tnew\n\tplain")
    assert "both" in found
    older = found.of_versions({"V_1", ""})
    assert set(older) == {"old@V_1", "both", "both@V_1", "plain", "plain@"}
