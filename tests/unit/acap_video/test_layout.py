"""Planes: where the pixels are, for every geometry that a camera may tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acap.errors import FormatError
from acap.layout import ENCODED, FORMATS, planes_of

NUMBERS = st.integers(0, 5000)


@given(st.sampled_from(sorted(FORMATS)), NUMBERS, NUMBERS, NUMBERS)
def test_planes_do_not_overlap_or_are_refused(format: str, width: int, height: int, pitch: int) -> None:
    try:
        planes = planes_of(format, width, height, pitch)
    except FormatError:
        assert width == 0 or height == 0 or pitch < width * (3 if format == "rgb" else 1)
        return
    assert (planes == {}) == (format in ENCODED)
    end = 0
    for plane in planes.values():
        assert plane.offset >= end
        assert all(stride > 0 for stride in plane.strides)
        end = plane.end
    if planes:
        rows = {"nv12": height + (height + 1) // 2, "y800": height, "rgb": height, "planar-rgb": 3 * height}[format]
        assert end <= rows * pitch + width % 2


@pytest.mark.parametrize("format", ["nv12", "rgb"])
def test_overlapping_rows_are_refused(format: str) -> None:
    with pytest.raises(FormatError, match="639 bytes a row"):
        planes_of(format, 640, 480, 639)
