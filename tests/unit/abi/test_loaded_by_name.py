"""Libraries that Python code loads: literal names are checked, computed ones are listed as a limit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import bundle, wheel

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind, Report, Severity
from incamera.abi.policy import load_policy

COMPUTED = "libraries whose names Python code computes: "


def audit(root: Path, path: str, source: str) -> Report:
    files: dict[str, bytes | str] = {path: source.encode(), "lib/libhere.so.1": make_elf(soname="libhere.so.1")}
    return audit_path(bundle(root, files), load_policy("axis-os-10-armv7hf"))


@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/fast/__init__.py"])
@pytest.mark.parametrize(
    "call",
    [
        "ctypes.CDLL('{}')",
        'CDLL("{}")',
        "CDLL(name='{}')",
        "ctypes.cdll.LoadLibrary('{}')",
        "ffi.dlopen('{}')",
        "PyDLL('{}', 4)",
    ],
)
def test_missing_library_that_code_names_is_a_warning(tmp_path: Path, path: str, call: str) -> None:
    source = f"import ctypes\n\nlibrary = {call}\n"
    report = audit(tmp_path / "one", path, source.format("libnowhere.so.1"))
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (Kind.missing_library, Severity.warning)
    assert (finding.file, finding.needs) == (f"{path}:3", "libnowhere.so.1")
    for name in ("libhere.so.1", "libglib-2.0.so.0", "liblarod.so.1", "thing.dll"):
        assert not audit(tmp_path / name, path, source.format(name)).findings


def test_library_that_the_apps_code_takes_from_a_table_is_loaded(tmp_path: Path) -> None:
    source = (
        'import ctypes\nctypes.cdll["libnowhere.so.1"].go()\nctypes.cdll["libhere.so.1"]\nother["libnowhere.so.2"]\n'
    )
    (finding,) = audit(tmp_path, "app/app.py", source).findings
    assert (finding.file, finding.needs) == ("app/app.py:2", "libnowhere.so.1")


@pytest.mark.parametrize(
    "source",
    [
        "lib = find_library('here') or find_library('here2') or find_library('libhere')",
        "try:\n    CDLL('libhere.so.2')\nexcept OSError:\n    CDLL('libhere.so.1')",
        "path = find_library('nowhere')\nif not path:\n    path = find_library('z')",
        "if sys.platform == 'win32':\n    find_library('nowhere')",
        "CDLL(find_library('here'))",
        '# CDLL("libnowhere.so.1")\ntext = "find_library(x)"',
        "ffi.dlopen('here')",
        "ffi.dlopen('glib-2.0')",
        "ffi.dlopen(None)",
        "find_library('bin\\\\nowhere.dll')",
        "find_library('lib/libnowhere.dylib')",
        "ffi.dlopen('nowhere.dll')",
        "CDLL('/usr/lib/liblarod.so.1')",
        "CDLL('/opt/x/libnowhere.so.1')",
        "cdll.msvcrt",
    ],
)
@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/fast/__init__.py"])
def test_code_that_opens_what_is_there_has_no_findings(tmp_path: Path, path: str, source: str) -> None:
    report = audit(tmp_path, path, f"import ctypes.util\n{source}\n")
    assert not report.findings
    assert not [limit for limit in report.limits if limit.startswith(COMPUTED)]


@pytest.mark.parametrize(
    ("source", "needs", "text"),
    [
        ("import sys, ctypes\nctypes.CDLL('libnowhere.so.1')", "libnowhere.so.1", "debs"),
        ("ffi.dlopen('nowhere')", "libnowhere.so", "debs"),
        ("find_library('libhere')", "liblibhere.so", 'find_library("here")'),
        ("find_library('libhere.so.1')", "libhere.so.1", 'find_library("here")'),
        ("find_library('SDL2')", "libSDL2.so", "debs"),
        ("find_library('nowhere') or find_library('nothing')", "libnowhere.so", "nor libnothing.so"),
        ("CDLL('/usr/lib/x86_64-linux-gnu/libz.so.1')", "/usr/lib/x86_64-linux-gnu/libz.so.1", "leave out the folder"),
        ("CDLL('/usr/lib/libnowhere.so.1')", "/usr/lib/libnowhere.so.1", "no such file in the camera"),
    ],
)
@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/fast/__init__.py"])
def test_library_that_code_does_not_find_is_one_warning(
    tmp_path: Path, path: str, source: str, needs: str, text: str
) -> None:
    (finding,) = audit(tmp_path, path, f"import ctypes.util\n{source}\n").findings
    assert (finding.kind, finding.severity, finding.needs) == (Kind.missing_library, Severity.warning, needs)
    assert text in finding.provides + finding.remedy


def test_library_that_code_does_without_is_a_limit(tmp_path: Path) -> None:
    source = "import ctypes\ntry:\n    ctypes.CDLL('libcuda.so.1')\nexcept OSError:\n    pass\n"
    report = audit(tmp_path, "lib/python3/dist-packages/fast/__init__.py", source)
    assert not report.findings
    text = "libcuda.so.1 (lib/python3/dist-packages/fast/__init__.py:3)"
    assert f"libraries that Python code tries to load, and does without: {text}" in report.limits


def test_own_copy_that_code_opens_first_is_no_finding(tmp_path: Path) -> None:
    folder = "lib/python3/dist-packages/fast"
    source = (
        "try:\n    lib = CDLL(os.path.join(os.path.dirname(__file__), 'libfast.so.1'))\n"
        "except OSError:\n    lib = CDLL('libfast.so.1')\n"
    )
    files: dict[str, bytes | str] = {f"{folder}/__init__.py": source.encode()}
    library: dict[str, bytes | str] = {f"{folder}/libfast.so.1": make_elf(soname="libfast.so.1")}
    policy = load_policy("axis-os-10-armv7hf")
    assert not audit_path(bundle(tmp_path / "with", files | library), policy).findings
    (finding,) = audit_path(bundle(tmp_path / "without", files), policy).findings
    assert (finding.file, finding.needs) == (f"{folder}/__init__.py:4", "libfast.so.1")


def test_computed_library_name_is_a_limit(tmp_path: Path) -> None:
    report = audit(tmp_path, "app/app.py", "from ctypes import CDLL\nname = 'lib' + 'x.so'\nCDLL(name)\n")
    assert not report.findings
    assert f"{COMPUTED}app/app.py:3" in report.limits


@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/pyzbar/zbar_library.py"])
def test_library_that_find_library_does_not_find_is_a_warning(tmp_path: Path, path: str) -> None:
    report = audit(tmp_path, path, "from ctypes.util import find_library\npath = find_library('zbar')\n")
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (Kind.missing_library, Severity.warning)
    assert (finding.file, finding.needs) == (f"{path}:2", "libzbar.so")
    assert "find_library" in finding.provides
    assert "debs" in finding.remedy


@pytest.mark.parametrize("path", ["app/app.py", "lib/python3/dist-packages/pyzbar/zbar_library.py"])
@pytest.mark.parametrize("name", ["here", "m", "glib-2.0", "larod", "objc", "CoreFoundation"])
def test_library_of_bundle_camera_or_another_system_is_no_finding(tmp_path: Path, path: str, name: str) -> None:
    assert not audit(tmp_path, path, f"import ctypes.util\nctypes.util.find_library('{name}')\n").findings


def test_library_that_the_package_has_itself_is_no_finding(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "lib/python3/dist-packages/soundfile.py": "import ctypes.util\nctypes.util.find_library('sndfile')\n",
        "lib/python3/dist-packages/_soundfile_data/libsndfile_armv7.so": make_elf(soname="libsndfile.so.1"),
    }
    assert not audit_path(bundle(tmp_path, files), load_policy("axis-os-10-armv7hf")).findings


def test_computed_name_in_find_library_is_a_limit(tmp_path: Path) -> None:
    path = "lib/python3/dist-packages/x.py"
    report = audit(tmp_path, path, "import ctypes\ndef find_library(name):\n    ctypes.util.find_library(name)\n")
    assert not report.findings
    assert f"{COMPUTED}{path}:3" in report.limits


@pytest.mark.parametrize("source", ["CDLL(", "CDLL('a\0b')", "ctypes.CDLL()", "CDLL(None)", "\xff CDLL", "CDLL = 1"])
def test_code_without_a_library_name_has_no_findings(tmp_path: Path, source: str) -> None:
    assert not audit(tmp_path, "app/app.py", source).findings


LOADS_BY_PATH = "import ctypes, os\nctypes.CDLL(os.path.join(os.path.dirname(__file__), 'libinner.so.1'))\n"
MODULE = "package/_ext.cpython-311-arm-linux-gnueabihf.so"


def audit_package(root: Path, loader: str, source: str, inner: str = "libinner.so.1") -> Report:
    files: dict[str, bytes | str] = {
        f"package/{inner}": make_elf(soname=inner),
        MODULE: make_elf(exports=("PyInit__ext",), needed=("libinner.so.1",)),
        "package/__init__.py": b"from . import _ext\n",
    }
    return audit_path(bundle(root, files | {loader: source.encode()}), load_policy("axis-os-10-armv7hf"))


@pytest.mark.parametrize("loader", ["package/__init__.py", "package/_load.py"])
@pytest.mark.parametrize("name", ["libinner.so.1", "libinner.so", "libs/libinner.so.1"])
def test_library_that_python_code_loads_by_path_before_its_user_is_a_warning(
    tmp_path: Path, loader: str, name: str
) -> None:
    report = audit_package(tmp_path, loader, LOADS_BY_PATH.replace("libinner.so.1", name))
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (Kind.missing_library, Severity.warning)
    assert (finding.file, finding.needs) == (MODULE, "libinner.so.1")
    assert finding.provides == f"package/libinner.so.1, if {loader} has loaded it before"


@pytest.mark.parametrize(
    ("loader", "source", "inner"),
    [
        ("package/__init__.py", "import ctypes\n# libinner is linked by _ext\n", "libinner.so.1"),
        ("package/__init__.py", LOADS_BY_PATH.replace("libinner", "libouter"), "libinner.so.1"),
        ("package/__init__.py", LOADS_BY_PATH, "libinner.so.2"),
        ("other/__init__.py", LOADS_BY_PATH, "libinner.so.1"),
        ("package/sub/__init__.py", LOADS_BY_PATH, "libinner.so.1"),
    ],
)
def test_library_that_nothing_loads_before_its_user_is_missing(
    tmp_path: Path, loader: str, source: str, inner: str
) -> None:
    (error,) = audit_package(tmp_path, loader, source, inner).errors
    assert (error.kind, error.file, error.needs) == (Kind.missing_library, MODULE, "libinner.so.1")


SDL, GFX = make_elf(soname="libSDL2-2.0.so.0"), make_elf(needed=["libSDL2-2.0.so.0"])


def test_library_of_a_wheel_may_need_another_that_code_opens_before(tmp_path: Path) -> None:
    """pysdl2-dll has libraries without run paths and without modules: pysdl2 opens SDL2 first, then what needs it."""
    files = {"sdl2dll/dll/libSDL2-2.0.so": SDL, "sdl2dll/dll/libSDL2_gfx-1.0.so": GFX}
    found = audit_path(wheel(tmp_path / "x-1-py3-none-linux_armv7l.whl", files), load_policy("axis-os-10-armv7hf"))
    (finding,) = found.findings
    assert (finding.severity, finding.needs) == (Severity.warning, "libSDL2-2.0.so.0")
    assert finding.provides == "sdl2dll/dll/libSDL2-2.0.so, if Python code has loaded it before"
    installed: dict[str, bytes | str] = {f"lib/python3/dist-packages/{path}": data for path, data in files.items()}
    (finding,) = audit_path(bundle(tmp_path / "bundle", installed), load_policy("axis-os-10-armv7hf")).findings
    assert finding.severity is Severity.warning


def test_library_that_needs_one_which_nothing_brings_is_an_error(tmp_path: Path) -> None:
    path = wheel(tmp_path / "x-1-py3-none-linux_armv7l.whl", {"sdl2dll/dll/libSDL2_gfx-1.0.so": GFX})
    assert [one.severity for one in audit_path(path, load_policy("axis-os-10-armv7hf")).findings] == [Severity.error]


SCRIPT = 'import ctypes\nlibrary = ctypes.CDLL("libcuda.so.1")\nif __name__ == "__main__":\n    print(library)\n'
SCRIPT_LIMIT = "libraries that scripts load which nothing imports: "


@pytest.mark.parametrize(
    ("path", "other", "is_script"),
    [
        ("lib/python3/dist-packages/onnx/tools/tune.py", "", True),
        ("lib/python3/dist-packages/onnx/tools/tune.py", "from onnx.tools import tune\n", False),
        ("lib/python3/dist-packages/onnx/tools/tune.py", "def later():\n    from .tools.tune import library\n", False),
        ("app/app.py", "", False),
    ],
)
def test_library_that_a_script_of_a_package_loads_is_a_limit(
    tmp_path: Path, path: str, other: str, is_script: bool
) -> None:
    """onnxruntime has scripts for its developers, which ask for libcuda."""
    files: dict[str, bytes | str] = {
        path: SCRIPT.encode(),
        "lib/python3/dist-packages/onnx/__init__.py": other.encode(),
    }
    report = audit_path(bundle(tmp_path, files), load_policy("axis-os-10-armv7hf"))
    assert [one.needs for one in report.findings] == ([] if is_script else ["libcuda.so.1"])
    assert (f"{SCRIPT_LIMIT}{path}" in report.limits) is is_script
