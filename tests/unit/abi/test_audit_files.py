"""Audits of one file: a case for each kind of finding. The corpus compares such cases with the real loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.abi.elf_maker import EM_AARCH64, EM_X86_64, SOFT, make_elf

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Kind, Report, Severity
from incamera.abi.policy import load_policy
from incamera.errors import UsageError
from incamera.targets.target import Target

OLD, NEW, WIDE = "axis-os-10-armv7hf", "axis-os-11-armv7hf", "axis-os-11-aarch64"
NEWER, NEWEST = "axis-os-12-armv7hf", "axis-os-13-armv7hf"
MODULE = "fast.cpython-311-arm-linux-gnueabihf.so"
CPU, FP, SIMD, VFP_ARGS, DIVISION = 6, 10, 12, 28, 44
V7 = {CPU: 10, FP: 3, SIMD: 1, VFP_ARGS: 1}


def audit(folder: Path, name: str, data: bytes, profile: str = OLD, target: str | None = None) -> Report:
    (folder / name).write_bytes(data)
    return audit_path(folder / name, load_policy(profile), target=Target.parse(target) if target else None)


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


RIGHT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "nothing needed": (OLD, "libx.so", {}),
    "libc of the bundle": (OLD, "libx.so", {"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.36"]}}),
    "libc of the camera": (NEW, "libx.so", {"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.38"]}}),
    "a symbol of the interpreter": (OLD, "libx.so", {"imports": ["PyLong_FromLong"]}),
    "a weak symbol that is missing": (OLD, "libx.so", {"weak": ["nobody_has_it"]}),
    "a library of the camera": (OLD, "libx.so", {"needed": ["libglib-2.0.so.0"], "imports": ["g_free"]}),
    "the camera's own interfaces": (
        OLD,
        "libx.so",
        {
            "needed": ["liblarod.so.1"],
            "needs": {"liblarod.so.1": ["LIBLAROD_3.0.0"]},
            "imports": ["larodConnect@LIBLAROD_3.0.0"],
        },
    ),
    "a version between known ones": (
        OLD,
        "libx.so",
        {"needed": ["libvdostream.so.1"], "needs": {"libvdostream.so.1": ["VDOSTREAM_1.900"]}},
    ),
    "a module": (OLD, MODULE, {"exports": ["PyInit_fast"]}),
    "a module for the stable ABI": (OLD, "fast.abi3.so", {"exports": ["PyInit_fast"]}),
    "a module without a tag": (OLD, "fast.so", {"exports": ["PyInit_fast"]}),
    "processor features that every camera has": (OLD, "libx.so", {"attributes": V7}),
    "processor features used after detection": (OLD, "libx.so", {"attributes": V7 | {CPU: 14}, "weak": ["getauxval"]}),
    "large pages": (WIDE, "libx.so", {"machine": EM_AARCH64, "alignment": 65536}),
    "no stack header on aarch64": (WIDE, "libx.so", {"machine": EM_AARCH64, "stack": None}),
    "a program": (
        OLD,
        "tool",
        {
            "program": True,
            "interpreter": "/lib/ld-linux-armhf.so.3",
            "needed": ["libc.so.6"],
            "needs": {"libc.so.6": ["GLIBC_2.28"]},
        },
    ),
    "a run path to its own folder": (OLD, "libx.so", {"runpath": "$ORIGIN:$ORIGIN/lib:/usr/lib"}),
}


@pytest.mark.parametrize("case", RIGHT)
def test_file_that_works_has_no_findings(tmp_path: Path, case: str) -> None:
    profile, name, options = RIGHT[case]
    report = audit(tmp_path, name, make_elf(**options), profile)
    assert report.findings == ()
    assert report.compatible
    assert report.files == 1


E, W = Severity.error, Severity.warning
WRONG: dict[str, tuple[str, str, dict[str, Any], Kind, Severity, str, str]] = {
    "another processor": (
        OLD,
        "x.so",
        {"machine": EM_X86_64},
        Kind.wrong_architecture,
        E,
        "x86-64, 64 bits",
        "ARM, 32 bits",
    ),
    "the other supported processor": (
        NEW,
        "x.so",
        {"machine": EM_AARCH64},
        Kind.wrong_architecture,
        E,
        "aarch64, 64 bits",
        "ARM, 32 bits",
    ),
    "soft float": (
        OLD,
        "x.so",
        {"flags": SOFT},
        Kind.float_abi,
        E,
        "soft float: floats passed in integer registers (armel)",
        "hard float (armhf)",
    ),
    "unknown float ABI": (
        OLD,
        "x.so",
        {"flags": 0x05000000, "attributes": {FP: 3}},
        Kind.float_abi,
        W,
        "perhaps soft float: it doesn't declare how it passes floats",
        "hard float (armhf)",
    ),
    "ARMv8": (
        OLD,
        "x.so",
        {"attributes": V7 | {CPU: 14}},
        Kind.cpu_feature,
        E,
        "ARMv8-A",
        "ARMv7-A with VFPv3 and NEON",
    ),
    "VFPv4": (
        OLD,
        "x.so",
        {"attributes": V7 | {FP: 5, SIMD: 2}},
        Kind.cpu_feature,
        E,
        "VFPv4, NEON with FMA",
        "ARMv7-A with VFPv3 and NEON",
    ),
    "division": (
        OLD,
        "x.so",
        {"attributes": V7 | {DIVISION: 2}},
        Kind.cpu_feature,
        E,
        "integer division",
        "ARMv7-A with VFPv3 and NEON",
    ),
    "newer libc": (
        OLD,
        "x.so",
        {"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.38", "GLIBC_2.4"]}},
        Kind.symbol_version,
        E,
        "GLIBC_2.38",
        "GLIBC_2.36 (the bundle's libc.so.6)",
    ),
    "newer than the camera's": (
        NEW,
        "x.so",
        {"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.98", "GLIBC_2.99"]}},
        Kind.symbol_version,
        E,
        "GLIBC_2.99 and 1 more",
        "GLIBC_2.39 (the camera's libc.so.6)",
    ),
    "newer larod": (
        OLD,
        "x.so",
        {"needed": ["liblarod.so.1"], "needs": {"liblarod.so.1": ["LIBLAROD_4.0.0"]}},
        Kind.symbol_version,
        E,
        "LIBLAROD_4.0.0",
        "LIBLAROD_3.0.0 (the camera's liblarod.so.1)",
    ),
    "a symbol that no library has": (
        OLD,
        "x.so",
        {"imports": ["nobody_has_it"]},
        Kind.missing_symbol,
        E,
        "nobody_has_it",
        "no such symbol in libc",
    ),
    "another Python's function": (
        OLD,
        "x.so",
        {"imports": ["PyType_FromMetaclass"]},
        Kind.missing_symbol,
        E,
        "PyType_FromMetaclass",
        "an interpreter without it",
    ),
    "a missing library": (
        OLD,
        "x.so",
        {"needed": ["libnowhere.so.1"], "imports": ["f"]},
        Kind.missing_library,
        E,
        "libnowhere.so.1",
        "nothing of that name in the bundle or the camera",
    ),
    "a library of a later track": (
        OLD,
        "x.so",
        {"needed": ["libbbox.so.1"]},
        Kind.missing_library,
        E,
        "libbbox.so.1",
        "nothing of that name in the bundle or the camera",
    ),
    "a bundled camera library": (
        OLD,
        "libvdostream.so.1",
        {},
        Kind.bundled_camera_library,
        E,
        "to be the camera's own: it talks to a service of the same firmware",
        "a copy in the bundle",
    ),
    "another Python": (
        OLD,
        "x.cpython-39-arm-linux-gnueabihf.so",
        {"exports": ["PyInit_x"]},
        Kind.wrong_python_version,
        E,
        "Python 3.9",
        "Python 3.11",
    ),
    "PyPy": (
        OLD,
        "x.pypy39-pp73-arm-linux-gnueabihf.so",
        {"exports": ["PyInit_x"]},
        Kind.wrong_python_version,
        E,
        "another Python, pypy39",
        "Python 3.11",
    ),
    "a suffix of another system": (
        OLD,
        "x.cpython-311-armv7l-linux-gnueabihf.so",
        {"exports": ["PyInit_x"]},
        Kind.wrong_suffix,
        E,
        "a Python that looks for .cpython-311-armv7l-linux-gnueabihf.so",
        "Python 3.11, which looks for .cpython-311-arm-linux-gnueabihf.so",
    ),
    "no entry point": (
        OLD,
        MODULE,
        {"exports": ["PyInit_slow"]},
        Kind.missing_symbol,
        E,
        "PyInit_fast",
        "a file without that function, which Python calls first",
    ),
    "segments not at page boundaries": (
        OLD,
        "x.so",
        {"shift": 1024, "alignment": 1024},
        Kind.page_size,
        E,
        "pages of 1024 bytes",
        "pages of 4096 bytes",
    ),
    "executable stack": (
        OLD,
        "x.so",
        {"stack": 7},
        Kind.executable_stack,
        W,
        "an executable stack",
        "glibc 2.36, which still allows it; 2.41 does not",
    ),
    "executable stack, refused by glibc 2.41": (
        NEWER,
        "x.so",
        {"stack": 7},
        Kind.executable_stack,
        E,
        "an executable stack",
        "glibc 2.42, which refuses that",
    ),
    "no stack header on ARM": (
        NEWER,
        "x.so",
        {"stack": None},
        Kind.executable_stack,
        E,
        "an executable stack",
        "glibc 2.42, which refuses that",
    ),
    "executable stack of a program, blocked by AXIS OS 13": (
        NEWEST,
        "tool",
        {"program": True, "stack": 7, "interpreter": "/lib/ld-linux-armhf.so.3"},
        Kind.executable_stack,
        E,
        "an executable stack",
        "AXIS OS 13.0, which refuses that",
    ),
    "a library that only the virtual camera has": (
        OLD,
        "x.so",
        {"needed": ["libselinux.so.1"]},
        Kind.unconfirmed_library,
        W,
        "libselinux.so.1",
        "a Debian package of the virtual camera; no source says that AXIS OS 10.12 has it",
    ),
    "a library that the camera perhaps has": (
        OLD,
        "x.so",
        {"needed": ["libcurl.so.4"], "imports": ["curl_easy_init"]},
        Kind.unconfirmed_library,
        W,
        "libcurl.so.4",
        "perhaps AXIS OS 10.12: the SDK has it from AXIS OS 11.10 on. No source says whether earlier firmware does",
    ),
    "a library that AXIS OS 13 no longer has": (
        NEWEST,
        "x.so",
        {"needed": ["libmdb.so.0"]},
        Kind.missing_library,
        E,
        "libmdb.so.0",
        "nothing of that name in the bundle or the camera",
    ),
    "a version that a later track has": (
        NEW,
        "x.so",
        {"needed": ["libvdostream.so.1"], "needs": {"libvdostream.so.1": ["VDOSTREAM_15.34"]}},
        Kind.symbol_version,
        E,
        "VDOSTREAM_15.34",
        "VDOSTREAM_9.78 (the camera's libvdostream.so.1)",
    ),
    "a version between two tracks": (
        NEW,
        "x.so",
        {"needed": ["libvdostream.so.1"], "needs": {"libvdostream.so.1": ["VDOSTREAM_12.1"]}},
        Kind.symbol_version,
        W,
        "VDOSTREAM_12.1",
        "VDOSTREAM_9.78 (the camera's libvdostream.so.1), perhaps newer: axis-os-11-armv7hf is not known so well",
    ),
    "a run path to a folder of the build computer": (
        OLD,
        "x.so",
        {"rpath": "$ORIGIN:/home/me/lib:"},
        Kind.run_path,
        W,
        "libraries searched in /home/me/lib, the current folder",
        "folders of the bundle and of the camera",
    ),
    "text relocations": (
        OLD,
        "x.so",
        {"text_relocations": True},
        Kind.text_relocations,
        W,
        "its code to be changed when it is loaded",
        "code that is shared and read-only",
    ),
    "a program named like a library": (
        OLD,
        "x.so",
        {"program": True, "interpreter": "/lib/ld-linux-armhf.so.3"},
        Kind.malformed,
        E,
        "a valid ELF file",
        "a program, which can be started but not loaded",
    ),
    "an object file": (
        OLD,
        "x.so",
        {"type": 1},
        Kind.malformed,
        E,
        "a valid ELF file",
        "neither a library nor a program",
    ),
    "a program of another libc": (
        OLD,
        "tool",
        {"program": True, "interpreter": "/lib/ld-musl-armhf.so.1"},
        Kind.missing_library,
        E,
        "the loader /lib/ld-musl-armhf.so.1",
        "/lib/ld-linux-armhf.so.3",
    ),
    "a program for a newer camera": (
        OLD,
        "tool",
        {
            "program": True,
            "interpreter": "/lib/ld-linux-armhf.so.3",
            "needed": ["libc.so.6"],
            "needs": {"libc.so.6": ["GLIBC_2.35"]},
        },
        Kind.symbol_version,
        E,
        "GLIBC_2.35",
        "GLIBC_2.34 (the camera's libc.so.6)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_file_with_one_fault_has_one_finding(tmp_path: Path, case: str) -> None:
    profile, name, options, kind, severity, needs, provides = WRONG[case]
    report = audit(tmp_path, name, make_elf(**options), profile)
    finding = only(report)
    assert (finding.kind, finding.severity, finding.needs, finding.provides) == (kind, severity, needs, provides)
    assert finding.file == name
    assert finding.remedy
    assert report.compatible is (severity is W)


def test_every_kind_of_finding_for_one_file_has_a_case() -> None:
    several_files = {Kind.shared_library_conflict, Kind.time64, Kind.wrong_tag}
    assert {row[3] for row in WRONG.values()} == set(Kind) - several_files


def test_remedy_names_a_python_whose_glibc_is_new_enough(tmp_path: Path) -> None:
    options: dict[str, Any] = {"needed": ["libc.so.6"], "needs": {"libc.so.6": ["GLIBC_2.38"]}}
    assert "Python 3.13 (glibc 2.41)" in only(audit(tmp_path, "x.so", make_elf(**options))).remedy
    assert audit(tmp_path, "x.so", make_elf(**options), target="armv7hf-cp313").compatible


def test_truncated_file_is_a_malformed_finding(tmp_path: Path) -> None:
    whole = make_elf(soname="libx.so", exports=["f"] * 20)
    for size in (0, 3, 40, 60, 200, len(whole) - 8):
        finding = only(audit(tmp_path, "libx.so", whole[:size]))
        assert (finding.kind, finding.severity) == (Kind.malformed, E)


def test_file_of_unknown_kind_or_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("Dear camera")
    for path in (tmp_path / "letter.txt", tmp_path / "nowhere"):
        with pytest.raises(UsageError):
            audit_path(path, load_policy(OLD))


def test_report_names_the_side_with_the_newer_loader(tmp_path: Path) -> None:
    assert (
        audit(tmp_path, "x.so", make_elf(), OLD).loader == "the bundle's, glibc 2.36, since the camera's is not newer"
    )
    assert (
        audit(tmp_path, "x.so", make_elf(), NEW).loader == "the camera's, glibc 2.39, since the bundle's is not newer"
    )


def test_report_survives_json(tmp_path: Path) -> None:
    from incamera.abi.findings import parse_report

    report = audit(tmp_path, "x.so", make_elf(stack=7, imports=["nobody_has_it"]))
    assert parse_report(report.to_json()) == report
    with pytest.raises(ValueError, match="report"):
        parse_report({"findings": []})
