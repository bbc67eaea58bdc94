"""Audits of bundles, wheels and .eap files: which file finds which library, and what is an error or a warning."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import EM_AARCH64, EM_X86_64, make_elf
from tests.unit.abi.trees import LOADER, bundle, package, wheel, write

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Kind, Report, Severity
from incamera.abi.policy import load_policy
from incamera.abi.subject import Shape, guess_architecture, open_subject
from incamera.eap.start import dump_start_script
from incamera.targets.architecture import Architecture

OLD, NEW = "axis-os-10-armv7hf", "axis-os-11-armv7hf"
PACKAGES = "lib/python3/dist-packages"
SUFFIX = ".cpython-311-arm-linux-gnueabihf.so"


def audit(path: Path, profile: str = OLD) -> Report:
    return audit_path(path, load_policy(profile))


def findings_of(report: Report) -> list[tuple[Kind, Severity, str, str]]:
    return [(one.kind, one.severity, one.file, one.needs) for one in report.findings]


def only(report: Report) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


E, W = Severity.error, Severity.warning
INNER = make_elf(soname="libinner.so.1", exports=["inner"])
USES_INNER = make_elf(needed=["libinner.so.1"], imports=["inner"])


# Folders that are searched


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"lib/libinner.so.1": INNER}, True),
        ({"lib/libinner.so.1": "libinner.so.1.2", "lib/libinner.so.1.2": INNER}, True),
        ({"lib/sub/libinner.so.1": INNER}, False),
        ({"app/libinner.so.1": INNER}, False),
        ({"lib/libinner.so.1": "nowhere"}, False),
        ({"lib/libinner.so": INNER}, False),
    ],
)
def test_bundle_finds_libraries_in_its_library_path_only(
    tmp_path: Path, files: dict[str, bytes | str], found: bool
) -> None:
    report = audit(bundle(tmp_path, {"app/libx.so": USES_INNER, **files}))
    assert findings_of(report) == ([] if found else [(Kind.missing_library, E, "app/libx.so", "libinner.so.1")])


@pytest.mark.parametrize("old_form", [True, False])
def test_rpath_applies_to_indirect_dependencies_and_runpath_does_not(tmp_path: Path, old_form: bool) -> None:
    path = {"rpath": "$ORIGIN/libs"} if old_form else {"runpath": "${ORIGIN}/libs"}
    report = audit(
        bundle(
            tmp_path,
            {
                "app/libx.so": make_elf(needed=["libmiddle.so.1"], **path),
                "app/libs/libmiddle.so.1": make_elf(soname="libmiddle.so.1", needed=["libinner.so.1"]),
                "app/libs/libinner.so.1": INNER,
            },
        )
    )
    missing = [(Kind.missing_library, E, "app/libs/libmiddle.so.1", "libinner.so.1")]
    assert findings_of(report) == ([] if old_form else missing)


def test_origin_is_the_folder_of_the_link_not_of_its_target(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "app/libx.so": make_elf(needed=["libmiddle.so.1"], runpath="$ORIGIN/names"),
        "app/names/libmiddle.so.1": "../real/libmiddle.so.1",
        "app/real/libmiddle.so.1": make_elf(needed=["libinner.so.1"], runpath="$ORIGIN"),
        "app/real/libinner.so.1": INNER,
    }
    assert findings_of(audit(bundle(tmp_path, files))) == [
        (Kind.missing_library, E, "app/real/libmiddle.so.1", "libinner.so.1")
    ]


def test_loader_skips_a_file_for_another_machine(tmp_path: Path) -> None:
    strange = make_elf(machine=EM_X86_64, soname="libinner.so.1")
    files: dict[str, bytes | str] = {
        "app/libx.so": make_elf(needed=["libinner.so.1"], imports=["inner"], rpath="$ORIGIN"),
        "app/libinner.so.1": strange,
    }
    found = audit(bundle(tmp_path / "one", {**files, "lib/libinner.so.1": INNER}))
    assert [one.kind for one in found.errors] == [Kind.wrong_architecture], "an error, since libx.so needs that name"
    missing = audit(bundle(tmp_path / "other", files))
    assert missing.findings[0].provides == "app/libinner.so.1, for another machine"


def test_damaged_library_that_a_file_needs_is_an_error(tmp_path: Path) -> None:
    report = audit(bundle(tmp_path, {"app/libx.so": USES_INNER, "lib/libinner.so.1": INNER[:100]}))
    assert findings_of(report) == [(Kind.malformed, E, "lib/libinner.so.1", "a valid ELF file")]


# Symbols


def test_symbols_come_from_the_program_and_the_libraries_loaded_with_a_file(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lib/libinner.so.1": INNER,
        "lib/libother.so.1": make_elf(soname="libother.so.1", exports=["other"]),
        "app/libx.so": make_elf(
            needed=["libinner.so.1", "libc.so.6"],
            needs={"libc.so.6": ["GLIBC_2.36"]},
            imports=["inner", "puts", "new@GLIBC_2.36", "other"],
        ),
    }
    assert only(audit(bundle(tmp_path, files))).needs == "other", "nobody needs libother.so.1 here"


@pytest.mark.parametrize(
    ("imported", "exports", "found"),
    [
        ("inner@V_1", ["inner@V_1"], True),
        ("inner@V_1", ["inner@V_2"], False),
        ("inner", ["inner@V_2"], True),
        ("inner@V_1", ["inner"], True),
    ],
)
def test_symbol_must_have_the_version_that_is_asked_for(
    tmp_path: Path, imported: str, exports: list[str], found: bool
) -> None:
    files: dict[str, bytes | str] = {
        "lib/libinner.so.1": make_elf(soname="libinner.so.1", defines=["V_1", "V_2"], exports=exports),
        "app/libx.so": make_elf(needed=["libinner.so.1"], needs={"libinner.so.1": ["V_1"]}, imports=[imported]),
    }
    assert audit(bundle(tmp_path, files)).compatible is found


# Libraries that bundle and camera both have


def test_bundled_library_is_not_checked_when_the_camera_has_a_newer_one(tmp_path: Path) -> None:
    """The bundle's libc has an undefined symbol here, which doesn't matter: it is not loaded."""
    files: dict[str, bytes | str] = {
        "lib/libc.so.6": make_elf(soname="libc.so.6", defines=["GLIBC_2.4"], imports=["gone"]),
        "libexec/python3.11": make_elf(needed=["libc.so.6"], interpreter=LOADER, program=True),
        "app/libx.so": make_elf(needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.38"]}),
    }
    assert findings_of(audit(bundle(tmp_path, files), NEW)) == []


def test_conflict_when_neither_side_has_all_versions(tmp_path: Path) -> None:
    jpeg = make_elf(soname="libjpeg.so.62", defines=["LIBJPEG_9.9"], exports=["jpeg_new@LIBJPEG_9.9"])
    asks = make_elf(needed=["libjpeg.so.62"], needs={"libjpeg.so.62": ["LIBJPEG_6.2"]})
    finding = only(audit(bundle(tmp_path, {"lib/libjpeg.so.62": jpeg, "app/libx.so": asks})))
    assert (finding.kind, finding.severity) == (Kind.shared_library_conflict, E)
    assert finding.provides == "LIBJPEG_9.9 (the bundle's libjpeg.so.62)"


def test_two_major_versions_of_a_library_in_one_process_are_a_warning(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lib/libold.so.1": make_elf(soname="libold.so.1", needed=["libssl.so.1.1"]),
        "lib/libssl.so.3": make_elf(soname="libssl.so.3"),
        "app/libx.so": make_elf(needed=["libold.so.1", "libssl.so.3"]),
    }
    finding = only(audit(bundle(tmp_path, files)))
    assert (finding.kind, finding.severity, finding.file) == (Kind.shared_library_conflict, W, "app/libx.so")
    assert finding.needs == "libssl.so.3 and libssl.so.1.1"


def test_private_copies_that_differ_are_a_warning(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {}
    for number in (1, 2):
        versions = [f"V_{one}" for one in range(1, number + 1)]
        files |= {
            f"app/{number}/libx.so": make_elf(
                needed=["libinner.so.1"], needs={"libinner.so.1": [f"V_{number}"]}, runpath="$ORIGIN"
            ),
            f"app/{number}/libinner.so.1": make_elf(soname="libinner.so.1", defines=versions),
        }
    finding = only(audit(bundle(tmp_path, files)))
    assert (finding.kind, finding.severity, finding.file) == (Kind.shared_library_conflict, W, "app/2/libx.so")
    assert finding.needs == "V_2 of app/2/libinner.so.1"


def test_time_t_of_different_width_is_a_warning(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lib/libc.so.6": make_elf(
            soname="libc.so.6", defines=["GLIBC_2.4", "GLIBC_2.36"], exports=["time@GLIBC_2.4", "__time64@GLIBC_2.36"]
        ),
        "lib/libclock.so.1": make_elf(
            soname="libclock.so.1",
            needed=["libc.so.6"],
            needs={"libc.so.6": ["GLIBC_2.36"]},
            imports=["__time64@GLIBC_2.36"],
            exports=["tick"],
        ),
        "app/libx.so": make_elf(
            needed=["libclock.so.1", "libc.so.6"],
            needs={"libc.so.6": ["GLIBC_2.4"]},
            imports=["time@GLIBC_2.4", "tick"],
        ),
    }
    finding = only(audit(bundle(tmp_path, files)))
    assert (finding.kind, finding.severity, finding.needs) == (Kind.time64, W, "a time_t of 32 bits")
    assert finding.provides == "lib/libclock.so.1, whose time_t has 64"


# Errors, and warnings for files that may never be loaded


def test_packages_files_for_other_machines_are_warnings_unless_importable(tmp_path: Path) -> None:
    strange = make_elf(machine=EM_X86_64)
    files: dict[str, bytes | str] = {f"{PACKAGES}/debugger/attach_amd64.so": strange}
    assert findings_of(audit(bundle(tmp_path / "one", files))) == [
        (Kind.wrong_architecture, W, f"{PACKAGES}/debugger/attach_amd64.so", "x86-64, 64 bits")
    ]
    files = {f"{PACKAGES}/fast/core{SUFFIX}": strange}
    assert audit(bundle(tmp_path / "other", files)).errors


def test_module_for_another_python_is_a_warning_when_this_python_has_one(tmp_path: Path) -> None:
    foreign = f"{PACKAGES}/fast/core.cpython-39-arm-linux-gnueabihf.so"
    module = make_elf(exports=["PyInit_core"])
    assert audit(bundle(tmp_path / "one", {foreign: module})).errors
    for name in (f"core{SUFFIX}", "core.abi3.so", "core.py"):
        files: dict[str, bytes | str] = {foreign: module, f"{PACKAGES}/fast/{name}": module}
        report = audit(bundle(tmp_path / name, files))
        assert findings_of(report) == [(Kind.wrong_python_version, W, foreign, "Python 3.9")]


def test_missing_library_is_an_error_for_the_apps_program_and_a_warning_for_a_packages(tmp_path: Path) -> None:
    tool = make_elf(program=True, interpreter=LOADER, needed=["libnowhere.so.1"])
    report = audit(bundle(tmp_path, {f"{PACKAGES}/tool/bin/tool": tool, "app/tool": tool}))
    assert findings_of(report) == [
        (Kind.missing_library, E, "app/tool", "libnowhere.so.1"),
        (Kind.missing_library, W, f"{PACKAGES}/tool/bin/tool", "libnowhere.so.1"),
    ]


def test_program_that_finds_the_bundles_libc_is_an_error(tmp_path: Path) -> None:
    tool = make_elf(program=True, interpreter=LOADER, needed=["libc.so.6"], runpath="$ORIGIN/../lib")
    finding = only(audit(bundle(tmp_path, {"app/tool": tool})))
    assert (finding.kind, finding.severity, finding.needs) == (Kind.shared_library_conflict, E, "lib/libc.so.6")


# Wheels

MODULE = make_elf(exports=["PyInit_core"], needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.31"]})


def test_wheel_with_its_own_libraries_has_no_findings(tmp_path: Path) -> None:
    path = wheel(
        tmp_path / "fast-1-cp311-cp311-manylinux_2_31_armv7l.whl",
        {
            f"fast/core{SUFFIX}": make_elf(
                exports=["PyInit_core"], needed=["libinner-1a2b.so.1"], rpath="$ORIGIN/../fast.libs"
            ),
            "fast.libs/libinner-1a2b.so.1": make_elf(soname="libinner-1a2b.so.1"),
            "fast/__init__.py": b"",
        },
    )
    report = audit(path)
    assert (report.findings, report.files) == ((), 2)


@pytest.mark.parametrize(
    ("name", "file", "data", "provides"),
    [
        ("cp311-cp311-manylinux_2_17_armv7l", f"core{SUFFIX}", MODULE, f"fast/core{SUFFIX}, which needs GLIBC_2.31"),
        ("cp311-cp311-manylinux2014_armv7l", f"core{SUFFIX}", MODULE, f"fast/core{SUFFIX}, which needs GLIBC_2.31"),
        ("cp312-cp312-linux_armv7l", f"core{SUFFIX}", MODULE, f"fast/core{SUFFIX}"),
        ("py3-none-any", "core.so", MODULE, "fast/core.so"),
    ],
)
def test_wheel_tag_that_its_files_contradict_is_a_warning(
    tmp_path: Path, name: str, file: str, data: bytes, provides: str
) -> None:
    report = audit(wheel(tmp_path / f"fast-1-{name}.whl", {f"fast/{file}": data}))
    findings = [one for one in report.findings if one.kind is Kind.wrong_tag]
    assert [(one.severity, one.provides) for one in findings] == [(W, provides)]


def test_wheel_for_another_machine_is_an_error(tmp_path: Path) -> None:
    path = wheel(tmp_path / "fast-1-cp311-cp311-linux_armv7l.whl", {"fast/libx.so": make_elf(machine=EM_X86_64)})
    assert {(one.kind, one.severity) for one in audit(path).findings} == {
        (Kind.wrong_tag, W),
        (Kind.wrong_architecture, E),
    }
    path = wheel(tmp_path / "fast-1-cp311-cp311-linux_x86_64.whl", {"fast/libx.so": make_elf(machine=EM_X86_64)})
    assert {one.file for one in audit(path).errors} == {path.name, "fast/libx.so"}


@pytest.mark.parametrize(("tag", "errors"), [("cp310", 1), ("cp311", 1), ("cp312", 0), ("cp313", 0), ("cp314", 1)])
def test_wheel_for_the_stable_abi_is_audited_with_the_oldest_python_that_it_fits(
    tmp_path: Path, tag: str, errors: int
) -> None:
    module = make_elf(exports=["PyInit_core"], imports=["PyType_FromMetaclass"])  # new in Python 3.12
    report = audit(wheel(tmp_path / f"fast-1-{tag}-abi3-linux_armv7l.whl", {"fast/core.abi3.so": module}))
    assert [one.kind for one in report.errors] == [Kind.missing_symbol] * errors


def test_wheel_tag_gives_the_python_version(tmp_path: Path) -> None:
    name = "core.cpython-313-arm-linux-gnueabihf.so"
    assert audit(wheel(tmp_path / "fast-1-cp313-cp313-linux_armv7l.whl", {f"fast/{name}": MODULE})).findings == ()
    report = audit(wheel(tmp_path / "fast-1-cp39-cp39-linux_armv7l.whl", {f"fast/{name.replace('313', '39')}": MODULE}))
    assert [one.kind for one in report.errors] == [Kind.wrong_python_version]


def test_damaged_wheel_is_a_malformed_finding(tmp_path: Path) -> None:
    path = wheel(tmp_path / "fast-1-cp311-cp311-linux_armv7l.whl", {f"fast/core{SUFFIX}": MODULE})
    path.write_bytes(path.read_bytes()[:-30])
    assert only(audit(path)).kind is Kind.malformed


# ACAP applications


def app(**options: object) -> bytes:
    return make_elf(program=True, interpreter=LOADER, **options)


def test_eap_is_started_by_the_cameras_loader(tmp_path: Path) -> None:
    def audited(version: str, profile: str = OLD) -> Report:
        program = app(needed=["libc.so.6"], needs={"libc.so.6": [version]})
        return audit(package(tmp_path / "see.eap", {"package.conf": b'APPNAME="see"\n', "see": program}), profile)

    assert audited("GLIBC_2.34").compatible
    finding = only(audited("GLIBC_2.38"))
    assert (finding.kind, finding.file, finding.needs) == (Kind.symbol_version, "see", "GLIBC_2.38")
    assert audited("GLIBC_2.34").loader == "the camera's, glibc 2.34"
    assert audited("GLIBC_2.38", NEW).compatible


def test_files_of_a_package_for_other_machines_are_warnings_unless_it_starts_or_needs_them(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "package.conf": b'APPNAME="see"\n',
        "see": app(),
        "libs/libx.so": make_elf(machine=3),
    }
    report = audit(package(tmp_path / "see.eap", files))
    assert [(one.kind, one.severity) for one in report.findings] == [(Kind.wrong_architecture, W)]
    files["see"] = app(needed=["libx.so"], rpath="$ORIGIN/libs")
    assert not audit(package(tmp_path / "needed.eap", files)).compatible
    files["see"] = make_elf(machine=3, program=True)
    assert not audit(package(tmp_path / "started.eap", files)).compatible


def test_architecture_of_a_package_is_that_of_its_program(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {"package.conf": b"", "libs/liba.so": make_elf(), "libs/libb.so": make_elf()}
    files["see"] = make_elf(program=True, machine=EM_AARCH64)
    with open_subject(package(tmp_path / "see.eap", files)) as subject:
        assert guess_architecture(subject) is Architecture.aarch64


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ({"rpath": "$ORIGIN/lib"}, True),
        ({"runpath": "/usr/local/packages/see/lib"}, True),
        ({"runpath": "/usr/local/packages/other/lib"}, False),
        ({}, False),
    ],
)
def test_eap_finds_its_libraries_through_its_run_path_only(tmp_path: Path, path: dict[str, str], found: bool) -> None:
    files: dict[str, bytes | str] = {
        "manifest.json": b'{"acapPackageConf": {"setup": {"appName": "see"}}}',
        "see": app(needed=["libinner.so.1"], imports=["inner"], **path),
        "lib/libinner.so.1": "libinner.so.1.0",
        "lib/libinner.so.1.0": INNER,
    }
    report = audit(package(tmp_path / "see.eap", files))
    assert report.compatible is found
    if not found:
        assert "the loader doesn't search the folder of" in report.errors[0].remedy


def test_links_out_of_an_eap_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.so").write_bytes(INNER)
    files: dict[str, bytes | str] = {"package.conf": b"", "see": app(), "lib": str(tmp_path), "x": "/etc/passwd"}
    with open_subject(package(tmp_path / "see.eap", files)) as subject:
        assert set(subject.objects) == {"see"}
    outside: dict[str, bytes | str] = {"lib": str(tmp_path), "lib/evil.so": INNER}
    assert only(audit(package(tmp_path / "evil.eap", outside))).kind is Kind.malformed
    assert not (tmp_path / "evil.so").exists()


def test_shape_follows_from_the_files(tmp_path: Path) -> None:
    write(tmp_path / "loose", {"x.so": INNER})
    write(tmp_path / "package", {"package.conf": b"", "see": app()})
    bundle(tmp_path / "bundle", {})
    for shape in Shape:
        with open_subject(tmp_path / shape.value) as subject:
            assert subject.shape is shape


def test_linker_scripts_and_object_files_are_ignored(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "libx.so": b"/* GNU ld script */\nINPUT(libx.so.1)\n",
        "x.o": make_elf(type=1),
        "notes.txt": b"\x7fELF",
        "app.py": b"",
    }
    report = audit(write(tmp_path, files))
    assert (report.findings, report.files) == ((), 0)


def test_bundle_in_a_package_is_audited_as_its_own_loader_starts_it(tmp_path: Path) -> None:
    root = bundle(tmp_path / "bundle", {"lib/liba.so.1.0": make_elf(soname="liba.so.1")})
    files: dict[str, bytes | str] = {
        f"bundle/{path.relative_to(root).as_posix()}": path.read_bytes() for path in root.rglob("*") if path.is_file()
    }
    files |= {"package.conf": b'APPNAME="see"\n', "see": dump_start_script("see", ["app.py"])}
    files["bundle/lib/liba.so.1"] = "liba.so.1.0"
    files["bundle/app/fast.cpython-311-arm-linux-gnueabihf.so"] = make_elf(
        needed=["liba.so.1"], exports=["PyInit_fast"]
    )
    report = audit(package(tmp_path / "see.eap", files), "axis-os-12-armv7hf")
    assert (report.findings, report.loader) == ((), "the package's own, glibc 2.36, on every camera")
    files["bundle/lib/liba.so.1"] = "gone"
    files["tool"] = make_elf()
    report = audit(package(tmp_path / "see.eap", files), "axis-os-12-armv7hf")
    assert only(report).kind is Kind.missing_library
    assert "files of the package that are not in its bundle: tool" in report.limits
    # The folder of a bundle excuses nothing in a package whose program does not start it.
    for program in (make_elf(needed=["libgone.so.1"]), b"#!/bin/sh\nexec ./tool\n"):
        files["see"], files["tool"] = program, make_elf(needed=["libgone.so.1"])
        report = audit(package(tmp_path / "see.eap", files), "axis-os-12-armv7hf")
        assert {"libgone.so.1"} <= {error.needs for error in report.errors}


# Nothing to audit


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "no files at all"),
        ({"see": "/usr/bin/see", "lib/libx.so": "libx.so.1"}, "only links"),
        ({"package.conf": b'APPNAME="see"\n'}, "only package.conf"),
        (
            {"./package.conf": b"", "manifest.json": b"{}", "LICENSE": b""},
            "only LICENSE and manifest.json and package.conf",
        ),
        ({"package.conf": b"", "see": "gone"}, "only package.conf and links"),
        ({"package.conf": b"", "see": b"#!/bin/sh\n"}, ""),
        ({"package.conf": b"", "html/index.html": b"<html>"}, ""),
    ],
)
def test_package_without_files_of_an_app_is_an_error(tmp_path: Path, files: dict[str, bytes | str], told: str) -> None:
    report = audit(package(tmp_path / "see.eap", files))
    assert [(one.kind, one.severity, one.provides) for one in report.findings] == (
        [(Kind.malformed, E, told)] if told else []
    )
    if "package.conf" in files:
        assert [one.provides for one in audit(write(tmp_path / "unpacked", files)).findings] == ([told] if told else [])


def test_package_of_folders_alone_is_an_error(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "see.eap", "w:gz") as archive:
        member = tarfile.TarInfo("lib")
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    assert only(audit(tmp_path / "see.eap")).provides == "no files at all"


def test_empty_folder_and_empty_wheel_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    assert only(audit(tmp_path / "empty")).provides == "no files at all"
    (tmp_path / "empty" / "README.md").touch()
    assert only(audit(tmp_path / "empty")).provides == "neither ELF files nor Python files"
    assert (
        only(audit(wheel(tmp_path / "x-1-py3-none-any.whl", {"x/": b""}, complete=False))).provides == "no files at all"
    )
    pure = wheel(tmp_path / "y-1-py3-none-any.whl", {"y.py": b"", "y-1.dist-info/METADATA": b""})
    assert audit(pure).findings == ()
