"""An audit of damaged files and archives returns a report, and leaves no files behind."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.mutation import Change, changes, damage_bytes, sensitive_offsets
from tests.unit.abi.trees import LOADER, write

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report
from incamera.abi.policy import load_policy
from incamera.abi.subject import Shape, open_subject
from incamera.errors import UsageError
from incamera.wheels.archive import record_line

DATA = Path(__file__).parents[2] / "data" / "elf"
FILES = {path.name: path.read_bytes() for path in sorted(DATA.iterdir()) if path.name.startswith("armv7hf")}
OFFSETS = {name: sensitive_offsets(data) for name, data in FILES.items()}
LIBRARY, PROGRAM = FILES["armv7hf-library.so"], FILES["armv7hf-program"]
WHEEL_NAME = "own-1-cp311-cp311-linux_armv7l.whl"
ANY_EXAMPLES = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_wheel(module: bytes = LIBRARY, name: str = "own/own.cpython-311-arm-linux-gnueabihf.so") -> bytes:
    files = {
        name: module,
        "own/__init__.py": b'import ctypes\nctypes.CDLL("libnowhere.so.1")\n',
        "own-1.dist-info/METADATA": b"Name: own\n",
        "own-1.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: cp311-cp311-linux_armv7l\n",
    }
    files["own-1.dist-info/RECORD"] = "".join(record_line(path, data) for path, data in files.items()).encode()
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(zipfile.ZipInfo(path), data)
    return output.getvalue()


def write_package(program: bytes = PROGRAM) -> bytes:
    """Return an .eap before it is compressed."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, data in {
            "app": program,
            "package.conf": b'APPNAME="app"\nAPPTYPE="armv7hf"\n',
            "lib/libanswer.so.1.0": LIBRARY,
        }.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("lib/libanswer.so.1")
        link.type, link.linkname = tarfile.SYMTYPE, "libanswer.so.1.0"
        archive.addfile(link)
    return output.getvalue()


WHEEL, PACKAGE = write_wheel(), write_package()


def judge(folder: Path, name: str, data: bytes) -> Report | None:
    """Return the report on *data*, the content of a file *name*; None for a file of no known kind."""
    path = folder / name
    path.write_bytes(data)
    try:
        report = audit_path(path, load_policy("axis-os-11-armv7hf"))
    except UsageError:
        return None
    assert report.to_json()["compatible"] is report.compatible
    return report


@ANY_EXAMPLES
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_audit_of_a_damaged_file_returns_a_report(tmp_path: Path, data: st.DataObject, name: str) -> None:
    damage = data.draw(changes(OFFSETS[name]))
    judge(tmp_path, f"lib{name}.so", damage_bytes(FILES[name], damage))


@ANY_EXAMPLES
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_audit_of_archives_with_a_damaged_file_returns_a_report(tmp_path: Path, data: st.DataObject, name: str) -> None:
    damaged = damage_bytes(FILES[name], data.draw(changes(OFFSETS[name])))
    assert judge(tmp_path, WHEEL_NAME, write_wheel(damaged)) is not None
    assert judge(tmp_path, "app.eap", gzip.compress(write_package(damaged), 1)) is not None


@ANY_EXAMPLES
@given(damage=changes())
def test_audit_of_a_damaged_wheel_returns_a_report(tmp_path: Path, damage: list[Change]) -> None:
    assert judge(tmp_path, WHEEL_NAME, damage_bytes(WHEEL, damage)) is not None


@ANY_EXAMPLES
@given(damage=changes(tuple(range(0, len(PACKAGE), 16))))
def test_audit_of_a_damaged_eap_returns_a_report(tmp_path: Path, damage: list[Change]) -> None:
    """Damage before compression gives wrong tar headers, damage after it a broken gzip stream."""
    assert judge(tmp_path, "app.eap", gzip.compress(damage_bytes(PACKAGE, damage), 1)) is not None
    assert judge(tmp_path, "app.eap", damage_bytes(gzip.compress(PACKAGE, 1), damage)) is not None


@pytest.mark.parametrize(("name", "whole"), [(WHEEL_NAME, WHEEL), ("app.eap", gzip.compress(PACKAGE))])
def test_truncated_archive_is_a_malformed_finding(tmp_path: Path, name: str, whole: bytes) -> None:
    report = judge(tmp_path, name, whole)
    assert report is not None
    assert Kind.malformed not in {finding.kind for finding in report.findings}
    for size in range(0, len(whole) - 16, 97):
        report = judge(tmp_path, name, whole[:size])
        assert report is not None
        assert not report.compatible, size
        assert Kind.malformed in {finding.kind for finding in report.errors}, size


@pytest.mark.parametrize("name", ["../outside.so", "/tmp/incamera-outside.so", "own/../../outside.so"])
def test_unpacking_an_archive_writes_nothing_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    temporary = tmp_path / "temporary" / "deep"
    temporary.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    package = io.BytesIO()
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(LIBRARY)
        archive.addfile(member, io.BytesIO(LIBRARY))
        link = tarfile.TarInfo("lib")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        member.name = "lib/outside.so"
        archive.addfile(member, io.BytesIO(LIBRARY))
    assert judge(tmp_path, WHEEL_NAME, write_wheel(name=name)) is not None
    assert judge(tmp_path, "app.eap", package.getvalue()) is not None
    assert not list(tmp_path.rglob("*outside.so"))
    assert not Path("/tmp/incamera-outside.so").exists()
    assert not list(temporary.iterdir())


