"""Patterns in the syntax of .gitignore, and what they say of one path.

git asks for each folder before it looks into it: a file in an ignored folder is ignored, whatever says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from incamera.project.files import is_left_out

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": re.escape("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"),
    "space": "\\s",
    "upper": "A-Z",
    "word": "\\w",
    "xdigit": "0-9a-fA-F",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern. With *ignores* it leaves out what it matches, otherwise it brings that back."""

    text: str
    ignores: bool
    only_folders: bool
    regex: re.Pattern[str]

    def matches(self, path: str) -> bool:
        """Whether it names *path*, which ends with `/` if it is a folder; relative to the folder of the patterns."""
        if path.endswith("/"):
            return self.regex.fullmatch(path, 0, len(path) - 1) is not None
        return not self.only_folders and self.regex.fullmatch(path) is not None

    def covers(self, path: str) -> bool:
        """Whether it names *path*, or a folder above it."""
        ends = [place.end() for place in re.finditer("/", path)]
        return self.matches(path) or any(self.matches(path[:end]) for end in ends)


def parse_pattern(line: str) -> Pattern | None:
    """Return the pattern in *line*; None for an empty line and a comment. Raises ValueError for what is no pattern."""
    text = re.sub(r"(?<!\\)((?:\\\\)*) +$", r"\1", line)
    if not text or text.startswith("#"):
        return None
    ignores = not text.startswith("!")
    body = text if ignores else text[1:]
    only_folders = body.endswith("/")
    body = body.removesuffix("/")
    anchored = "/" in body
    body = body.removeprefix("/")
    if not body:
        raise ValueError("it names nothing")
    return Pattern(text, ignores, only_folders, re.compile(_translate(body, anchored=anchored), re.DOTALL))


def parse_patterns(lines: Iterable[str]) -> tuple[Pattern, ...]:
    """Return the patterns in *lines*, the last one first: it counts most. Like git, leave out what is no pattern.

    Those that match no file that an app may have are left out, too.
    """
    patterns = []
    for line in lines:
        try:
            pattern = parse_pattern(line)
        except ValueError:
            continue
        if pattern is not None and not has_no_effect(pattern):
            patterns.append(pattern)
    return tuple(reversed(patterns))


def find_match(patterns: Iterable[Pattern], path: str) -> Pattern | None:
    """Return the first of *patterns* that names *path*, as `Pattern.matches` has it."""
    return next((pattern for pattern in patterns if pattern.matches(path)), None)


def has_no_effect(pattern: Pattern) -> bool:
    """Whether all that *pattern* matches is left out of every app anyway."""
    name = pattern.text.removeprefix("!").strip("/")
    return "/" not in name and is_left_out(name)


def escape(mark: str, path: str) -> str:
    """Return a pattern that matches the file *path* and none beside it, with *mark*, such as `!`, in front."""
    text = re.sub(r"([\\*?\[]| +$)", r"\\\1", path)
    return f"/{text}" if not mark and text.startswith(("!", "#")) else mark + text


def _translate(body: str, *, anchored: bool) -> str:
    """Return the regular expression of the pattern *body*. Raises ValueError for a bracket or escape without end."""
    result = "" if anchored else "(?:.*/)?"
    at = 0
    while at < len(body):
        char = body[at]
        if char == "*":
            end = at
            while body[end : end + 1] == "*":
                end += 1
            is_first = at == 0 or body[at - 1] == "/"
            if anchored and end - at == 2 and is_first and body[end : end + 1] in ("", "/"):
                # `**/` stands for any number of folders, `/**` for all that is in one.
                result += "(?:.*/)?" if end < len(body) else ".+"
                at = end + 1
                continue
            result, at = f"{result}[^/]*", end
            continue
        if char == "?":
            result += "[^/]"
        elif char == "[":
            more, at = _translate_bracket(body, at + 1)
            result += more
            continue
        elif char == "\\":
            at += 1
            if at == len(body):
                raise ValueError("nothing follows the last \\")
            result += re.escape(body[at])
        else:
            result += re.escape(char)
        at += 1
    return result


def _translate_bracket(body: str, at: int) -> tuple[str, int]:
    """Return the expression of the bracket that begins before *at*, and the place behind it. Raises ValueError."""
    negated = body[at : at + 1] in ("!", "^")
    at += negated
    parts: list[str] = []
    first = at
    while body[at : at + 1] != "]" or at == first:
        if at >= len(body):
            raise ValueError("a [ has no ]")
        if body.startswith("[:", at) and (end := body.find(":]", at)) > 0:
            name = body[at + 2 : end]
            if name not in _CLASSES:
                raise ValueError(f"there is no class [:{name}:]")
            parts.append(_CLASSES[name])
            at = end + 2
            continue
        low, at = _unescaped(body, at)
        if body[at : at + 1] == "-" and body[at + 1 : at + 2] not in ("]", ""):
            high, at = _unescaped(body, at + 1)
            if low <= high:
                parts.append(f"{re.escape(low)}-{re.escape(high)}")
        else:
            parts.append(re.escape(low))
    inside = "".join(parts)
    if not inside:
        return ("[^/]" if negated else "(?!)"), at + 1
    return f"(?!/)[{'^' if negated else ''}{inside}]", at + 1


def _unescaped(body: str, at: int) -> tuple[str, int]:
    if body[at] == "\\":
        at += 1
    if at >= len(body):
        raise ValueError("a [ has no ]")
    return body[at], at + 1
