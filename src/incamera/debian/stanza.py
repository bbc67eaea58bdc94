"""Parse stanzas: the `Field: value` lines of release files, package indexes and control files."""

from __future__ import annotations


def parse_stanza(text: str) -> dict[str, str]:
    """Return the fields of the stanza *text*.

    A line that begins with a space continues the field above; its lines are joined with line breaks. Raises ValueError
    for a line that is neither.
    """
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):  # and at no other character, which a description may have
        if line[:1] in (" ", "\t"):
            if not name:
                raise ValueError("the first line continues a field")
            fields[name] += "\n" + line.strip()
        elif line.strip():
            name, colon, value = line.partition(":")
            if not colon:
                raise ValueError(f'"{line[:40]}" is not a field')
            fields[name] = value.strip()
    return fields


def parse_size(text: str) -> int:
    """Return the size of a file in bytes. Raises ValueError for anything but a number that is not negative."""
    size = int(text)
    if size < 0:
        raise ValueError(f"{text} is not a size")
    return size
