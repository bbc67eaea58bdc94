"""`data` in [tool.incamera]."""

from __future__ import annotations

import pytest

from incamera.errors import ConfigError
from incamera.project.data_folder import DataPlace, parse_data
from incamera.targets.form import Kind


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ram", DataPlace(kind=Kind.ram)),
        ("flash", DataPlace(kind=Kind.package)),
        ("package:20M", DataPlace(kind=Kind.package, limit=20_000_000)),
        ("sdcard:1.5G", DataPlace(kind=Kind.sdcard, limit=1_500_000_000)),
        ("share", DataPlace(kind=Kind.share)),
    ],
)
def test_place_and_limit_are_read(text: str, place: DataPlace) -> None:
    assert parse_data(text) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sdcrad", 'unknown place "sdcrad"'),
        ("", 'unknown place ""'),
        ("home", 'unknown place "home"'),
        ("flash:", '"" is not a size'),
        ("flash:much", '"much" is not a size'),
        ("flash:0", "the limit is 0 bytes"),
        ("flash:20", "the limit is 20 bytes, and must be at least 4096"),
        ("flash:-1", '"-1" is not a size'),
    ],
)
def test_other_values_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_data(text)
