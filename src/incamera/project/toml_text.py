"""Edit a TOML file as its author wrote it: comments, order, quotes and line ends of all else stay as they are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from incamera.errors import ConfigError
from incamera.toml import parse_toml

Path = tuple[str, ...]
"""The keys that lead to a value: ("project", "dependencies")."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class TomlText:
    """A TOML text, and the edits that were made to it.

    Each edit is made twice: in the text, and in the plain values. `text` refuses a text that does not have exactly
    those values.
    """

    def __init__(self, text: str, name: str = "pyproject.toml") -> None:
        """*name* is that of the file, in messages. Raises ConfigError when *text* is not TOML."""
        try:
            self.values: dict[str, Any] = parse_toml(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}: {error}", hint="https://toml.io shows how it is written") from error
        self._name = name
        # A file with Windows line ends is edited with the others, and gets its own back.
        self._windows = "\r\n" in text and "\n" not in text.replace("\r\n", "")
        self._text = text.replace("\r\n", "\n") if self._windows else text

    @property
    def text(self) -> str:
        """The edited text. Raises ConfigError when an edit could not be made in this text."""
        try:
            if parse_toml(self._text) == self.values:
                return self._text.replace("\n", "\r\n") if self._windows else self._text
        except tomllib.TOMLDecodeError:
            pass
        raise ConfigError(
            f"{self._name} is written in a way that incamera cannot edit",
            hint="write its tables with headers, as in [project], and their keys below them",
        )

    def find(self, *path: str) -> Any:
        """Return the value at *path*; None where there is none."""
        found: Any = self.values
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    def put(self, path: Path, value: Any) -> None:
        """Set the key at *path*. A new key goes below the last one of its table; a new table to the end of the file."""
        *table, key = path
        if self.find(*table) is None:
            return self.add_table(tuple(table), {key: value})
        current = self.find(*path)

        def change(found: Any) -> None:
            item = _inline(value)
            if current is not None:
                found[key] = item
                return
            last = list(found)[-1] if len(found) else None
            container = getattr(found, "value", None)
            # Below the last key, and not below comments that belong to the next table.
            if last is not None and container is not None and not isinstance(found[last], dict):
                container._insert_after(last, key, item)
                dict.__setitem__(found, key, item)
            else:
                found[key] = item

        self._edit(tuple(table), change)
        self._plain(tuple(table))[key] = value
        return None

    def add_table(self, path: Path, values: Mapping[str, Any], *, comment: str = "", first: bool = False) -> None:
        """Add the table at *path* to the end of the file, or before all others. It must not be there yet."""
        lines = [f"# {comment}"] * bool(comment) + [f"[{'.'.join(map(_key, path))}]"]
        body = "\n".join([*lines, *(f"{_key(key)} = {dump_value(value)}" for key, value in values.items())]) + "\n"
        if first:
            head = re.match(r"(?:#[^\n]*\n)+\n", self._text)
            position = head.end() if head else 0
            self._text = f"{self._text[:position]}{body}\n{self._text[position:]}"
        else:
            before = self._text if not self._text or self._text.endswith("\n") else f"{self._text}\n"
            gap = "\n" if before.strip() and not before.endswith("\n\n") else ""
            self._text = f"{before}{gap}{body}"
        self._plain(path).update(values)

    def remove(self, path: Path) -> None:
        """Remove the key at *path*, and its table when that is empty then. It must be there."""
        *table, key = path

        def change(found: Any) -> None:
            del found[key]

        self._edit(tuple(table), change)
        del self._plain(tuple(table))[key]
        if not self.find(*table) and len(table) > 1 and _has(self._text, tuple(table)):
            self._edit(tuple(table[:-1]), lambda found: found.__delitem__(table[-1]))
        # Without its last key, a table without a header is gone.
        while table and not self.find(*table) and not _has(self._text, tuple(table)):
            *above, last = table
            del self._plain(tuple(above))[last]
            table = above

    def insert(self, path: Path, text: str) -> None:
        """Add *text* to the list of requirements at *path*: in its place where the list is sorted, else at its end."""
        if self.find(*path) is None:
            return self.put(path, [text])
        position = _position(self.find(*path), text)

        def change(found: Any) -> None:
            if position == len(found):
                found.append(text)
            else:
                found.insert(position, text)

        self._edit(path, change)
        self._plain_list(path).insert(position, text)
        return None

    def replace(self, path: Path, position: int, text: str) -> None:
        """Replace the item *position* of the list at *path*."""

        def change(found: Any) -> None:
            found[position] = text

        self._edit(path, change)
        self._plain_list(path)[position] = text

    def discard(self, path: Path, position: int) -> None:
        """Remove the item *position* of the list at *path*."""

        def change(found: Any) -> None:
            del found[position]

        self._edit(path, change)
        del self._plain_list(path)[position]

    def _edit(self, path: Path, change: Callable[[Any], None]) -> None:
        """Call *change* with what tomlkit has at *path*."""
        import tomlkit  # lazy: start-up; few commands edit a file
        from tomlkit.exceptions import TOMLKitError

        try:
            document = tomlkit.parse(self._text)
            found: Any = document
            for key in path:
                found = found[key]
            change(found)
            self._text = tomlkit.dumps(document)
        except (TOMLKitError, AttributeError, KeyError, TypeError, ValueError):
            self._text = "\0"  # `text` refuses it

    def _plain(self, path: Path) -> dict[str, Any]:
        found = self.values
        for key in path:
            found = found.setdefault(key, {})
        return found

    def _plain_list(self, path: Path) -> list[str]:
        found: list[str] = self._plain(path[:-1])[path[-1]]
        return found


def _has(text: str, path: Path) -> bool:
    """Whether the TOML *text* has something at *path*."""
    try:
        found: Any = parse_toml(text)
    except tomllib.TOMLDecodeError:
        return False
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return False
        found = found[key]
    return True


def _position(texts: list[str], text: str) -> int:
    """Return where *text* belongs in the requirements *texts*."""
    names = [_sort_key(item) for item in texts]
    if len(names) < 2 or names != sorted(names):
        return len(names)
    return next((number for number, name in enumerate(names) if name > _sort_key(text)), len(names))


def _sort_key(item: object) -> str:
    try:
        return Requirement(str(item)).name.lower()
    except InvalidRequirement:  # a table of a dependency group: { include-group = "test" }
        return ""


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else dump_value(text)


def dump_value(value: Any) -> str:
    """Return *value* as TOML, in one line, or with a line for each item of a list with several."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        import json  # lazy: start-up

        # JSON may have U+007F as it is, TOML may not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {dump_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        items = [dump_value(item).replace("\n", " ") for item in value]
        if len(items) > 1:
            return "".join(["[\n", *(f"  {item},\n" for item in items), "]"])
        return f"[{''.join(items)}]"
    return str(value)


def _inline(value: Any) -> Any:
    """Return the item of tomlkit for *value*, written as `dump_value` writes it."""
    import tomlkit  # lazy: start-up; few commands edit a file

    return tomlkit.parse(f"key = {dump_value(value)}\n").item("key")
