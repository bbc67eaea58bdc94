"""Run these with `incamera test`, or on your own computer after `pip install .`."""

from __future__ import annotations

import types
from typing import Any

import app
import ean13
import pytest

# 4006381333931, as it is printed: 1 for a dark bar.
BARS = (
    "101" + "0001101" + "0100111" + "0101111" + "0111101" + "0001001" + "0110011" + "01010"
    "1000010" + "1000010" + "1000010" + "1110100" + "1000010" + "1100110" + "101"
)  # fmt: skip


def picture(bars: str, module: int = 2, margin: int = 30, pitch: int = 400, dark: int = 40, bright: int = 180) -> Any:
    """Return a picture whose rows are *pitch* bytes apart."""
    row = bytes([bright] * margin + [dark if bar == "1" else bright for bar in bars for _ in range(module)])
    lines = row.ljust(pitch - 1, bytes([bright])) + b"\0"  # the last byte is no pixel
    return memoryview(lines * 40).cast("B", (40, pitch))


def test_barcode_is_read_in_both_directions() -> None:
    assert ean13.read(picture(BARS)) == "4006381333931"
    assert ean13.read(picture(BARS[::-1])) == "4006381333931"


@pytest.mark.parametrize("module", [1, 3])
def test_barcode_of_any_width_is_read(module: int) -> None:
    assert ean13.read(picture(BARS, module=module)) == "4006381333931"


def test_wrong_barcode_is_not_read() -> None:
    damaged = BARS.replace("0111101", "0100011", 1)  # a 4 instead of the 3: the sum is wrong
    assert ean13.read(picture(damaged)) is None
    assert ean13.read(picture("", dark=180)) is None


def test_only_rows_of_bytes_are_taken() -> None:
    with pytest.raises(ValueError, match="rows of bytes"):
        ean13.read(b"no rows")
    with pytest.raises(TypeError):
        ean13.read("text")


def test_barcode_is_told_once_while_it_is_in_view() -> None:
    nothing, code = picture("", dark=180), picture(BARS)
    frames = [types.SimpleNamespace(y=y) for y in (nothing, code, code, nothing, code)]
    assert list(app.barcodes(frames)) == ["4006381333931"] * 2
