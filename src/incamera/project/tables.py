"""Read the keys of a TOML table and check their types. *where* is the key's name in messages.

All functions raise ConfigError that names the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incamera.errors import ConfigError
from incamera.names import did_you_mean


def refuse_unknown(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Raises ConfigError when *table* has a key that is not in *known*."""
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or "choose one of: " + ", ".join(known)
            raise ConfigError(f'{where}: unknown key "{key}"', hint=hint)


def find_table(parent: Mapping[str, Any], key: str, where: str | None = None) -> Mapping[str, Any]:
    """Return the table *key*; an empty one where there is none."""
    value = parent.get(key, {})
    if not isinstance(value, Mapping):
        raise _wrong_type(where or key, "a table", value)
    return value


def find_string(parent: Mapping[str, Any], key: str, where: str) -> str | None:
    """Return the string *key*; None where there is none."""
    value = parent.get(key)
    if value is not None and not isinstance(value, str):
        raise _wrong_type(where, "a string", value)
    return value


def require_string(parent: Mapping[str, Any], key: str, where: str) -> str:
    """Return the string *key*."""
    value = find_string(parent, key, where)
    if value is None:
        raise ConfigError(f"{where} is missing")
    return value


def require_integer(parent: Mapping[str, Any], key: str, where: str) -> int:
    """Return the integer *key*."""
    value = parent.get(key)
    if value is None:
        raise ConfigError(f"{where} is missing")
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong_type(where, "an integer", value)
    return value


def find_tables(parent: Mapping[str, Any], key: str, where: str) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Return the tables of the array *key*, each with its name in messages; none where there is no such key."""
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise _wrong_type(where, "an array of tables", value)
    return tuple((f"{where}[{number}]", item) for number, item in enumerate(value))


def find_strings(parent: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    """Return the list of strings *key*; an empty one where there is none."""
    value = parent.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong_type(where, "a list of strings", value)
    return tuple(value)


def _wrong_type(where: str, wanted: str, value: object) -> ConfigError:
    key = where.rpartition(".")[2]
    others = "a list with other items" if wanted == "a list of strings" else "a list"
    names = {str: "a string", list: others, dict: "a table", bool: "true or false"}
    examples = {
        "a table": f"[{where}]",
        "an array of tables": f"[[{where}]]",
        "a string": f'{key} = "…"',
        "an integer": f"{key} = 1",
        "a list of strings": f'{key} = ["…", "…"]',
    }
    return ConfigError(
        f"{where} must be {wanted}, not {names.get(type(value), 'a number or a date')}",
        hint=f"write {examples[wanted]}",
    )
