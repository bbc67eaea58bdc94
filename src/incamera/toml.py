"""Parse TOML of users and of strangers: everything that is wrong with it is a TOMLDecodeError."""

from __future__ import annotations

import tomllib
from typing import Any


def decode_toml(data: bytes) -> str:
    """Return the text of a TOML file with the contents *data*. Raises tomllib.TOMLDecodeError for other encodings."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise tomllib.TOMLDecodeError("this is not UTF-8 text, as TOML has to be") from None


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables in *text*. Raises tomllib.TOMLDecodeError.

    The standard library's parser raises other errors for deep nesting and for numbers of thousands of digits.
    """
    if text.startswith("\ufeff"):
        raise tomllib.TOMLDecodeError(
            "it begins with a byte order mark, which TOML does not allow: save it without one"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deep") from None
    except ValueError:
        raise tomllib.TOMLDecodeError("it has a number of too many digits") from None
