"""The loader rule: which side's library is used."""

from __future__ import annotations

import pytest

from incamera.abi.loader_rule import LibraryFacts, describe_libraries, is_newer, plan_loader
from incamera.elf import ElfFacts

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


def test_bundles_libc_is_used_on_a_camera_with_an_older_one() -> None:
    loader, links, libraries = plan(
        [library("libc.so.6", *NEW), library("libm.so.6", *NEW)],
        [library("libc.so.6", *OLD), library("libm.so.6", *OLD)],
    )
    assert (loader, links) == (None, set())
    assert libraries == ("lib", "/lib", "/usr/lib"), "what only the camera has is found last"


def test_newer_cameras_libc_family_and_loader_are_used() -> None:
    loader, links, libraries = plan(
        [library("libc.so.6", *OLD), library("libm.so.6", "GLIBC_2.4"), library("ld-linux-armhf.so.3", *OLD)],
        # Its libm has no new versions, but is chosen together with the libc.
        [library("libc.so.6", *NEW), library("libm.so.6", "GLIBC_2.4"), library("ld-linux-armhf.so.3", *OLD)],
    )
    assert loader == CAMERA_LOADER
    assert links == {"libc.so.6", "libm.so.6", "ld-linux-armhf.so.3"}
    assert libraries == ("device/lib", "lib", "/lib", "/usr/lib")


def test_newer_libm_of_the_camera_is_not_used_without_its_libc() -> None:
    """That libm would call private symbols of a libc of another version."""
    _, links, _ = plan(
        [library("libc.so.6", *NEW), library("libm.so.6", "GLIBC_2.4")],
        [library("libc.so.6", *OLD), library("libm.so.6", *NEW)],
    )
    assert links == set()


def test_other_libraries_are_chosen_one_by_one() -> None:
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
def test_is_newer_compares_versions_then_file_names(one: LibraryFacts, other: LibraryFacts, newer: bool) -> None:
    assert is_newer(one, other) is newer
    if newer:
        assert not is_newer(other, one)


def test_plan_is_written_as_launcher_settings_and_links() -> None:
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


def test_describe_libraries_leaves_out_private_versions() -> None:
    facts = ElfFacts(machine="EM_ARM", bits=32, defines=("GLIBC_2.4", "GLIBC_PRIVATE"))
    described = describe_libraries({"libc.so.6": facts}, {"libc.so.6": "libc-2.31.so"}, {"libc.so.6": "/lib/libc.so.6"})
    assert described == {"libc.so.6": library("libc.so.6", "GLIBC_2.4", real="libc-2.31.so")}
