"""Where in C code an app has crashed."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.elf.lines import Line
from incamera.runlog.crash import Tail
from incamera.runtime.bundle import find_in_bundle

TOLD = b"frame 12\nC code at /lib/libc.so.6+0x7ad8, called from /tmp/incamera/bell/4f/app/pkg/fast.so+0x5f4\r\nFatal"


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    bundle = tmp_path / "bundle"
    (bundle / "app/pkg").mkdir(parents=True)
    (bundle / "app/pkg/fast.so").write_bytes(b"")
    (tmp_path / "project/src").mkdir(parents=True)
    (tmp_path / "project/src/fast.c").write_text("")
    lines = {(bundle / "app/pkg/fast.so", 0x5F4): Line("/build/project/src/fast.c", 12)}
    monkeypatch.setattr("incamera.elf.lines.find_line", lambda path, offset: lines.get((path, offset)))
    return bundle


def describe(bundle: Path, *printed: bytes) -> str:
    tail = Tail()
    for data in printed:
        tail.feed(data)
    return tail.describe_crash(lambda path: find_in_bundle(bundle, path), bundle.parent / "project")


def test_line_is_that_of_the_first_place_with_debug_information(bundle: Path) -> None:
    assert describe(bundle, TOLD) == "in src/fast.c, line 12"
    assert describe(bundle, TOLD[:50], TOLD[50:]) == "in src/fast.c, line 12"
    assert describe(bundle, TOLD, b"x" * 100_000) == "", "it has gone on"


def test_module_without_debug_information_is_named(bundle: Path) -> None:
    assert describe(bundle, b"C code at /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"
    assert describe(bundle, b"C code called from /tmp/x/app/pkg/fast.so+0x600\n") == "in C code of fast.so"


@pytest.mark.parametrize(
    "printed", [b"", b"C code at /lib/libc.so.6+0x1\n", b"C code at fast.so+0x1\n", b"C code at /..+0x1\n"]
)
def test_what_is_not_of_the_bundle_is_not_described(printed: bytes, bundle: Path) -> None:
    assert describe(bundle, printed) == ""
