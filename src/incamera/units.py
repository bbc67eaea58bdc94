"""Parse and format sizes, counts and texts."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([kMG]?)(?:i?B)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
# What a terminal obeys instead of showing it, and what reorders or hides other characters: C0, DEL, C1, separators of
# lines, format characters with the bidirectional overrides, and lone surrogates.
_CONTROLS = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e007f]"
)
# What stays in one line: words in backquotes, with what sticks to them, and a number with its unit.
_CODE = r"[^\s`]*`[^`]*`[^\s`]*"
_UNIT = r"[kMG]?B(?:/s)?|[kMG]bit(?:/s)?|[um]?s|min|h|seconds?|minutes?|hours?|days?|%|[kM]?Hz|fps"
_QUANTITY = rf"[^\s`]*\d (?:{_UNIT})(?!\w)[^\s`]*"
# A word with the spaces before it.
_WORDS = re.compile(rf"\s*+(?:{_CODE}|{_QUANTITY}|\S+)")
_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Python alone takes some 8 MB.
_LEAST_MEMORY = 4_000_000


def parse_bytes(text: str) -> int:
    """Return how many bytes *text* stands for: `200M`, `1.5 GB`, `65536`. The units are decimal (k is 1000).

    Raises ValueError for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f'"{text}" is not a size; write 200M or 1.5G')
    return int(float(match[1]) * _FACTORS[match[2].lower()])


def parse_memory_limit(text: str) -> int:
    """Return how many bytes an app may use. Raises ValueError for what is no size, and where no Python could start."""
    limit = parse_bytes(text)
    if limit < _LEAST_MEMORY:
        raise ValueError(f'"{text}" is {limit} bytes, too little for Python to start; write 200M or 1.5G')
    return limit


def shorten(text: str, length: int) -> str:
    """Return *text* in one line of up to *length* characters; "…" is at the end of a shortened one."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def format_bytes(count: int) -> str:
    """Return *count* bytes in decimal units: `44.7 MB`."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if abs(size) < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def format_count(number: float, thing: str) -> str:
    """Return *number* and *thing*, in the plural where need be: `1 file`, `2 files`, `2 processes`, `2 libraries`."""
    shown = str(number) if isinstance(number, int) else f"{number:.3g}"
    if shown == "1":
        return f"{shown} {thing}"
    if thing.endswith("y") and thing[-2:-1] not in "aeiou":
        return f"{shown} {thing[:-1]}ies"
    return f"{shown} {thing}{'es' if thing.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def format_age(seconds: float) -> str:
    """Return *seconds* in the largest unit that fits: `5 s`, `3 min`, `2 h`, `1 day`, `40 days`."""
    for unit, size in (("day", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return format_count(int(seconds // size), unit) if unit == "day" else f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def find_words(text: str) -> list[str]:
    """Return the words of *text*, each with the spaces before it. Code in backquotes, and `44.7 MB`, are one word."""
    return _WORDS.findall(text)


def wrap_words(text: str, width: int) -> str:
    """Return *text* with line breaks in place of spaces, so that no line has more than *width* characters.

    Words stay whole, and so do those within backquotes, which may be commands to copy; such a line may be longer. A
    number and its unit stay together. A line that goes on is indented by two more spaces than its beginning.
    """
    lines = []
    for line in text.split("\n"):
        if len(line) <= width:
            lines.append(line)
            continue
        start = line[: len(line) - len(line.lstrip(" "))]
        current = ""
        for word in find_words(line.rstrip()):
            if current and len(current) + len(word) > width:
                lines.append(current)
                current = f"{start}  {word.lstrip()}"
            else:
                current += word
        lines.append(current)
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return *text* with U+FFFD in place of control characters and of what UTF-8 cannot encode."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def escape_controls(text: str, *, keep: str = "") -> str:
    """Return *text* with escapes such as `\\x1b` in place of control characters, except for those in *keep*.

    What is left is safe to show on a terminal. A byte of a name that is not UTF-8 becomes `\\xff`.
    """
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode has such surrogates for bytes that are not UTF-8
        code -= 0xDC00
    if character in _ESCAPES:
        return _ESCAPES[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