def write_hard_links(*members: tuple[str, bytes | str]) -> bytes:
    """Return an .eap: bytes are a file, a text is the target of a hard link."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.LNKTYPE, content
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return output.getvalue()


CONF = ("package.conf", b'APPNAME="app"\n')
NEEDS_ANSWER = make_elf(program=True, interpreter=LOADER, runpath="$ORIGIN/lib", needed=["libanswer.so.1"])


@pytest.mark.parametrize(
    "members",
    [
        [("lib/libanswer.so.1.0", LIBRARY), ("lib/libanswer.so.1", "lib/libanswer.so.1.0")],
        [("data/answer.dat", LIBRARY), ("lib/libanswer.so.1", "data/answer.dat")],
        [("lib/x.dat", LIBRARY), ("lib/libanswer.so", "lib/x.dat"), ("lib/libanswer.so.1", "./lib/x.dat")],
        [("lib/libanswer.so.1.0", LIBRARY), ("a", "lib/libanswer.so.1.0"), ("lib/libanswer.so.1", "a")],
        [("lib/x.dat", LIBRARY), ("lib/y.dat", "lib/x.dat"), ("lib/libanswer.so.1", "lib/y.dat")],
    ],
)
def test_hard_links_of_an_eap_are_unpacked(tmp_path: Path, members: list[tuple[str, bytes | str]]) -> None:
    whole = write_hard_links(CONF, ("app", NEEDS_ANSWER), *members)
    report = judge(tmp_path, "app.eap", whole)
    assert report is not None
    assert report.compatible, report.findings


@pytest.mark.parametrize("target", ["lib/libown.so", "lib/nowhere.so", "lib"])
def test_hard_link_that_leads_to_no_earlier_file_is_damage(tmp_path: Path, target: str) -> None:
    report = judge(tmp_path, "app.eap", write_hard_links(CONF, ("app", PROGRAM), ("lib/libown.so", target)))
    assert report is not None
    assert [one.kind for one in report.errors] == [Kind.malformed]


@pytest.mark.parametrize("name", ["etc/launcher", "./etc/launcher"])
def test_launcher_in_a_foreign_archive_does_not_make_errors_warnings(tmp_path: Path, name: str) -> None:
    """Much of a bundle need not work; all of a package must."""
    launcher = (name, b"program bin/python3\nloader lib/ld-linux-armhf.so.3\nlibraries lib\n")
    wrong = make_elf(needed=["libnowhere.so.1"])
    package = [CONF, ("lib/libown.so", wrong), ("bin/python3", PROGRAM)]
    for members in (package, [*package, launcher]):
        report = judge(tmp_path, "app.eap", write_hard_links(*members))
        assert report is not None
        assert [(one.kind, one.needs) for one in report.errors] == [(Kind.missing_library, "libnowhere.so.1")]
    for extra in ({}, {"etc/launcher": launcher[1], "bin/python3": PROGRAM}):
        output = io.BytesIO()
        with zipfile.ZipFile(output, "w") as archive:
            for path, data in {"own/libown.so": wrong, "own-1.dist-info/WHEEL": b"", **extra}.items():
                archive.writestr(path, data)
        report = judge(tmp_path, WHEEL_NAME, output.getvalue())
        assert report is not None
        assert "libnowhere.so.1" in {one.needs for one in report.errors}


@pytest.mark.parametrize("with_conf", [True, False])
def test_launcher_in_a_folder_makes_a_bundle_only_with_its_program(tmp_path: Path, with_conf: bool) -> None:
    files: dict[str, bytes | str] = {
        "etc/launcher": b"program bin/nothing\nlibraries lib\n",
        "own/libown.so": make_elf(needed=["libnowhere.so.1"]),
    }
    if with_conf:
        files |= {"package.conf": CONF[1], "bin/nothing": PROGRAM}
    with open_subject(write(tmp_path / "own", files)) as subject:
        assert subject.shape is (Shape.package if with_conf else Shape.loose)
    assert not audit_path(tmp_path / "own", load_policy("axis-os-11-armv7hf")).compatible


def test_signature_at_the_end_of_an_eap_belongs_to_it(tmp_path: Path) -> None:
    whole = gzip.compress(PACKAGE)
    armour = b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
    signed = whole + armour + len(armour).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes(8)
    for data, is_right in ((whole, True), (whole + bytes(512), True), (signed, True), (signed[:-1], False)):
        report = judge(tmp_path, "app.eap", data)
        assert report is not None
        assert (Kind.malformed not in {one.kind for one in report.errors}) is is_right


@pytest.mark.parametrize("name", ["own/data.npy", "own/x.py", "own/own.so"])
def test_damage_in_any_member_of_a_wheel_is_an_error(tmp_path: Path, name: str) -> None:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, b"x" * 5000)
    whole = bytearray(output.getvalue())
    whole[2000] ^= 1
    report = judge(tmp_path, WHEEL_NAME, bytes(whole))
    assert report is not None
    assert "CRC" in report.errors[0].provides
