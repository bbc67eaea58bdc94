"""Images: the order of their files, the text file `image`, reproducible archives, offsets in squashfs images."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import pytest

from incamera.build.images import find_compression
from incamera.digest import Sha256
from incamera.errors import BuildError
from incamera.runtime.images import Image, app_entries, image_text, runtime_entries, small_app
from incamera.runtime.images.archive import make_archive
from incamera.runtime.images.imports import find_imports
from incamera.runtime.images.order import plan_order
from incamera.runtime.images.squashfs import BLOCK, Layout, move_large_to_end, parse_layout
from incamera.targets.form import Form
from incamera.targets.target import Target
from incamera.tree import Entry, list_tree

TARGET = Target.parse("armv7hf")
PACKAGES = "lib/python3/dist-packages"
DATA = Path(__file__).parents[2] / "data/elf"


@pytest.mark.parametrize(
    ("source", "module", "is_package", "imports"),
    [
        ("import os.path, sys as s", "a", False, ["os.path", "sys"]),
        ("from json import loads", "a", False, ["json", "json.loads"]),
        ("from . import core", "pack", True, ["pack", "pack.core"]),
        ("from .core import x", "pack.sub", False, ["pack.core", "pack.core.x"]),
        ("from ..core import x", "pack.sub.deep", False, ["pack.core", "pack.core.x"]),
        ("from .core import *", "pack", True, ["pack.core"]),
        ("try:\n import fast\nexcept ImportError:\n import slow", "a", False, ["fast", "slow"]),
        ("with x:\n import b\nclass C:\n import c", "a", False, ["b", "c"]),
        ("def later():\n import never", "a", False, []),
        ("if TYPE_CHECKING:\n import never\nelse:\n import real", "a", False, ["real"]),
        ("import (", "a", False, []),
    ],
)
def test_find_imports_returns_the_imports_executed_at_import(
    source: str, module: str, is_package: bool, imports: list[str]
) -> None:
    assert find_imports(source, module, is_package=is_package) == imports


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    root = tmp_path / "runtime"
    files = {
        "bin/python3": b"launcher",
        "etc/launcher": b"program libexec/python3.11\n",
        "lib/python3.11/encodings/__init__.pyc": b"1",
        "lib/python3.11/json/__init__.pyc": b"2",
        "lib/python3.11/json/decoder.pyc": b"3",
        "lib/python3.11/mailbox.pyc": b"4",
        f"{PACKAGES}/lamp/__init__.py": b"import json\nfrom . import bulb\n",
        f"{PACKAGES}/lamp/__pycache__/__init__.cpython-311.pyc": b"5",
        f"{PACKAGES}/lamp/bulb.py": b"def change(): import lamp.ladder\n",
        f"{PACKAGES}/lamp/__pycache__/bulb.cpython-311.pyc": b"6",
        f"{PACKAGES}/lamp/ladder.py": b"",
        f"{PACKAGES}/lamp/__pycache__/ladder.cpython-311.pyc": b"7",
        f"{PACKAGES}/pip/__init__.py": b"",
        f"{PACKAGES}/pip/__pycache__/__init__.cpython-311.pyc": b"8",
        "app/app.py": b"import lamp\n",
        "bundle.json": b"{}",
    }
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "bin/python3").chmod(0o755)
    (root / "bin/python").symlink_to("python3")
    return root


def test_files_that_imports_read_come_first(runtime: Path) -> None:
    entries = runtime_entries(list_tree(runtime))
    order = plan_order(runtime, entries, TARGET)
    hot, rest = order.hot, order.rest
    assert sorted([*hot, *rest]) == sorted(entry.path for entry in entries if not entry.link)
    cached = f"{PACKAGES}/lamp/__pycache__"
    first = [f"{cached}/__init__.cpython-311.pyc", f"{cached}/bulb.cpython-311.pyc"]
    wanted = ["bin/python3", "lib/python3.11/encodings/__init__.pyc", *first, "lib/python3.11/json/decoder.pyc"]
    assert set(wanted) <= set(hot)
    assert hot.index("lib/python3.11/encodings/__init__.pyc") < hot.index(first[0]) < hot.index(first[1])
    # Imports do not read sources, modules imported in functions, tools, and other modules of the standard library.
    cold = [f"{PACKAGES}/lamp/__init__.py", f"{cached}/ladder.cpython-311.pyc", "lib/python3.11/mailbox.pyc"]
    assert {*cold, f"{PACKAGES}/pip/__pycache__/__init__.cpython-311.pyc"} <= set(rest)


def test_wheels_own_library_follows_the_module_that_needs_it(runtime: Path) -> None:
    module, library = f"{PACKAGES}/lamp/bulb.cpython-311-arm-linux-gnueabihf.so", f"{PACKAGES}/lamp.libs/libm.so.6"
    for path in (module, library):
        (runtime / path).parent.mkdir(exist_ok=True)
        (runtime / path).write_bytes((DATA / "armv7hf-library.so").read_bytes())
    (runtime / f"{PACKAGES}/lamp/__pycache__/bulb.cpython-311.pyc").unlink()
    order = plan_order(runtime, runtime_entries(list_tree(runtime)), TARGET)
    assert library in order.hot
    assert order.hot.index(library) == order.hot.index(module) + 1


def test_entries_are_split_into_runtime_and_app(runtime: Path) -> None:
    entries = list_tree(runtime)
    own, shared = app_entries(entries), runtime_entries(entries)
    assert [entry.path for entry in own] == ["app/app.py", "bundle.json"]
    assert sorted([*own, *shared]) == sorted(entries)


def test_archive_has_every_file_and_is_reproducible(runtime: Path, tmp_path: Path) -> None:
    entries = runtime_entries(list_tree(runtime))
    make_archive(runtime, entries, ["etc/launcher"], tmp_path / "one")
    for path in runtime.rglob("*"):
        path.touch()
    make_archive(runtime, reversed(entries), ["etc/launcher"], tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    with tarfile.open(tmp_path / "one") as archive:
        assert archive.getnames()[0] == "etc/launcher"
        archive.extractall(tmp_path / "out", filter="tar")
    assert list_tree(tmp_path / "out") == list(entries)


def text_of(**changes: object) -> str:
    facts: dict[str, object] = {
        "form": Form.squashfs,
        "path": Path("x"),
        "digest": "ab" * 32,
        "bytes": 10,
        "unpacked": 20,
        "reads": [(8, 10), (0, 5)],
        "check": 7,
        "unpacks": [("lib/libc.so.6", 4), ("lib/a b", 2), ("lib/odd\nname", 1)],
    }
    image = Image(**{**facts, **changes})  # type: ignore[arg-type]
    device = b"# of this device\nloader /lib/ld.so\n"
    return image_text(
        image, files={"device/launcher": device}, links={"device/lib/libc.so.6": "/lib/libc.so.6"}
    ).decode()


def test_image_text_has_the_image_and_the_devices_files() -> None:
    assert text_of().splitlines() == [
        "form squashfs",
        f"file {'ab' * 32}.squashfs",
        "size 10",
        "unpacked 20",
        "read 8 10",
        "read 0 5",
        "check 7",
        "unpack 4 lib/libc.so.6",
        "unpack 2 lib/a b",
        "write device/launcher # of this device",
        "write device/launcher loader /lib/ld.so",
        "link device/lib/libc.so.6 /lib/libc.so.6",
    ]
    assert text_of(form=Form.archive).splitlines()[:4] == [
        "form archive", f"file {'ab' * 32}.tar.gz", "size 10", "unpacked 20",
    ]  # fmt: skip
    assert text_of(form=Form.tree).splitlines()[1] == f"file {'ab' * 32}"


def test_only_a_small_app_is_appended_to_the_text(runtime: Path) -> None:
    image = Image(form=Form.archive, path=runtime, digest=Sha256("ab" * 32), bytes=1, unpacked=1)
    text, _, packed = image_text(image, app=small_app(runtime, list_tree(runtime))).partition(b"\0")
    assert text.endswith(b"unpacked 1\n")
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["app/app.py"]
        member = archive.extractfile("app/app.py")
        assert member is not None
        assert member.read() == b"import lamp\n"
    (runtime / "app/model").write_bytes(bytes(600_000))
    assert small_app(runtime, list_tree(runtime)) == b""
    many = [Entry(f"app/{number}", Sha256.of(b"")) for number in range(300)]
    assert small_app(runtime, many) == b""


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"hsqs" + bytes(20), b"hsqs" + struct.pack("<23I", *([9] * 23))]
)
def test_data_that_is_not_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(BuildError):
        parse_layout(memoryview(data))


def test_hot_bytes_end_after_the_last_large_file() -> None:
    sizes = {"small": 5, "large": 3 << 20, "middle": 7}
    assert move_large_to_end(["large", "small", "middle"], sizes) == ["small", "middle", "large"]
    assert move_large_to_end(["small", "middle"], sizes) == ["small", "middle"]
    layout = Layout({"large": (500, 1000)}, 1200)
    assert layout.hot_bytes("large") == 1200  # never into the tables
    assert Layout({"large": (500, 1000)}, 10 << 20).hot_bytes("large") > 1000


def test_part_of_a_file_is_rounded_to_its_blocks() -> None:
    layout = Layout({"library": (100, 130, 170, 180)}, 1200)
    assert layout.part("library", 0, BLOCK) == (100, 130)
    assert layout.part("library", 0, BLOCK + 1) == (100, 170)
    assert layout.part("library", 2 * BLOCK - 1, 2 * BLOCK + 5) == (130, 180)


def test_best_mountable_compression_is_chosen() -> None:
    assert find_compression(["gzip", "zstd", "xz"]) == "zstd"
    assert find_compression(["gzip", "lz4"]) == "gzip"
    assert find_compression([]) is None
