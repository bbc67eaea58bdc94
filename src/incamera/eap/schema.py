"""Check a manifest against the version of the schema that it names; data/manifest.toml has all versions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from incamera.names import did_you_mean

Version = tuple[int, ...]

_NUMBERS = re.compile(r"\d+(?:\.\d+){1,2}")
_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "boolean": (bool,), "array": (list,), "object": (dict,)}
_NAMES = {str: "a string", bool: "true or false", list: "an array", dict: "an object", type(None): "null"}
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with *key* of a manifest: the *rule* says what must be, and *schema* in which version.

    An unknown one is none of the manifest's: no source tells whether that version of the schema has the key.
    """

    key: str
    rule: str
    schema: str
    is_unknown: bool = False

    def __str__(self) -> str:
        return f"{self.key}: {self.rule} (schema {self.schema})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the schema, as data/manifest.toml describes it."""

    path: str
    type: str
    rules: tuple[tuple[Version, Mapping[str, Any]], ...]
    open: bool = False

    def at(self, version: Version) -> Mapping[str, Any] | None:
        """Return the rules that hold in *version*; None when it does not have the key."""
        found: dict[str, Any] = {}
        known = False
        for since, rules in self.rules:
            if since <= version:
                known = True
                found |= rules
        return None if not known or found.get("removed") else found


@dataclass(frozen=True, slots=True, kw_only=True)
class Schemas:
    """All versions of the schema. *keys* has what each object may have, by the object's path and the key's name."""

    versions: tuple[str, ...]
    incomplete: frozenset[str]
    keys: Mapping[str, Mapping[str, Key]]

    def find_known(self, version: Version) -> str:
        """Return the newest known version of the schema that is not newer than *version*; else the oldest."""
        known = [name for name in self.versions if parse_version(name) <= version]
        return known[-1] if known else self.versions[0]


def parse_version(text: str) -> Version:
    """Return the numbers of *text* ("1.3" is 1.3.0). Raises ValueError."""
    if not _NUMBERS.fullmatch(text):
        raise ValueError(f'"{text}" is not a version of the schema')
    numbers = tuple(map(int, text.split(".")))
    return (*numbers, *(0,) * (3 - len(numbers)))


@cache
def load_schemas() -> Schemas:
    """Return the schemas of data/manifest.toml."""
    document = tomllib.loads((Path(__file__).parent / "data" / "manifest.toml").read_text("utf-8"))
    keys: dict[str, dict[str, Key]] = {}
    for table in document["keys"]:
        path = table["key"]
        above, _, name = path.removesuffix("[]").rpartition(".")
        if path.endswith("[]"):
            above, name = path.removesuffix("[]"), "[]"
        keys.setdefault(above, {})[name] = Key(
            path=path,
            type=table["type"],
            rules=tuple(
                (parse_version(rule["since"]), {word: value for word, value in rule.items() if word != "since"})
                for rule in table["rules"]
            ),
            open=table.get("open", False),
        )
    return Schemas(versions=tuple(document["versions"]), incomplete=frozenset(document["incomplete"]), keys=keys)


def check_manifest(document: object) -> list[Problem]:
    """Return what is wrong with the manifest *document*, and what of it is unknown; the worst first."""
    schemas = load_schemas()
    if not isinstance(document, dict):
        return [Problem("manifest.json", f"must be an object, not {_name(document)}", schemas.versions[-1])]
    text = document.get("schemaVersion")
    if not isinstance(text, str) or not _NUMBERS.fullmatch(text):
        rule = "is missing" if text is None else f"must be two or three numbers, not {_shown(text)}"
        return [Problem("schemaVersion", rule, "of any version")]
    version = parse_version(text)
    known = schemas.find_known(version)
    problems = list(_Check(schemas, version, text, known).run(document))
    if parse_version(known) != version:
        rule = f"is not a version that incamera knows; checked as {known}, and what that does not have is let through"
        problems.append(Problem("schemaVersion", rule, text, is_unknown=True))
    return sorted(problems, key=lambda problem: problem.is_unknown)


