"""The page on which people change an app's parameters, for a package whose project has none of its own.

It is one file of plain HTML, with the fields for the parameters' types. It reads and writes them with the camera's
param.cgi. Without JavaScript, it is a form that shows defaults and writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path

NAME = "settings.html"
# Words before a type, and old types, whose parameters a page doesn't show.
_NOT_SHOWN = frozenset({"hidden", "internal"})
_NOT_CHANGED = frozenset({"readonly", "const"})
_PREFIXES = _NOT_SHOWN | _NOT_CHANGED | {"nosync", "writeonly"}
_SWITCHES: Mapping[str, Sequence[str]] = {"bool": ("no", "yes"), "yes_no": ("no", "yes"), "on_off": ("off", "on")}
_CHOICES = frozenset({"enum", "radio", *_SWITCHES})
_SECRET = frozenset({"password", "writeonly"})
_LIMIT = re.compile(r"(min|max|maxlen)=(-?\d+)")
_NUMBER = re.compile(r"-?\d+")


def find_shown(parameters: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Return those of *parameters*, entries of a manifest's paramConfig, that a page shows."""
    return [entry for entry in parameters if not _split(entry["type"])[0] & _NOT_SHOWN]


def dump_settings_page(title: str, app: str, parameters: Iterable[Mapping[str, str]]) -> bytes:
    """Return the page called *title* for the *parameters* of *app*, entries of a manifest's paramConfig."""
    group = app[:1].upper() + app[1:]
    fields = [_field(number, group, entry) for number, entry in enumerate(find_shown(parameters))]
    values = {"title": escape(title), "group": escape(group), "fields": "\n".join(fields)}
    # In one pass, so that no value is taken for a place.
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _template()).encode()


@cache
def _template() -> str:
    return (Path(__file__).parent / "data" / "settings_page.html").read_text("utf-8")


def _split(text: str) -> tuple[set[str], str, str]:
    """Return the words before a type, the type, and what follows: "hidden", "int" and "min=1" of `hidden:int:min=1`."""
    words = set()
    kind, _, rest = text.partition(":")
    while kind in _PREFIXES and rest:
        words.add(kind)
        kind, _, rest = rest.partition(":")
    return words | ({kind} & _PREFIXES), kind, rest


def _field(number: int, group: str, entry: Mapping[str, str]) -> str:
    words, kind, rest = _split(entry["type"])
    name, value = entry["name"], entry["default"]
    attributes = {"id": f"p{number}", "name": f"root.{group}.{name}"}
    if words & _NOT_CHANGED:
        attributes["disabled"] = ""
    label = f'<label for="p{number}">{escape(name)}</label>'
    if kind in _CHOICES:
        options = "".join(_options(kind, rest, value))
        return f"{label}\n<select{_text(attributes)}>{options}</select>"
    if kind in _SECRET or words & _SECRET:
        attributes |= {"type": "password", "autocomplete": "new-password", "placeholder": "not changed"}
    else:
        attributes |= {"type": "number" if kind == "int" else "text", "value": value}
    return f"{label}\n<input{_text(attributes | _limits(kind, rest))}>"


def _options(kind: str, rest: str, value: str) -> Iterator[str]:
    choices = [choice for choice in rest.split(",") if choice] or list(_SWITCHES.get(kind, ()))
    for choice in choices if any(one.partition("|")[0] == value for one in choices) else [*choices, value]:
        text, _, shown = choice.partition("|")
        selected = {"selected": ""} if text == value else {}
        yield f"<option{_text({'value': text, **selected})}>{escape(shown or text)}</option>"


def _limits(kind: str, rest: str) -> dict[str, str]:
    """Return the attributes for `min=1;max=5`, `maxlen=9` and `range=0,1024-65535`, of which the ends are kept."""
    found = dict(_LIMIT.findall(rest))
    if kind == "int" and rest.startswith("range="):
        numbers = [int(end) for end in _NUMBER.findall(re.sub(r"(?<=\d)-", " ", rest))]
        return {"min": str(min(numbers)), "max": str(max(numbers))} if numbers else {}
    if kind == "int":
        return {name: found[name] for name in ("min", "max") if name in found}
    return {"maxlength": found["maxlen"]} if "maxlen" in found else {}


def _text(attributes: Mapping[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
