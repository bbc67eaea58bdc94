"""TOML that Python's parser takes for an error of another kind."""

import tomllib

import pytest

from incamera.toml import parse_toml


def test_toml_is_parsed() -> None:
    assert parse_toml('[a]\nb = ["ü", 1]\n') == {"a": {"b": ["ü", 1]}}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = " + "[" * 5000, "nested too deep"),
        ("a = " + "{b = " * 3000, "nested too deep"),
        ("a = " + "9" * 5000, "too many digits"),
        ("\ufeffa = 1", "byte order mark"),
        ("a = ", "Invalid value"),
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(text: str, words: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError, match=words):
        parse_toml(text)
