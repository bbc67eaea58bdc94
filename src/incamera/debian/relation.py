"""Parse dependency fields: `libc6 (>= 2.36), python3:any | python3.11 [armhf] <!nocheck>`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from incamera.debian.version import compare_versions

_ALTERNATIVE = re.compile(
    r"""\s*(?P<name>[a-zA-Z0-9][a-zA-Z0-9+.-]*)
        (?: : [a-zA-Z0-9][a-zA-Z0-9-]* )?
        \s*(?: \( \s* (?P<operator><<|<=|>=|>>|=|<|>) \s* (?P<version>[^\s()<>=]+) \s* \) )?
        \s*(?: \[ (?P<architectures>[^\]]*) \] )?
        \s*(?P<profiles> (?: < [^>]* > \s* )* )""",
    re.VERBOSE,
)
# The single signs are an old spelling of "or equal".
_OPERATORS = {"<": "<=", ">": ">="}


@dataclass(frozen=True, slots=True)
class Alternative:
    """One package that satisfies a relation. Without an *operator*, any version does.

    A qualifier (`python3:any`) is left out: all packages that are looked at are of one architecture.
    """

    name: str
    operator: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def allows(self, version: str) -> bool:
        """Whether *version* satisfies it."""
        if not self.operator:
            return True
        order = compare_versions(version, self.version)
        match self.operator:
            case "<<":
                return order < 0
            case "<=":
                return order <= 0
            case ">=":
                return order >= 0
            case ">>":
                return order > 0
            case _:
                return order == 0


Relation = tuple[Alternative, ...]
"""Alternatives, of which one must be there; the preferred one is first."""


@lru_cache(maxsize=8192)
def parse_relations(text: str, architecture: str = "") -> tuple[Relation, ...]:
    """Return the relations in the dependency field *text*, without those for other architectures than *architecture*.

    No build profile is active: `<stage1>` is left out, `<!nocheck>` is kept. Raises ValueError for malformed text.
    """
    relations = []
    for group in text.split(","):
        if not group.strip():
            continue  # a trailing comma is allowed
        parsed = (_parse_alternative(part, architecture) for part in group.split("|"))
        if alternatives := tuple(alternative for alternative in parsed if alternative is not None):
            relations.append(alternatives)
    return tuple(relations)


def _parse_alternative(text: str, architecture: str) -> Alternative | None:
    match = _ALTERNATIVE.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text.strip()}" is not a relation to a package')
    wanted = match["architectures"]
    if wanted is not None and architecture and not _is_for(architecture, wanted.split()):
        return None
    if match["profiles"] and not _is_active(match["profiles"]):
        return None
    operator = match["operator"] or ""
    return Alternative(match["name"], _OPERATORS.get(operator, operator), match["version"] or "")


def _is_for(architecture: str, wanted: list[str]) -> bool:
    """Whether *wanted* names *architecture*: `armhf arm64`, or `!amd64 !i386` for all others."""
    excluded = [word[1:] for word in wanted if word.startswith("!")]
    named = excluded or wanted
    matches = any(word in (architecture, "any", "linux-any", f"any-{architecture}") for word in named)
    return not matches if excluded else matches


def _is_active(profiles: str) -> bool:
    """Whether one of the lists in *profiles* (`<!nocheck !stage1> <cross>`) holds when no build profile is active."""
    lists = [part.split() for part in re.findall(r"<([^>]*)>", profiles)]
    return any(all(term.startswith("!") for term in terms) for terms in lists)
