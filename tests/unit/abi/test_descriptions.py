"""What wheels and packages say about themselves, against the files that they have."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import EM_X86_64, make_elf
from tests.unit.abi.trees import LOADER, package, wheel

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Kind, Report, Severity
from incamera.abi.policy import load_policy
from incamera.errors import UsageError
from incamera.wheels.archive import record_line

NAME = "fast-1-cp311-cp311-linux_armv7l.whl"
SUFFIX = ".cpython-311-arm-linux-gnueabihf.so"
INFO = "fast-1.dist-info"
MODULE = make_elf(exports=["PyInit_core"])
INIT = b"from . import core\n"
APP = make_elf(program=True, interpreter=LOADER)
E, W = Severity.error, Severity.warning


def audit(path: Path) -> Report:
    return audit_path(path, load_policy("axis-os-11-armv7hf"))


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


# Wheels


def test_valid_wheel_has_no_findings(tmp_path: Path) -> None:
    signed = {f"fast/core{SUFFIX}": MODULE, "fast/__init__.py": INIT}
    assert audit(wheel(tmp_path / NAME, signed)).findings == ()
    path = wheel(tmp_path / NAME, signed)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{INFO}/RECORD.jws", b"a signature, which RECORD cannot have")
    assert audit(path).findings == ()


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (record_line("fast/core.py", b"1"), "fast/core.py does not have the hash in RECORD"),
        (record_line("fast/core.py", b"0").replace("sha256", "sha512"), "fast/core.py does not have the hash"),
        ("", "its RECORD has no hash of fast/core.py"),
        ("fast/core.py,,\n", "its RECORD has no valid hash for fast/core.py"),
        ("fast/core.py,md5=xyz,1\n", "its RECORD has no valid hash for fast/core.py"),
        ("fast/core.py\n", "its RECORD has a line of 1 field"),
        ('"', "RECORD"),
    ],
)
def test_wheel_whose_record_does_not_fit_is_an_error(tmp_path: Path, record: str, told: str) -> None:
    described = {f"{INFO}/METADATA": b"", f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n"}
    lines = "".join(record_line(path, data) for path, data in described.items())
    path = wheel(
        tmp_path / "fast-1-py3-none-any.whl",
        {"fast/core.py": b"0", **described, f"{INFO}/RECORD": f"{lines}{record}".encode()},
    )
    finding = only(audit(path))
    assert (finding.kind, finding.severity, finding.file) == (Kind.malformed, E, path.name)
    assert told in finding.provides


def test_wheel_without_its_description_is_an_error(tmp_path: Path) -> None:
    path = wheel(tmp_path / "fast-1-py3-none-any.whl", {"fast.py": b""}, complete=False)
    assert only(audit(path)).provides == "it has no dist-info folders"
    for lacking in ("RECORD", "WHEEL", "METADATA"):
        names = {"METADATA", "WHEEL", "RECORD"} - {lacking}
        files = {f"{INFO}/{name}": b"" for name in names}
        report = audit(wheel(path, {"fast.py": b"", **files}, complete=False))
        assert f"it has no {lacking}" in [one.provides for one in report.errors]


def test_file_that_only_record_has_is_a_warning(tmp_path: Path) -> None:
    """No tool refuses such a wheel."""
    described = {f"{INFO}/METADATA": b"", f"{INFO}/WHEEL": b"Wheel-Version: 1.0\n"}
    lines = "".join(record_line(path, data) for path, data in described.items())
    record = f"{lines}{record_line('fast/gone.py', b'0')}".encode()
    finding = only(audit(wheel(tmp_path / "fast-1-py3-none-any.whl", {**described, f"{INFO}/RECORD": record})))
    assert (finding.severity, finding.provides) == (W, "no fast/gone.py")


@pytest.mark.parametrize(("version", "works"), [("1.0", True), ("1.9", True), ("2.0", False), ("10.0", False)])
def test_wheel_of_an_unknown_format_is_an_error(tmp_path: Path, version: str, works: bool) -> None:
    files = {"fast.py": b"", f"{INFO}/WHEEL": f"Wheel-Version: {version}\r\nTag: py3-none-any\r\n".encode()}
    report = audit(wheel(tmp_path / "fast-1-py3-none-any.whl", files))
    assert report.compatible is works
    if not works:
        assert version in only(report).needs


def test_name_without_tags_is_a_warning(tmp_path: Path) -> None:
    finding = only(audit(wheel(tmp_path / "fast.whl", {"fast.py": b""})))
    assert (finding.kind, finding.severity) == (Kind.wrong_tag, W)


@pytest.mark.parametrize("scheme", ["purelib", "platlib"])
def test_modules_in_the_data_folder_are_audited_where_they_are_installed(tmp_path: Path, scheme: str) -> None:
    inner = make_elf(soname="libinner.so.1", exports=["inner"])
    module = make_elf(exports=["PyInit_core"], needed=["libinner.so.1"], runpath="$ORIGIN/../fast.libs")
    folder = f"fast-1.data/{scheme}/fast"
    files = {f"{folder}/core{SUFFIX}": module, "fast.libs/libinner.so.1": inner, "fast/__init__.py": INIT}
    assert audit(wheel(tmp_path / NAME, files)).findings == ()
    foreign = {f"{folder}/core.cpython-39-arm-linux-gnueabihf.so": MODULE, "fast/__init__.py": INIT}
    (finding,) = audit(wheel(tmp_path / NAME, foreign)).errors
    assert (finding.kind, finding.file) == (Kind.wrong_python_version, "fast/core.cpython-39-arm-linux-gnueabihf.so")


def test_file_of_a_wheel_that_nothing_loads_is_a_warning_beside_those_that_fit(tmp_path: Path) -> None:
    """Debuggers bring helpers for several machines, and zip archives turn links into files with text."""
    files = {f"fast/core{SUFFIX}": MODULE, "fast/__init__.py": INIT}
    for name, data, kind in (
        ("attach_amd64.so", make_elf(machine=EM_X86_64), Kind.wrong_architecture),
        ("libx.so", b"libx.so.1.2", Kind.malformed),
    ):
        report = audit(wheel(tmp_path / NAME, {**files, f"fast/{name}": data}))
        assert (kind, W) in [(one.kind, one.severity) for one in report.findings]
        assert report.compatible
    needs = make_elf(exports=["PyInit_core"], needed=["libx.so"], runpath="$ORIGIN")
    assert not audit(wheel(tmp_path / NAME, {f"fast/core{SUFFIX}": needs, "fast/libx.so": b"libx.so.1.2"})).compatible


def test_zip_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a zip archive, but no wheel"):
        audit(wheel(tmp_path / "files.zip", {"fast.py": b""}))
    assert only(audit(wheel(tmp_path / "see.eap", {"see": APP}))).provides == "it is not a gzip file"


# Packages


@pytest.mark.parametrize(
    ("files", "severity", "told"),
    [
        ({"see": APP}, E, "neither of them"),
        ({"see/package.conf": b'APPNAME="see"\n', "see/see": APP}, E, "see/package.conf, which is in a folder"),
        ({"manifest.json": b"{", "see": APP}, E, "text that is not JSON"),
        ({"manifest.json": b"[" * 100_000, "see": APP}, E, "text that is not JSON"),
        ({"manifest.json": b"[]", "see": APP}, E, "no name of the app"),
        ({"manifest.json": b"{", "package.conf": b'APPNAME="see"\n', "see": APP}, W, "text that is not JSON"),
        ({"package.conf": b'APPNAME="see"\n', "other": APP}, W, "no file of that name"),
    ],
)
def test_package_with_a_description_that_no_camera_can_use_is_reported(
    tmp_path: Path, files: dict[str, bytes | str], severity: Severity, told: str
) -> None:
    finding = only(audit(package(tmp_path / "see.eap", files)))
    assert (finding.kind, finding.severity) == (Kind.malformed, severity)
    assert told in finding.provides


@pytest.mark.parametrize("program", [APP, b"#!/bin/sh\n", "bin/see"])
def test_app_may_be_a_program_a_script_or_a_link(tmp_path: Path, program: bytes | str) -> None:
    files: dict[str, bytes | str] = {"package.conf": b'APPNAME="see"\n', "see": program, "bin/see": APP}
    assert audit(package(tmp_path / "see.eap", files)).findings == ()
