"""Symbols in a process with libraries of the camera: what is known is checked, what is not is listed as not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import LOADER, bundle, package

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report
from incamera.abi.policy import load_policy

VDO = "libvdostream.so.1"
GLIB = ["libglib-2.0.so.0", "libgobject-2.0.so.0"]
UNSEEN = "its symbols have not been seen"


def audit_package(
    root: Path,
    *,
    needed: Sequence[str],
    imports: Sequence[str],
    needs: Mapping[str, Sequence[str]] | None = None,
    profile: str = "axis-os-11-armv7hf",
) -> Report:
    program = make_elf(program=True, interpreter=LOADER, needed=needed, imports=imports, needs=needs or {})
    path = package(root / "see.eap", {"package.conf": b'APPNAME="see"\n', "see": program})
    return audit_path(path, load_policy(profile))


def missing(report: Report) -> list[tuple[Kind, str]]:
    return [(one.kind, one.needs) for one in report.errors]


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("vdo_map_new", VDO),
        ("larodConnect", "liblarod.so.1"),
        ("ax_parameter_new", "libaxparameter.so.1"),
        ("ax_event_handler_new", "libaxevent.so.1"),
        ("mdb_connection_create", "libmdb.so.0"),
        ("bbox_new", "libbbox.so.1"),
    ],
)
def test_functions_of_a_camera_library_are_listed_as_not_seen(tmp_path: Path, name: str, library: str) -> None:
    report = audit_package(tmp_path, needed=[library, *GLIB], imports=[name, "g_free", "g_object_unref"])
    assert report.findings == ()
    assert [limit for limit in report.limits if UNSEEN in limit and name in limit and library in limit]
    other = audit_package(tmp_path, needed=GLIB, imports=[name])
    assert missing(other) == [(Kind.missing_symbol, name)], "nothing is loaded that could have it"


@pytest.mark.parametrize("name", ["g_no_such_function", "nobody_has_it", "curl_easy_init", "g_string_free_and_steal"])
def test_missing_symbol_is_found_beside_a_camera_library(tmp_path: Path, name: str) -> None:
    report = audit_package(tmp_path, needed=[VDO, *GLIB], imports=["vdo_map_new", "g_free", name])
    assert missing(report) == [(Kind.missing_symbol, name)]


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("FCGX_Later", "libfcgi.so.0"),
        ("jpeg_later", "libjpeg.so.62"),
        ("inflateLater", "libz.so.1"),
        ("cairo_later", "libcairo.so.2"),
        ("curl_later", "libcurl.so.4"),
        ("json_later", "libjansson.so.4"),
    ],
)
def test_function_that_a_stand_in_lacks_is_not_seen(tmp_path: Path, name: str, library: str) -> None:
    """The camera's library is not Debian's: it may be newer, or built in another way."""
    report = audit_package(tmp_path, needed=[library], imports=[name])
    assert report.findings == ()
    assert [limit for limit in report.limits if UNSEEN in limit and name in limit]
    assert missing(audit_package(tmp_path, needed=[library], imports=["nobody_has_it"]))


def test_openssl_of_an_unknown_version_hides_no_other_missing_symbol(tmp_path: Path) -> None:
    report = audit_package(tmp_path, needed=["libssl.so.3", "libcrypto.so.1.1"], imports=["SSL_new", "nobody_has_it"])
    assert missing(report) == [(Kind.missing_symbol, "nobody_has_it")]


def test_symbol_in_a_version_of_glibc_is_checked_beside_a_camera_library(tmp_path: Path) -> None:
    needs = {"libc.so.6": ["GLIBC_2.34"]}
    wanted = {"right": ["dlopen@GLIBC_2.34"], "wrong": ["no_such@GLIBC_2.34"]}
    found = {
        name: missing(audit_package(tmp_path, needed=[VDO, "libc.so.6"], imports=imports, needs=needs))
        for name, imports in wanted.items()
    }
    assert found == {"right": [], "wrong": [(Kind.missing_symbol, "no_such")]}


def test_symbol_of_a_version_that_is_not_known_for_the_camera_is_a_doubt_and_no_error(tmp_path: Path) -> None:
    needs = {"libstdc++.so.6": ["CXXABI_TM_1"]}
    report = audit_package(tmp_path, needed=["libstdc++.so.6"], imports=["memory@CXXABI_TM_1"], needs=needs)
    assert missing(report) == []
    assert [(one.kind, one.needs) for one in report.findings] == [(Kind.symbol_version, "CXXABI_TM_1")]


def test_camera_library_brings_glib_into_the_process(tmp_path: Path) -> None:
    assert audit_package(tmp_path, needed=[VDO], imports=["vdo_map_new", "g_object_unref"]).findings == ()
    assert missing(audit_package(tmp_path, needed=["liblarod.so.1"], imports=["g_object_unref"]))


def test_function_that_only_a_newer_glib_has_is_not_seen_where_the_version_is_not_known(tmp_path: Path) -> None:
    report = audit_package(tmp_path, needed=GLIB, imports=["g_string_free_and_steal"], profile="axis-os-12-armv7hf")
    assert report.compatible
    assert [limit for limit in report.limits if "g_string_free_and_steal" in limit]


def test_symbols_of_a_bundles_modules_are_checked_beside_a_camera_library(tmp_path: Path) -> None:
    module = make_elf(needed=[VDO], imports=["vdo_map_new", "PyLong_FromLong", "Py_no_such"], exports=["PyInit_see"])
    report = audit_path(bundle(tmp_path, {"app/see.abi3.so": module}), load_policy("axis-os-11-armv7hf"))
    assert missing(report) == [(Kind.missing_symbol, "Py_no_such")]


def test_function_that_is_newer_than_the_camera_is_named_with_its_axis_os(tmp_path: Path) -> None:
    def audit(profile: str) -> Report:
        imports = ["larodConnect", "larodExportModel"]
        return audit_package(tmp_path, needed=["liblarod.so.1"], imports=imports, profile=profile)

    [finding] = audit("axis-os-11-armv7hf").errors
    assert (finding.kind, finding.needs) == (Kind.missing_symbol, "larodExportModel")
    assert "AXIS OS 12.11 has it" in finding.remedy
    assert not audit("axis-os-12-armv7hf").errors
