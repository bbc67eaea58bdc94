"""The loader rule, as a table."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from incamera.device.libraries import LibraryFacts, find_bundle_libraries, is_newer, plan_loader, read_versions
from incamera.tree import Entry

OLD = ("GLIBC_2.4", "GLIBC_2.31")
NEW = (*OLD, "GLIBC_2.36")
CAMERA_LOADER = "/lib/ld-linux-armhf.so.3"


def library(soname: str, *versions: str, real: str = "", path: str = "") -> LibraryFacts:
    return LibraryFacts(soname, real or soname, frozenset(versions), path or f"/lib/{soname}")


def plan(bundle: list[LibraryFacts], device: list[LibraryFacts]) -> tuple[str | None, set[str], tuple[str, ...]]:
    made = plan_loader(
        {one.soname: one for one in bundle},
        {one.soname: one for one in device},
        bundle_folders=("lib",),
        device_folders=("/lib", "/usr/lib"),
        device_loader=CAMERA_LOADER,
    )
    return made.loader, set(made.links), made.libraries


def test_an_older_camera_gets_the_bundles_libc() -> None:
    loader, links, libraries = plan(
        [library("libc.so.6", *NEW), library("libm.so.6", *NEW)],
        [library("libc.so.6", *OLD), library("libm.so.6", *OLD)],
    )
    assert (loader, links) == (None, set())
    assert libraries == ("lib", "/lib", "/usr/lib"), "what only the camera has is found last"


def test_a_newer_camera_gives_its_libc_and_its_loader() -> None:
    loader, links, libraries = plan(
        [library("libc.so.6", *OLD), library("libm.so.6", "GLIBC_2.4"), library("ld-linux-armhf.so.3", *OLD)],
        # Its libm has nothing new; but it belongs to the libc.
        [library("libc.so.6", *NEW), library("libm.so.6", "GLIBC_2.4"), library("ld-linux-armhf.so.3", *OLD)],
    )
    assert loader == CAMERA_LOADER
    assert links == {"libc.so.6", "libm.so.6", "ld-linux-armhf.so.3"}
    assert libraries == ("device/lib", "lib", "/lib", "/usr/lib")


def test_a_libc_relative_never_comes_alone() -> None:
    """A libm that looks newer would call into a libc that it doesn't fit."""
    _, links, _ = plan(
        [library("libc.so.6", *NEW), library("libm.so.6", "GLIBC_2.4")],
        [library("libc.so.6", *OLD), library("libm.so.6", *NEW)],
    )
    assert links == set()


def test_others_are_decided_one_by_one() -> None:
    _, links, _ = plan(
        [
            library("libstdc++.so.6", "GLIBCXX_3.4", "GLIBCXX_3.4.30"),
            library("libglib-2.0.so.0", real="libglib-2.0.so.0.7400.6"),
            library("libonly.so.1"),
        ],
        [
            library("libstdc++.so.6", "GLIBCXX_3.4"),
            library("libglib-2.0.so.0", real="libglib-2.0.so.0.8000.0"),
            library("libvdostream.so.1"),
        ],
    )
    assert links == {"libglib-2.0.so.0"}


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        (library("a", "V1", "V2"), library("a", "V1"), True),
        (library("a", "V1"), library("a", "V1", "V2"), False),
        (library("a", "V_1.2", "V_1.10"), library("a", "V_1.2", "V_1.9"), True),
        (library("libz.so.1", "Z", real="libz.so.1.3.1"), library("libz.so.1", "Z", real="libz.so.1.2.13"), True),
        (library("libz.so.1", "Z", real="libz.so.1.2.13"), library("libz.so.1", "Z", real="libz.so.1.2.13"), False),
        (library("libc.so.6", real="libc-2.36.so"), library("libc.so.6", real="libc-2.31.so"), True),
        (library("liba.so.1"), library("liba.so.1"), False),
    ],
)
def test_which_is_newer(one: LibraryFacts, other: LibraryFacts, newer: bool) -> None:
    assert is_newer(one, other) is newer
    if newer:
        assert not is_newer(other, one)


def test_the_plan_is_written_for_the_launcher() -> None:
    made = plan_loader(
        {"libc.so.6": library("libc.so.6", *OLD)},
        {"libc.so.6": library("libc.so.6", *NEW)},
        bundle_folders=("lib",),
        device_folders=("/lib",),
        device_loader=CAMERA_LOADER,
    )
    text = made.files["device/launcher"].decode()
    assert f"loader {CAMERA_LOADER}\nlibraries device/lib:lib:/lib\n" in text
    assert made.shipped_links == {"device/lib/libc.so.6": "/lib/libc.so.6"}
    assert made.why["libc.so.6"].startswith("camera: ")


def test_versions_are_read_from_real_files() -> None:
    libc = next(
        Path(folder) / "libc.so.6"
        for folder in ("/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/usr/lib")
        if (Path(folder) / "libc.so.6").exists()
    )
    versions = read_versions(libc.read_bytes())
    assert f"GLIBC_{platform.libc_ver()[1]}" in versions or "GLIBC_2.34" in versions
    assert "GLIBC_PRIVATE" not in versions
    assert "libc.so.6" not in versions
    assert read_versions(b"not an ELF file") == frozenset()
    assert read_versions(b"\x7fELF" + bytes(10)) == frozenset()


def test_a_bundles_libraries_are_found_through_their_links() -> None:
    entries = [
        Entry("lib/libz.so.1", link="libz.so.1.2.13"),
        Entry("lib/libz.so.1.2.13", "ab", 1),
        Entry("lib/python3.11/x.so", "cd", 1),
        Entry("lib/libgone.so.1", link="nowhere"),
    ]
    found = find_bundle_libraries(entries, ["lib"])
    assert found["libz.so.1"] == (entries[1], "libz.so.1.2.13")
    assert set(found) == {"libz.so.1", "libz.so.1.2.13"}
