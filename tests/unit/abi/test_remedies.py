"""Remedies fit what is audited: only a project's bundle gets advice about the project's settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import EM_X86_64, make_elf
from tests.unit.abi.trees import LOADER, bundle, package, wheel, write

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Kind
from incamera.abi.policy import load_policy

PROJECT_ONLY = ("[build-system]", "[tool.incamera", "Debian", "incamera build", "sdist")
SUFFIX = ".cpython-311-arm-linux-gnueabihf.so"


def faulty(**options: object) -> dict[str, bytes | str]:
    """Return files with a fault of nearly every kind, each program or library with *options*."""
    return {
        "libstrange.so": make_elf(machine=EM_X86_64),
        "libnew.so": make_elf(needed=["libc.so.6"], needs={"libc.so.6": ["GLIBC_2.99"]}, **options),
        "libcxx.so": make_elf(needed=["libstdc++.so.6"], needs={"libstdc++.so.6": ["GLIBCXX_3.4.99"]}, **options),
        "libalone.so": make_elf(needed=["libnowhere.so.1"], **options),
        "libasks.so": make_elf(imports=["nobody_has_it"], **options),
        "libcpu.so": make_elf(attributes={6: 14}, **options),
        "libsoft.so": make_elf(flags=0x05000200, **options),
        "libpage.so": make_elf(alignment=1024, shift=1024, **options),
        "libstack.so": make_elf(stack=7, **options),
        "libtext.so": make_elf(text_relocations=True, **options),
        "libpath.so": make_elf(runpath="/home/me/lib"),
        "libvdostream.so.1": make_elf(soname="libvdostream.so.1"),
        "libbbox_user.so": make_elf(needed=["libbbox.so.1"]),
        f"named{SUFFIX}": make_elf(exports=["PyInit_other"]),
        "foreign.cpython-39-arm-linux-gnueabihf.so": make_elf(exports=["PyInit_foreign"]),
        "debug.cpython-311d-arm-linux-gnueabihf.so": make_elf(exports=["PyInit_debug"]),
        "tool": make_elf(program=True, interpreter="/lib/ld-musl-armhf.so.1"),
        "own": make_elf(program=True, interpreter=LOADER, needed=["libc.so.6"], runpath="$ORIGIN/mine"),
        "mine/libc.so.6": make_elf(soname="libc.so.6"),
        "shown.py": b"import ctypes\nctypes.CDLL('libgone.so.3')\nctypes.util.find_library('gone')\n",
    }


def audited_package(root: Path) -> Path:
    return package(root / "see.eap", {"package.conf": b'APPNAME="see"\n', **faulty()})


def audited_wheel(root: Path) -> Path:
    files = {f"fast/{name}": data for name, data in faulty().items() if isinstance(data, bytes)}
    return wheel(root / "fast-1-cp311-cp311-manylinux_2_17_armv7l.whl", files)


def audited_folder(root: Path) -> Path:
    return write(root / "folder", faulty())


def audited_bundle(root: Path) -> Path:
    files = {f"app/{name}": data for name, data in faulty().items()}
    return bundle(root / "bundle", {**files, "lib/python3/dist-packages/fast/libnew.so": faulty()["libnew.so"]})


def findings(path: Path) -> tuple[Finding, ...]:
    return audit_path(path, load_policy("axis-os-10-armv7hf")).findings


@pytest.mark.parametrize("make", [audited_package, audited_wheel, audited_folder])
def test_remedies_for_files_from_elsewhere_name_no_settings_of_a_project(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    found = findings(make(tmp_path))
    assert len({one.kind for one in found}) >= 8
    misplaced = {(one.kind.value, one.remedy) for one in found if any(words in one.remedy for words in PROJECT_ONLY)}
    assert misplaced == set()


def test_remedies_for_a_package_speak_of_the_package(tmp_path: Path) -> None:
    found = findings(audited_package(tmp_path))
    assert not [one for one in found if "bundle" in one.remedy + one.provides]
    by_kind = {one.kind: one.remedy for one in found}
    assert "ACAP SDK" in by_kind[Kind.wrong_architecture]
    assert "Python" not in by_kind[Kind.symbol_version]


def test_remedies_for_a_wheel_name_other_wheels(tmp_path: Path) -> None:
    by_file = {one.file: one.remedy for one in findings(audited_wheel(tmp_path))}
    assert "use a wheel for armv7hf" in by_file["fast/libstrange.so"]
    assert "wheel" in by_file["fast/libalone.so"]
    advice_for_authors = [remedy for remedy in by_file.values() if remedy.startswith("link it")]
    assert advice_for_authors == []
    assert "tell its authors" in by_file["fast/libpath.so"]
    assert "another version of the wheel" in by_file["fast/libstack.so"]


def test_remedies_for_a_bundle_name_the_settings_of_its_project(tmp_path: Path) -> None:
    found = {one.file: one.remedy for one in findings(audited_bundle(tmp_path))}
    assert "[build-system]" in found["app/libnew.so"]
    assert "[tool.incamera.sources]" in found["lib/python3/dist-packages/fast/libnew.so"]
    assert "debs in [tool.incamera]" in found["app/libalone.so"]
    assert "incamera build" in found["app/libcpu.so"]
