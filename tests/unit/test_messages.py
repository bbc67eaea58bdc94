"""Messages: a number and what it counts agree, because one function puts them together."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from incamera.units import format_count

SOURCES = Path(__file__).parents[2] / "src" / "incamera"
_COUNTED = re.compile(
    r" (?:other |more |new )?"
    r"(?:files|debs|packages|distributions|libraries|samples|keys|fields|lines|errors|warnings|findings|"
    r"processes|cameras|devices|wheels|sdists|modules|symbols|threads|versions|requirements|steps|frames|tests|"
    r"seconds|minutes|hours|days)\b"
)


@pytest.mark.parametrize(
    ("number", "thing", "text"),
    [
        (1, "file", "1 file"),
        (0, "file", "0 files"),
        (2, "process", "2 processes"),
        (2, "library", "2 libraries"),
        (2, "key", "2 keys"),
        (2, "switch", "2 switches"),
        (1.0, "hour", "1 hour"),
        (1.5, "hour", "1.5 hours"),
    ],
)
def test_count_and_thing_agree(number: float, thing: str, text: str) -> None:
    assert format_count(number, thing) == text


def hand_made_counts(path: Path) -> Iterator[str]:
    """Yield each text of *path* that puts a computed number before a plural."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if not isinstance(text, ast.Constant) or not _COUNTED.match(str(text.value)):
                continue
            if isinstance(value, ast.FormattedValue):
                # A limit in capitals, which is never 1, and `2 of 9 files` read well.
                constant = isinstance(value.value, ast.Name) and value.value.id.isupper()
                before = node.values[node.values.index(value) - 1]
                part = isinstance(before, ast.Constant) and str(before.value).endswith(" of ")
                if not constant and not part:
                    yield f"{path.relative_to(SOURCES)}:{node.lineno}: {ast.unparse(node)}"


def test_no_message_makes_its_own_plural() -> None:
    assert [found for path in SOURCES.rglob("*.py") for found in hand_made_counts(path)] == []
