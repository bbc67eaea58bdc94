"""The lines of OpenSSH's configuration: words, patterns, tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from incamera.errors import ConfigError
from incamera.home import expand_home

_BACKSLASHED = "'\"\\"
_TIME = re.compile(r"(?:[0-9]{1,9}[smhdw])*[0-9]{1,9}[smhdw]?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST_SECONDS = 2**31 - 1
# What follows these is taken as it is, for a shell.
_RAW = frozenset({"proxycommand", "remotecommand", "localcommand", "knownhostscommand"})


def read_lines(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the number, the keyword and the arguments of each line of *path*; nothing for a file that is not there."""
    try:
        # With a byte-order mark, as editors on Windows write it.
        text = path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r\f")
        match = re.match(r'"?([^\s="]+)"?(?:[ \t]*=[ \t]*|[ \t]+|$)', line)
        if not line or line.startswith("#") or match is None:
            continue
        keyword, rest = match[1].lower(), line[match.end() :]
        try:
            yield number, keyword, ([rest] if rest else []) if keyword in _RAW else split_arguments(rest)
        except ValueError as error:
            raise ConfigError(f"{path}, line {number}: {error}") from error


def split_arguments(text: str) -> list[str]:
    """Return the words of *text*: quotes keep spaces, `#` before a word begins a comment. Raises ValueError."""
    words: list[str] = []
    at, end = 0, len(text)
    while True:
        while at < end and text[at] in " \t":
            at += 1
        if at == end or text[at] == "#":
            return words
        word, quote = "", ""
        while at < end and (quote or text[at] not in " \t"):
            character = text[at]
            following = text[at + 1 : at + 2]
            if character == "\\" and following and (following in _BACKSLASHED or (not quote and following == " ")):
                word += following
                at += 1
            elif character in "\"'" and quote in ("", character):
                quote = "" if quote else character
            else:
                word += character
            at += 1
        if quote:
            raise ValueError(f"a quote is missing: {text}")
        words.append(word)


def parse_seconds(text: str) -> int:
    """Return the seconds of a time such as `90` or `1m30s`; 0 for `none`. Raises ValueError."""
    if text == "none":
        return 0
    if _TIME.fullmatch(text):
        parts = re.findall(r"([0-9]+)(\D?)", text)
        seconds = sum(int(number) * _SECONDS[unit.lower() or "s"] for number, unit in parts)
        if seconds <= _LONGEST_SECONDS:
            return seconds
    raise ValueError(f'"{text}" is not a time')


def matches(text: str, pattern: str) -> bool:
    """Return whether *text* matches *pattern*, whose `*` and `?` stand for any characters."""
    # Brackets are no pattern for `ssh`.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def matches_list(text: str, patterns: Sequence[str]) -> bool:
    """Return whether *text* matches one of *patterns* and none of those that begin with `!`."""
    if any(pattern.startswith("!") and matches(text, pattern[1:]) for pattern in patterns):
        return False
    return any(matches(text, pattern) for pattern in patterns if not pattern.startswith("!"))


def expand_tokens(text: str, tokens: Mapping[str, str]) -> str:
    """Return *text* with each `%h` replaced by `tokens["h"]`. Raises ConfigError."""

    def replace(match: re.Match[str]) -> str:
        if match[1] == "%":
            return "%"
        if match[1] not in tokens:
            raise ConfigError(f'"{text}" in the configuration of ssh: %{match[1]} means nothing there')
        return tokens[match[1]]

    return re.sub(r"%(.?)", replace, text)


def expand_environment(text: str, environment: Mapping[str, str]) -> str:
    """Return *text* with each `${NAME}` replaced by the variable. Raises ConfigError."""

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise ConfigError(f'"{text}" in the configuration of ssh: the environment has no {match[1]}')
        return environment[match[1]]

    return re.sub(r"\$\{([^}]*)\}", replace, text)


def expand_user(text: str, home: Path) -> str:
    """Return *text* with `~` at its beginning replaced by the home."""
    if text == "~" or text.startswith("~/"):
        return str(home) + text[1:]
    return str(expand_home(text)) if text.startswith("~") else text
