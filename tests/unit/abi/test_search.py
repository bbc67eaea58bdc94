"""Where the audit finds libraries: run paths with tokens, links, launch scripts, and loaders of a package's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import GLIBC, LOADER, bundle, package

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report, Severity
from incamera.abi.policy import load_policy

PROFILE = "axis-os-11-armv7hf"
CONF = b'APPNAME="see"\n'
INNER = make_elf(soname="libinner.so.1", exports=["inner"])
NEEDS_INNER = {"needed": ["libinner.so.1"], "imports": ["inner"]}


def app(**options: object) -> bytes:
    return make_elf(program=True, interpreter=LOADER, **options)


def audit(folder: Path, files: dict[str, bytes | str], profile: str = PROFILE) -> Report:
    return audit_path(package(folder / "see.eap", {"package.conf": CONF, **files}), load_policy(profile))


# $ORIGIN.libs and the like were compared with glibc 2.36's loader.
@pytest.mark.parametrize(
    ("program", "run_path", "folder", "found"),
    [
        ("see", "${ORIGIN}/lib", "lib", True),
        ("bin/see", "$ORIGIN.libs", "bin.libs", True),
        ("bin/see", "${ORIGIN}libs", "binlibs", True),
        ("bin/see", "$ORIGINlibs", "binlibs", False),
        ("bin/see", "$ORIGIN/../lib", "lib", True),
        ("see", "$ORIGIN/$PLATFORM", "v7l", True),
        ("see", "$ORIGIN/${PLATFORM}/x", "v7l/x", True),
        ("see", "$ORIGIN/$PLATFORM", "aarch64", False),
        ("see", "$ORIGIN/$NOTHING", "lib", False),
        ("see", "/opt/$ORIGIN/lib", "lib", False),
        ("see", "$ORIGIN.libs", "see.libs", False),
        ("see", "/usr/local/packages/see/./lib/", "lib", True),
        ("see", "$ORIGIN/../see/lib", "lib", True),
        ("see", "$ORIGIN/../other/lib", "lib", False),
    ],
)
def test_tokens_of_a_run_path_are_read_as_the_loader_reads_them(
    tmp_path: Path, program: str, run_path: str, folder: str, found: bool
) -> None:
    files: dict[str, bytes | str] = {program: app(runpath=run_path, **NEEDS_INNER), f"{folder}/libinner.so.1": INNER}
    report = audit(tmp_path, files)
    assert [one.kind for one in report.errors] == ([] if found else [Kind.missing_library])


@pytest.mark.parametrize("folder", ["lib", "lib/arm-linux-gnueabihf"])
def test_run_path_that_depends_on_the_loader_is_a_warning(tmp_path: Path, folder: str) -> None:
    report = audit(tmp_path, {"see": app(runpath="$ORIGIN/$LIB", **NEEDS_INNER), f"{folder}/libinner.so.1": INNER})
    assert [(one.kind, one.severity, one.needs) for one in report.findings] == [
        (Kind.run_path, Severity.warning, "libraries searched in $ORIGIN/$LIB")
    ]


CHAIN: dict[str, bytes | str] = {f"lib/{number}": f"{number + 1}" for number in range(39)}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"lib": "libs/new", "libs/new": "v2", "libs/v2/libinner.so.1": INNER}, True),
        ({"lib/libinner.so.1": "../real/libinner.so.1", "real": "other", "other/libinner.so.1": INNER}, True),
        ({"lib/libinner.so.1": "/usr/local/packages/see/real/libinner.so.1", "real/libinner.so.1": INNER}, True),
        ({"lib": "/usr/local/packages/see/real", "real/libinner.so.1": INNER}, True),
        ({"lib/libinner.so.1": "../../see/real/libinner.so.1", "real/libinner.so.1": INNER}, True),
        ({"lib/libinner.so.1": "/usr/local/packages/other/libinner.so.1", "real/libinner.so.1": INNER}, False),
        ({"lib/libinner.so.1": "0", **CHAIN, "lib/39": INNER}, True),
        ({"lib/libinner.so.1": "0", **CHAIN, "lib/39": "40", "lib/40": INNER}, False),
        ({"lib/libinner.so.1": "libinner.so.1"}, False),
        ({"lib": "lib"}, False),
    ],
)
def test_links_of_files_and_folders_are_followed_as_the_kernel_follows_them(
    tmp_path: Path, files: dict[str, bytes | str], found: bool
) -> None:
    report = audit(tmp_path, {"see": app(runpath="$ORIGIN/lib", **NEEDS_INNER), **files})
    assert [one.kind for one in report.errors] == ([] if found else [Kind.missing_library])


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/usr/lib/libz.so.1", True),
        ("/lib/libz.so.1", True),
        ("../../../../lib/libz.so.1", True),
        ("/opt/libz.so.1", False),
    ],
)
def test_link_to_a_library_of_the_camera_finds_it(tmp_path: Path, target: str, found: bool) -> None:
    report = audit(tmp_path, {"see": app(runpath="$ORIGIN/lib", needed=["libz.so"]), "lib/libz.so": target})
    assert report.compatible is found


def test_library_that_forbids_the_systems_folders_is_not_found_there(tmp_path: Path) -> None:
    assert audit(tmp_path, {"see": app(needed=["libz.so.1"])}).compatible
    assert not audit(tmp_path, {"see": app(needed=["libz.so.1"], flags_1=0x800)}).compatible


def test_file_that_must_not_be_opened_later_is_an_error_only_there(tmp_path: Path) -> None:
    fixed = make_elf(soname="libinner.so.1", exports=["inner"], flags_1=0x40)
    linked: dict[str, bytes | str] = {"see": app(runpath="$ORIGIN/lib", **NEEDS_INNER), "lib/libinner.so.1": fixed}
    assert audit(tmp_path, linked).findings == ()
    opened = audit_path(bundle(tmp_path / "bundle", {"app/libinner.so.1": fixed}), load_policy(PROFILE))
    assert [(one.kind, one.file) for one in opened.errors] == [(Kind.malformed, "app/libinner.so.1")]


# Scripts


@pytest.mark.parametrize(
    "line",
    [
        "export LD_LIBRARY_PATH=/usr/local/packages/see/libs",
        "LD_LIBRARY_PATH=./libs:$LD_LIBRARY_PATH ./bin/real",
        'export LD_LIBRARY_PATH="$(dirname "$0")/libs:${LD_LIBRARY_PATH}"',
        "HERE=`pwd`\nLIBS=$HERE/libs\nexport LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$LIBS",
        "exec libs/ld-linux-armhf.so.3 --library-path ${0%/*}/libs bin/real",
    ],
)
def test_libraries_are_searched_where_a_launch_script_says(tmp_path: Path, line: str) -> None:
    files: dict[str, bytes | str] = {
        "see": f"#!/bin/sh\n{line}\nexec bin/real\n".encode(),
        "bin/real": app(**NEEDS_INNER),
        "libs/libinner.so.1": INNER,
    }
    assert audit(tmp_path, files).findings == ()
    files["see"] = b"#!/bin/sh\nexec bin/real\n"
    assert [one.kind for one in audit(tmp_path, files).errors] == [Kind.missing_library]


def test_script_says_nothing_about_the_program_that_the_camera_starts_itself(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "see": app(**NEEDS_INNER),
        "tool.sh": b"#!/bin/sh\nLD_LIBRARY_PATH=lib ./tool\n",
        "lib/libinner.so.1": INNER,
    }
    assert [one.kind for one in audit(tmp_path, files).errors] == [Kind.missing_library]


# Programs with a loader of their own


@pytest.mark.parametrize(("has_loader", "has_libc"), [(True, True), (True, False), (False, True)])
def test_program_with_a_loader_of_the_package_needs_its_c_library(
    tmp_path: Path, has_loader: bool, has_libc: bool
) -> None:
    own = "/usr/local/packages/see/lib/ld-linux-armhf.so.3"
    program = make_elf(program=True, interpreter=own, needed=["libc.so.6"], runpath="$ORIGIN/lib")
    files: dict[str, bytes | str] = {"see": program}
    if has_loader:
        files["lib/ld-linux-armhf.so.3"] = make_elf(soname="ld-linux-armhf.so.3")
    if has_libc:
        files["lib/libc.so.6"] = make_elf(soname="libc.so.6", defines=GLIBC)
    report = audit(tmp_path, files)
    assert report.compatible is (has_loader and has_libc), report.findings
    if not has_libc:
        assert report.errors[0].provides == "the package's loader, which works only with its C library"


def test_plugin_may_use_what_any_program_of_the_package_exports(tmp_path: Path) -> None:
    plugin = make_elf(imports=["host_api"])
    files: dict[str, bytes | str] = {"first": app(), "see": app(exports=["host_api"]), "plugins/x.so": plugin}
    assert audit(tmp_path, files).findings == ()
    files["see"] = app()
    assert [one.needs for one in audit(tmp_path, files).errors] == ["host_api"]


def test_versions_of_a_library_that_others_load_are_checked(tmp_path: Path) -> None:
    """As after `patchelf --remove-needed`: the versions stay, and the loader looks for them in the loaded library."""
    for version, compatible in (("GLIBC_2.4", True), ("GLIBC_2.99", False)):
        library = make_elf(soname="libinner.so.1", exports=["inner"], needs={"libc.so.6": [version]})
        program = app(runpath="$ORIGIN", needed=["libinner.so.1", "libc.so.6"])
        assert audit(tmp_path, {"see": program, "libinner.so.1": library}).compatible is compatible


def test_small_alignment_is_no_fault_of_a_program_that_the_kernel_maps(tmp_path: Path) -> None:
    """Older glibc refuses it in a library, but the kernel looks at the distance of address and offset alone."""
    old = "axis-os-10-armv7hf"
    assert audit(tmp_path, {"see": app(alignment=4)}, old).findings == ()
    library = make_elf(soname="libinner.so.1", exports=["inner"], alignment=4)
    files: dict[str, bytes | str] = {"see": app(runpath="$ORIGIN", **NEEDS_INNER), "libinner.so.1": library}
    assert [one.kind for one in audit(tmp_path, files, old).errors] == [Kind.page_size]
