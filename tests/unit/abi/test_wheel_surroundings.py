"""What a wheel finds around it: libraries that a bundle brings for wheels, and packages that the wheel requires."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, make_elf
from tests.unit.abi.trees import wheel

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report, Severity
from incamera.abi.policy import load_policy

METADATA = b"Metadata-Version: 2.1\nName: fast\nVersion: 1\n"


def audit_module(root: Path, data: bytes, metadata: bytes = METADATA, *, profile: str = "axis-os-10-aarch64") -> Report:
    files = {"fast/core.abi3.so": data, "fast-1.dist-info/METADATA": metadata}
    machine = "aarch64" if profile.endswith("aarch64") else "armv7l"
    path = wheel(root / f"fast-1-cp311-abi3-linux_{machine}.whl", files)
    return audit_path(path, load_policy(profile))


@pytest.mark.parametrize(
    ("library", "versions"),
    [
        ("libstdc++.so.6", ["GLIBCXX_3.4.30"]),  # newer than what AXIS OS 10 has
        ("libatomic.so.1", ["LIBATOMIC_1.0"]),
    ],
)
def test_wheel_finds_the_libraries_that_a_bundle_brings_for_wheels(
    tmp_path: Path, library: str, versions: list[str]
) -> None:
    module = make_elf(machine=EM_AARCH64, needed=[library], needs={library: versions}, exports=["PyInit_core"])
    assert audit_module(tmp_path, module).findings == ()
    # A file by itself may get into a bundle that has no wheel.
    alone = tmp_path / "core.abi3.so"
    alone.write_bytes(module)
    assert not audit_path(alone, load_policy("axis-os-10-aarch64")).compatible


@pytest.mark.parametrize("profile", ["axis-os-10-armv7hf", "axis-os-11-armv7hf", "axis-os-13-armv7hf"])
def test_c_plus_plus_for_armv7_finds_its_own_symbol_version_in_every_camera(tmp_path: Path, profile: str) -> None:
    module = make_elf(
        machine=EM_ARM,
        needed=["libstdc++.so.6"],
        needs={"libstdc++.so.6": ["CXXABI_ARM_1.3.3"]},
        imports=["__aeabi_atexit@CXXABI_ARM_1.3.3"],
        exports=["PyInit_core"],
    )
    alone = tmp_path / "core.abi3.so"
    alone.write_bytes(module)
    assert audit_path(alone, load_policy(profile)).errors == ()
    assert audit_module(tmp_path, module, profile=profile).errors == ()


@pytest.mark.parametrize(
    ("library", "requires", "severity"),
    [
        ("libtensors.so", b"Requires-Dist: tensors>=2\n", Severity.warning),
        ("libtensors.so", b"Requires-Dist: tensors ; extra == 'all'\n", Severity.error),
        ("libtensors.so", b"", Severity.error),
        ("libEGL.so.1", b"Requires-Dist: tensors>=2\n", Severity.error),  # a system's, by its number
    ],
)
def test_library_without_a_number_may_be_in_a_package_that_the_wheel_requires(
    tmp_path: Path, library: str, requires: bytes, severity: Severity
) -> None:
    module = make_elf(machine=EM_AARCH64, needed=[library], exports=["PyInit_core"])
    (finding,) = audit_module(tmp_path, module, METADATA + requires).findings
    assert (finding.kind, finding.needs, finding.severity) == (Kind.missing_library, library, severity)
    assert ("tensors" in finding.provides) == (severity is Severity.warning)