@dataclass(frozen=True, slots=True)
class _Check:
    schemas: Schemas
    version: Version
    text: str
    known: str

    def run(self, document: Mapping[str, Any]) -> Iterator[Problem]:
        yield from self._object("", document)

    def _object(self, path: str, value: Mapping[str, Any]) -> Iterator[Problem]:
        known = {
            name: (key, rules)
            for name, key in self.schemas.keys.get(path, {}).items()
            if (rules := key.at(self.version)) is not None
        }
        for name, (_, rules) in known.items():
            if name not in value and _is_required(rules, value):
                yield self._problem(_join(path, name), "is required")
        for name, child in value.items():
            where = _join(path, name)
            if name in known:
                yield from self._value(where, child, *known[name], value)
            else:
                yield self._unknown(path, where, name, tuple(known))

    def _unknown(self, path: str, where: str, name: str, known: tuple[str, ...]) -> Problem:
        key = self.schemas.keys.get(path, {}).get(name)
        if key is not None:
            later = [since for since, _ in key.rules if since > self.version]
            if later:
                first = ".".join(map(str, later[0]))
                return self._problem(where, f"only schema {first} and later have it")
            return self._problem(where, "this version of the schema no longer has it")
        if self.text in self.schemas.incomplete or parse_version(self.known) != self.version:
            return Problem(where, "incamera does not know whether the schema has it; let through", self.text, True)
        similar = did_you_mean(name, known)
        return self._problem(where, "the schema has no such key" + (f"; {similar}" if similar else ""))

    def _value(
        self, where: str, value: object, key: Key, rules: Mapping[str, Any], parent: Mapping[str, Any]
    ) -> Iterator[Problem]:
        if not isinstance(value, _TYPES[key.type]):
            wanted = _NAMES[_TYPES[key.type][0]]
            yield self._problem(where, f"must be {wanted}, not {_name(value)}")
        elif isinstance(value, str):
            yield from (self._problem(where, rule) for rule in _check_text(value, rules))
        elif isinstance(value, list):
            if len(value) < rules.get("min_items", 0):
                yield self._problem(where, "must not be empty")
            item = self.schemas.keys.get(key.path, {}).get("[]")
            item_rules = item.at(self.version) if item is not None else None
            if item is not None and item_rules is not None:
                for number, one in enumerate(value):
                    yield from self._value(f"{where}[{number}]", one, item, item_rules, parent)
        elif isinstance(value, dict):
            if len(value) < rules.get("min_items", 0):
                yield self._problem(where, "must not be empty; leave it out")
            elif not key.open:
                yield from self._named(where, key.path, value)

    def _named(self, where: str, path: str, value: Mapping[str, Any]) -> Iterator[Problem]:
        """Check an object, and report its keys as they are called in this manifest: with numbers in place of `[]`."""
        for problem in self._object(path, value):
            yield Problem(f"{where}{problem.key.removeprefix(path)}", problem.rule, problem.schema, problem.is_unknown)

    def _problem(self, where: str, rule: str) -> Problem:
        return Problem(where, rule, self.text)


def _is_required(rules: Mapping[str, Any], parent: Mapping[str, Any]) -> bool:
    if "required_unless" in rules:
        name, pattern = rules["required_unless"]
        return not re.fullmatch(pattern, str(parent.get(name, "")))
    return bool(rules.get("required", False))


def _check_text(text: str, rules: Mapping[str, Any]) -> Iterator[str]:
    if "choices" in rules and text not in rules["choices"]:
        yield f"{_shown(text)} is not one of {', '.join(rules['choices'])}"
    if "pattern" in rules and not re.fullmatch(rules["pattern"], text, re.DOTALL):
        yield f"{_shown(text)} must be {rules['pattern_means']}"
    if len(text) > rules.get("max_length", len(text)):
        yield f"{_shown(text)} is longer than {rules['max_length']} characters"
    if len(text) < rules.get("min_length", 0):
        least = rules["min_length"]
        yield "must not be empty" if least == 1 else f"{_shown(text)} is shorter than {least} characters"
    if found := sorted(set(text) & set(rules.get("forbids", ""))):
        yield f"{_shown(text)} must not have {' or '.join(map(_letter, found))}"


def _letter(letter: str) -> str:
    return {" ": "a space", "\r": "a line break", "\n": "a line break", "\t": "a tab", '"': "a quotation mark"}.get(
        letter, f"`{letter}`"
    )


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return f'"{text[:_SHOWN]}…"' if len(text) > _SHOWN else f'"{text}"'


def _name(value: object) -> str:
    return _NAMES.get(type(value), "a number")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
