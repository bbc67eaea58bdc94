from __future__ import annotations

import pytest

from incamera.errors import ConfigError
from incamera.project.build_limits import parse_build_limits


def test_sizes_and_hours_are_parsed() -> None:
    assert parse_build_limits({"memory": "1.5 GB", "disk": "80G", "hours": 0.5}) == {
        "memory": 1_500_000_000,
        "disk": 80_000_000_000,
        "hours": 0.5,
    }
    assert parse_build_limits({}) == {}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"memry": "1G"}, "memry"),
        ({"memory": 4}, "build-limits.memory must be a string"),
        ({"disk": "much"}, 'build-limits.disk: "much" is not a size'),
        ({"hours": "6"}, "build-limits.hours must be a number"),
        ({"hours": True}, "build-limits.hours must be a number"),
        ({"hours": float("nan")}, "build-limits.hours must be more than nothing"),
        ({"memory": "0"}, "build-limits.memory must be more than nothing"),
    ],
)
def test_wrong_limit_is_refused_by_its_name(table: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_build_limits(table)
