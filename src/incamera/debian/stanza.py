"""Stanzas of `Field: value` lines, as release files, package indexes and control files have them."""

from __future__ import annotations


def parse_stanza(text: str) -> dict[str, str]:
    """Return the fields; lines that go on with a space belong to the field above, joined by line breaks.

    Raises ValueError when a line is neither.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            if not name:
                raise ValueError("it begins in the middle of a field")
            fields[name] += "\n" + line.strip()
        elif line.strip():
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f'"{line[:40]}" is not a field')
            fields[name] = value.strip()
    return fields
