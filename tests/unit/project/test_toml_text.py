"""Edits of pyproject.toml keep every byte that they are not about."""

from __future__ import annotations

import difflib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera.errors import ConfigError
from incamera.project.toml_text import TomlText, dump_value

TEXT = """\
# A head.

[build-system]
requires = ['hatchling']   # single quotes

[project]
name = "lamp"
dependencies = [
    "numpy>=1.24",  # fast
    # for pictures
    "pillow",
]

# about ruff
[tool.ruff]
line-length=100"""


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_new_requirement_adds_one_line(newline: str) -> None:
    text = TEXT.replace("\n", newline)
    toml = TomlText(text)
    toml.insert(("project", "dependencies"), "opencv-python-headless")
    assert changed_lines(text, toml.text) == ['+     "opencv-python-headless",']
    assert toml.text.count(newline) == text.count(newline) + 1
    assert "\n" not in toml.text.replace(newline, "")


def test_a_new_requirement_goes_to_the_end_of_an_unsorted_list() -> None:
    toml = TomlText('[project]\ndependencies = ["b", "a"]\n')
    toml.insert(("project", "dependencies"), "aa")
    assert toml.text == '[project]\ndependencies = ["b", "a", "aa"]\n'


def test_a_removed_requirement_takes_its_own_comment_with_it() -> None:
    toml = TomlText(TEXT)
    toml.discard(("project", "dependencies"), 0)
    assert changed_lines(TEXT, toml.text) == ['-     "numpy>=1.24",  # fast']


def test_a_replaced_requirement_keeps_its_comment() -> None:
    toml = TomlText(TEXT)
    toml.replace(("project", "dependencies"), 0, "numpy>=2")
    assert '    "numpy>=2",  # fast\n    # for pictures\n' in toml.text


def test_a_new_key_stands_below_the_last_one_and_not_below_the_comment_of_the_next_table() -> None:
    toml = TomlText(TEXT)
    toml.put(("project", "version"), "1")
    assert ']\nversion = "1"\n\n# about ruff\n[tool.ruff]' in toml.text


def test_a_table_that_becomes_empty_is_removed_with_its_header() -> None:
    toml = TomlText(TEXT)
    toml.put(("tool", "incamera", "sources", "pillow"), "sdist")
    assert toml.text == TEXT + '\n\n[tool.incamera.sources]\npillow = "sdist"\n'
    toml.remove(("tool", "incamera", "sources", "pillow"))
    assert tomllib.loads(toml.text) == tomllib.loads(TEXT)
    assert "incamera" not in toml.text


@pytest.mark.parametrize(
    "text",
    [
        'project = { name = "a" }\ntool = { uv = {} }\n',
        'project.name = "a"\nproject.dependencies = ["b"]\ntool.uv.x = 1\n',
        '[project]\nname = "a"\n[tool.a]\n[project.urls]\nx = "y"\n[tool.uv]\n',
    ],
)
def test_unusual_tables_are_edited_right_or_refused(text: str) -> None:
    toml = TomlText(text)
    toml.insert(("project", "dependencies"), "numpy")
    toml.put(("tool", "uv", "sources", "numpy"), {"path": "../numpy"})
    try:
        edited = tomllib.loads(toml.text)
    except ConfigError:
        return
    assert "numpy" in edited["project"]["dependencies"]
    assert edited["tool"]["uv"]["sources"] == {"numpy": {"path": "../numpy"}}


@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_dumped_values_are_read_back(value: object) -> None:
    # TOML has no lone surrogates; `st.text` makes none.
    assert tomllib.loads(f"key = {dump_value(value)}")["key"] == value


def test_a_value_that_is_replaced_keeps_its_place_and_comment() -> None:
    toml = TomlText('[tool.uv.sources]\nlamp = { git = "x", rev = "1" }  # ours\nbell = { path = "b" }\n')
    toml.put(("tool", "uv", "sources", "lamp"), {"git": "x", "rev": "2"})
    assert toml.text == '[tool.uv.sources]\nlamp = { git = "x", rev = "2" }  # ours\nbell = { path = "b" }\n'
