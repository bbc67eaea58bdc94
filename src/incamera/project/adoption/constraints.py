"""Poetry's version constraints, written as Python's standard has them."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

_PART = re.compile(r"(\^|~=|~|>=|<=|!=|===|==|=|>|<)?\s*((?:!(?!=)|[^\s,<>=!~^])+)")


def convert_constraint(text: str) -> str:
    """Return the specifier that means what Poetry's constraint *text* means; "" for any version.

    `^1.2` becomes `>=1.2,<2.0`, `~1.2` becomes `>=1.2,<1.3`, `1.2` becomes `==1.2`. Raises ValueError for what has no
    such specifier: alternatives, as in `^1.0 || ^2.0`, and what is no constraint.
    """
    text = text.strip()
    if "|" in text:
        raise ValueError(f'"{text}" has alternatives, which one requirement cannot have')
    if text in ("*", ""):
        return ""
    parts = []
    position = 0
    for match in _PART.finditer(text):
        if text[position : match.start()].strip(" ,"):
            break
        position = match.end()
        parts += _convert(match[1] or "", match[2])
    if text[position:].strip(" ,"):
        raise ValueError(f'"{text}" is not a constraint')
    specifier = ",".join(parts)
    try:
        SpecifierSet(specifier)
    except InvalidSpecifier as error:
        raise ValueError(f'"{text}" is not a constraint') from error
    return specifier


def _convert(operator: str, version: str) -> list[str]:
    if version == "*":
        return []
    if operator in ("^", "~"):
        try:
            lower = Version(version)
        except InvalidVersion:
            raise ValueError(f'"{operator}{version}" is not a constraint') from None
        return [f">={version}", f"<{_upper(lower, operator)}"]
    if operator in ("", "=", "=="):
        return [f"=={version.replace('.x', '.*')}"]
    return [f"{operator}{version}"]


def _upper(lower: Version, operator: str) -> str:
    """Return the first version that `^lower`, or `~lower`, excludes."""
    release = list(lower.release)
    if operator == "^":
        position = next((number for number, part in enumerate(release) if part), len(release) - 1)
    else:
        position = min(1, len(release) - 1)
    raised = [*release[:position], release[position] + 1, *[0] * (len(release) - position - 1)]
    epoch = f"{lower.epoch}!" if lower.epoch else ""
    return epoch + ".".join(map(str, raised))


def python_marker(text: str) -> str:
    """Return the marker that means what the constraint *text* on the Python version means. Raises ValueError."""
    parts = []
    for specifier in sorted(SpecifierSet(convert_constraint(text)), key=str, reverse=True):
        short = len(specifier.version.removesuffix(".*").split(".")) <= 2
        is_full = specifier.operator in (">", "<=") or not short
        variable = "python_full_version" if is_full else "python_version"
        version = specifier.version.removesuffix(".*") if short and variable == "python_version" else specifier.version
        parts.append(f'{variable} {specifier.operator} "{version}"')
    return " and ".join(parts)
