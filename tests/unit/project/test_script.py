"""Metadata blocks of scripts: the grammar of the specification, and messages with the line of the script."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.errors import ConfigError, UsageError
from incamera.project.script import MOST_BYTES, Block, find_block, load_script, parse_block, replace_block

# Taken from the specification, where it defines the grammar.
_SPECIFIED = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")

BLINK = """\
#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "numpy",
# ]
#
# [tool.incamera]
# device = "lobby"
# ///
import numpy
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "blink.py"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_block_gives_dependencies_python_and_settings(tmp_path: Path) -> None:
    script = load_script(write(tmp_path, BLINK))
    assert script.table == {
        "requires-python": ">=3.11",
        "dependencies": ["numpy"],
        "tool": {"incamera": {"device": "lobby"}},
    }
    assert not script.doubts


def test_script_without_a_block_has_no_table(tmp_path: Path) -> None:
    assert load_script(write(tmp_path, "print(1)\n")).table is None


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *("# /// script", "# /// other", "# ///", "#", "# a = 1", "#a", "# ", "import x", "", " # ///"),
                *("# /// script ", "#  ///", "# /// two words", "# b = 2\x0b", "# c = '\u2028'"),
            ]
        ),
        max_size=14,
    ),
    st.booleans(),
)
def test_blocks_are_those_that_the_grammar_of_the_specification_finds(lines: list[str], ended: bool) -> None:
    text = "\n".join(lines) + "\n" * ended
    expected = [match for match in _SPECIFIED.finditer(text) if match["type"] == "script"]
    if len(expected) > 1:
        with pytest.raises(ConfigError, match="two metadata blocks"):
            find_block(text, "blink.py")
        return
    block, _ = find_block(text, "blink.py")
    contents = [
        "".join((line[2:] if line.startswith("# ") else line[1:]) + "\n" for line in match["content"][:-1].split("\n"))
        for match in expected
    ]
    assert ([block.content + "\n"] if block else []) == contents
    if block:
        assert text[: expected[0].start()].count("\n") + 1 == block.first_line
        assert text[: expected[0].end()].count("\n") + 1 == block.last_line


def test_block_ends_at_the_last_closing_line_of_its_comments() -> None:
    block, _ = find_block("# /// script\n# a = '''\n# ///\n# '''\n# ///\n", "blink.py")
    assert block == Block("a = '''\n///\n'''", 1, 5)


def test_two_blocks_are_refused_with_their_lines(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two metadata blocks, in lines 1 and 5"):
        load_script(write(tmp_path, "# /// script\n# a = 1\n# ///\n\n# /// script\n# b = 1\n# ///\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# /// script\n# dependencies = [1\n# x\n# ///\n", r"blink\.py, line 3, column 3: Unclosed array"),
        ("\n\n# /// script\n# a = 1\n# a b\n# ///\n", r"blink\.py, line 5, column 5: "),
        ("# /// script\n# a = [\n# ///\n", r"blink\.py, line 3: "),
        ("# /// script\n# a = " + "[" * 5000 + "\n# ///\n", r"blink\.py, line 3: it is nested too deep"),
    ],
)
def test_faulty_toml_is_reported_with_the_line_of_the_script(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_script(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("# /// script\n# dependencies = []\n\nimport x\n", "line 1: this metadata block is empty or does not end"),
        ("# /// script\n# ///\n", "line 1: this metadata block is empty"),
        ("import x\n#/// script\n# ///\n", "line 2: this starts no metadata block"),
        ("# /// script \n# a = 1\n# ///\n", "line 1: this starts no metadata block"),
        ("# /// scirpt\n# a = 1\n# ///\n", "line 1: this block is ignored; the line must be `# /// script`"),
    ],
)
def test_what_looks_like_a_block_and_is_none_is_told(tmp_path: Path, text: str, doubt: str) -> None:
    script = load_script(write(tmp_path, text))
    assert script.table is None
    assert doubt in script.doubts[0]


def test_encoding_is_the_one_that_python_reads_the_script_with(tmp_path: Path) -> None:
    text = "# -*- coding: latin-1 -*-\n# /// script\n# dependencies = ['å']\n# ///\n"
    assert load_script(write(tmp_path, text.encode("latin-1"))).table == {"dependencies": ["å"]}
    assert load_script(write(tmp_path, b"\xef\xbb\xbf# /// script\r\n# a = 1\r\n# ///\r\n")).table == {"a": 1}
    with pytest.raises(ConfigError, match=r"blink\.py: this is not UTF-8"):
        load_script(write(tmp_path, "# å\n".encode("latin-1")))
    with pytest.raises(ConfigError, match=r"blink\.py: unknown encoding"):
        load_script(write(tmp_path, "# coding: klingon\n"))
    with pytest.raises(ConfigError, match=r"blink\.py: .*not a text encoding"):
        load_script(write(tmp_path, "# coding: hex\n"))


def test_unreadable_scripts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        load_script(tmp_path / "no.py")
    with pytest.raises(UsageError, match="is a folder"):
        load_script(tmp_path)
    with (tmp_path / "blink.py").open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    with pytest.raises(ConfigError, match="more than 16 MiB"):
        load_script(tmp_path / "blink.py")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BLINK, BLINK.replace('# requires-python = ">=3.11"\n# dependencies = [\n#   "numpy",\n# ]', "# a = 1")),
        ("import x\n", '# /// script\n# a = 1\n#\n# [tool.incamera]\n# device = "lobby"\n# ///\n\nimport x\n'),
        (
            "#!/bin/python\n# coding: utf-8\n\nx\n",
            "#!/bin/python\n# coding: utf-8\n# /// script\n# a = 1\n#\n# [tool.incamera]\n"
            '# device = "lobby"\n# ///\n\nx\n',
        ),
    ],
)
def test_replaced_block_leaves_the_rest_of_the_script(before: str, after: str) -> None:
    content = 'a = 1\n\n[tool.incamera]\ndevice = "lobby"\n'
    made = replace_block(before, content, "blink.py")
    assert made == after
    block, _ = find_block(made, "blink.py")
    assert block is not None
    assert parse_block(block, "blink.py") == tomllib.loads(content)
