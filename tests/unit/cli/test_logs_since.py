"""The times that `incamera logs --since` understands."""

from datetime import datetime

import pytest

from incamera.cli.logs import parse_since
from incamera.errors import UsageError

NOW = datetime(2026, 5, 1, 14, 30).timestamp()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90s", datetime(2026, 5, 1, 14, 28, 30)),
        ("10m", datetime(2026, 5, 1, 14, 20)),
        ("2h", datetime(2026, 5, 1, 12, 30)),
        ("1d", datetime(2026, 4, 30, 14, 30)),
        ("13:05", datetime(2026, 5, 1, 13, 5)),
        ("13:05:07", datetime(2026, 5, 1, 13, 5, 7)),
        ("2026-04-01", datetime(2026, 4, 1)),
        ("2026-04-01 10:00", datetime(2026, 4, 1, 10)),
    ],
)
def test_since_understands_durations_times_and_dates(text: str, moment: datetime) -> None:
    assert parse_since(text, NOW) == moment.timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "10x", "25:00", "99999999999d"])
def test_since_refuses_other_text(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_since(text, NOW)
