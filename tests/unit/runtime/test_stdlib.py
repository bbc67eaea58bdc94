"""Modules of the standard library that are changed for a bundle."""

from __future__ import annotations

import ctypes.util
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from incamera.runtime.stdlib import adapt_module
from incamera.targets.target import Target

FindLibrary = Callable[[str], str | None]
LIBRARY = Path("/proc/self/exe").read_bytes()[:64]
OTHER_CLASS = LIBRARY[:4] + bytes([3 - LIBRARY[4]]) + LIBRARY[5:]
OTHER_PROCESSOR = LIBRARY[:18] + b"\xf3" + LIBRARY[19:]
TARGET = Target.parse("armv7hf")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    root = tmp_path / "bundle"
    for folder in ("lib/python3.11/ctypes", "etc", "device"):
        (root / folder).mkdir(parents=True)
    (root / "etc/launcher").write_text("program libexec/python3.11\nlibraries lib\n")
    return root


@pytest.fixture
def find_library(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> FindLibrary:
    """`find_library` of a bundle's ctypes.util, as a Python in that bundle has it."""
    module = bundle / "lib/python3.11/ctypes/util.py"
    module.write_bytes(Path(str(ctypes.util.__file__)).read_bytes())
    adapt_module(bundle, "lib/python3.11/ctypes/util.py", TARGET)
    monkeypatch.setattr(sys, "base_prefix", str(bundle))
    monkeypatch.setenv("PATH", "")  # neither gcc nor ldconfig
    names: dict[str, FindLibrary] = {"__name__": "ctypes.util"}  # type: ignore[dict-item]
    exec(compile(module.read_text(), "util.py", "exec"), names)
    return names["find_library"]


@pytest.mark.parametrize(
    ("files", "name", "found"),
    [
        (["libzbar.so.0"], "zbar", "libzbar.so.0"),
        (["libc.so.6"], "c", "libc.so.6"),
        (["libx.so"], "x", "libx.so"),
        (["libx.so", "libx.so.1", "libx.so.1.2.3"], "x", "libx.so.1"),
        (["libx.so.2", "libx.so.10"], "x", "libx.so.10"),
        (["libbz2.so.1.0", "libbz2.so.1.0.4"], "bz2", "libbz2.so.1.0"),
        (["libglib-2.0.so.0", "libglib-2x0.so.1"], "glib-2.0", "libglib-2.0.so.0"),
        (["libstdc++.so.6"], "stdc++", "libstdc++.so.6"),
        (["libzbar.so.0"], "zba", None),
        (["libzbar.so.0.txt.py-x"], "zbar", None),
        (["libzbar.so.0"], "libzbar", None),
        (["libzbar.so.0"], "libzbar.so.0", None),
        (["libzbar.so.0"], "", None),
        (["libzbar.so.0"], "/lib/libzbar.so.0", None),
        (["libzbar.so.0"], "../lib/zbar", None),
        (["libzbar.so.0"], "z.*r", None),
        (["libzbar.so.0"], "zbar\n", None),
        (["libzbar.so.0.1", "libzbar.so.0", "libzbar.so.10", "libzbar.so.9"], "zbar", "libzbar.so.10"),
        (["libdb-5.3.so"], "db-5.3", "libdb-5.3.so"),
        (["libdb-5.3.so"], "db", None),
        (["libpython3.11.so.1.0"], "python3", "libpython3.11.so.1.0"),
        (["libpython3.11.so.1.0", "libpython3.so"], "python3", "libpython3.so"),
        ([], "nothing-of-that-name", None),
    ],
)
def test_find_library_returns_the_soname(
    bundle: Path, find_library: FindLibrary, files: list[str], name: str, found: str | None
) -> None:
    for file in files:
        (bundle / "lib" / file).write_bytes(LIBRARY)
    assert find_library(name) == found


def test_find_library_takes_no_linker_script_and_no_library_of_another_machine(
    bundle: Path, find_library: FindLibrary
) -> None:
    (bundle / "lib/libown.so.3").write_bytes(OTHER_CLASS)
    (bundle / "lib/libown.so.4").write_bytes(OTHER_PROCESSOR)
    (bundle / "lib/libown.so.5").write_bytes(LIBRARY[:4])
    (bundle / "lib/libown.so.6").mkdir()
    (bundle / "lib/libown.so.7").symlink_to("nowhere")
    os.mkfifo(bundle / "lib/libown.so.8")
    (bundle / "lib/libown.so").write_bytes(b"INPUT(libown.so.3)")
    assert find_library("own") is None
    (bundle / "lib/libown.so.2").write_bytes(LIBRARY)
    assert find_library("own") == "libown.so.2"


def test_find_library_searches_the_cameras_folders_after_the_bundles(
    bundle: Path, find_library: FindLibrary, tmp_path: Path
) -> None:
    camera = tmp_path / "camera"
    camera.mkdir()
    (bundle / "device/launcher").write_text(f"# comment\nlibraries device/lib:lib:{camera}\n")
    for path in (bundle / "lib/libboth.so.1", camera / "libboth.so.2", camera / "libvdo.so.1"):
        path.write_bytes(LIBRARY)
    assert find_library("both") == "libboth.so.1"
    assert find_library("vdo") == "libvdo.so.1"


def test_find_library_searches_no_folders_that_the_loader_does_not_search(
    bundle: Path, find_library: FindLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its option --library-path, glibc's loader ignores LD_LIBRARY_PATH. A wheel's `.libs` it never searches."""
    for folder in (tmp_path / "other", bundle / "lib/python3/dist-packages/x.libs", bundle / "app"):
        folder.mkdir(parents=True)
        (folder / "libhidden.so.1").write_bytes(LIBRARY)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "other"))
    assert find_library("hidden") is None


@pytest.mark.parametrize("name", [None, 1])
def test_find_library_refuses_what_is_no_text(find_library: FindLibrary, name: object) -> None:
    with pytest.raises(TypeError):
        find_library(name)  # type: ignore[arg-type]


def test_sysconfig_names_the_folders_of_the_bundle(bundle: Path) -> None:
    module = bundle / "lib/python3.11/sysconfig.py"
    module.write_text("layout = os.environ.get('DEB_PYTHON_INSTALL_LAYOUT', 'posix_local')\n")
    adapt_module(bundle, "lib/python3.11/sysconfig.py", TARGET)
    assert "'deb_system'" in module.read_text()


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        (
            "pytz/__init__.py",
            "tzdata_zi = pathlib.Path(\"/usr/share/zoneinfo/tzdata.zi\")\nname = os.path.join('/usr','share',\n",
            "os.path.join(sys.prefix, 'share',",
        ),
        ("certifi/core.py", "DEBIAN_CA_CERTS_PATH = '/etc/ssl/certs/ca-certificates.crt'\n", "/etc/ssl/cert.pem"),
        (
            "matplotlib/__init__.py",
            "def path():\n    return '/usr/share/matplotlib/mpl-data'\n",
            "    return sys.prefix + '/share/matplotlib/mpl-data'\n",
        ),
        ("dateutil/tz/tz.py", 'TZPATHS = ["/usr/share/zoneinfo",\n', '(sys.prefix, "share", "zoneinfo"), "/usr'),
    ],
)
def test_debians_absolute_paths_are_those_of_the_bundle(bundle: Path, file: str, before: str, after: str) -> None:
    module = bundle / "lib/python3/dist-packages" / file
    module.parent.mkdir(parents=True)
    module.write_text(before)
    adapt_module(bundle, f"lib/python3/dist-packages/{file}", TARGET)
    assert after in module.read_text()
    compile(module.read_text().replace("'share',\n", "'share')").replace('zoneinfo",\n', 'zoneinfo"]'), file, "exec")


def test_other_modules_stay_as_they_are(bundle: Path) -> None:
    for file in ("lib/python3.11/json.py", "lib/python3/dist-packages/ctypes/util.py"):
        (bundle / file).parent.mkdir(parents=True, exist_ok=True)
        (bundle / file).write_text("x = 1\n")
        adapt_module(bundle, file, TARGET)
        assert (bundle / file).read_text() == "x = 1\n"
