"""Libraries that Python code loads: literal names are checked, computed ones are listed as a limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import bundle

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report, Severity
from incamera.abi.policy import load_policy

COMPUTED = "libraries whose names Python code computes: "


def audit(root: Path, path: str, source: str) -> Report:
    files: dict[str, bytes | str] = {path: source.encode(), "lib/libhere.so.1": make_elf(soname="libhere.so.1")}
    return audit_path(bundle(root, files), load_policy("axis-os-10-armv7hf"))


@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/fast/__init__.py"])
@pytest.mark.parametrize(
    "call", ["ctypes.CDLL('{}')", 'CDLL("{}")', "ctypes.cdll.LoadLibrary('{}')", "ffi.dlopen('{}')", "PyDLL('{}', 4)"]
)
def test_missing_library_that_code_names_is_a_warning(tmp_path: Path, path: str, call: str) -> None:
    source = f"import ctypes\n\nlibrary = {call}\n"
    report = audit(tmp_path / "one", path, source.format("libnowhere.so.1"))
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (Kind.missing_library, Severity.warning)
    assert (finding.file, finding.needs) == (f"{path}:3", "libnowhere.so.1")
    for name in ("libhere.so.1", "libglib-2.0.so.0", "liblarod.so.1", "thing.dll"):
        assert not audit(tmp_path / name, path, source.format(name)).findings


def test_computed_library_name_is_a_limit(tmp_path: Path) -> None:
    report = audit(tmp_path, "app/app.py", "from ctypes import CDLL\nname = 'lib' + 'x.so'\nCDLL(name)\n")
    assert not report.findings
    assert f"{COMPUTED}app/app.py:3" in report.limits


def test_find_library_is_a_warning(tmp_path: Path) -> None:
    report = audit(tmp_path, "app/app.py", "from ctypes.util import find_library\nfind_library('m')\n")
    (finding,) = report.findings
    assert (finding.file, finding.severity) == ("app/app.py:2", Severity.warning)
    assert 'CDLL("libm.so.N")' in finding.remedy


@pytest.mark.parametrize("source", ["CDLL(", "CDLL('a\0b')", "ctypes.CDLL()", "CDLL(None)", "\xff CDLL", "CDLL = 1"])
def test_code_without_a_library_name_has_no_findings(tmp_path: Path, source: str) -> None:
    assert not audit(tmp_path, "app/app.py", source).findings
