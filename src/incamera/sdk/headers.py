"""Writes the headers of the camera's libraries from the tables."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from itertools import groupby

from incamera.sdk.tables import Function, Header, Library, axis_os_number

AXIS_OS_HEADER = "incamera-axis-os.h"
_AXIS_OS = """\
/*
 * The AXIS OS that the headers of the camera's libraries are for: 1208 stands for 12.8. What is newer is not declared.
 * Define it on the compiler's command line (-DINCAMERA_AXIS_OS=1111). By default, everything is declared.
 */
#ifndef INCAMERA_AXIS_OS_H
#define INCAMERA_AXIS_OS_H

#ifndef INCAMERA_AXIS_OS
#define INCAMERA_AXIS_OS 9999
#endif

#endif
"""
_WIDTH = 100


def render_headers(library: Library) -> dict[str, str]:
    """Return the text of each header of *library*, by name."""
    texts = {header.name: "\n".join(_render(header, library)) + "\n" for header in library.headers}
    return {AXIS_OS_HEADER: _AXIS_OS} | texts


def _render(header: Header, library: Library) -> Iterator[str]:
    guard = "INCAMERA_" + re.sub(r"\W", "_", header.name).upper()
    since = f"{library.title}, in the camera since AXIS OS {library.since}."
    yield from _comment(f"{header.about} {since} Made by incamera from data/{library.name}.toml.")
    yield f"#ifndef {guard}"
    yield f"#define {guard}"
    yield ""
    depth = "../" * header.name.count("/")
    yield f'#include "{depth}{AXIS_OS_HEADER}"'
    yield from (f"#include {name}" for name in header.includes)
    yield ""
    yield "#ifdef __cplusplus"
    yield 'extern "C" {'
    yield "#endif"
    if header.declarations.strip():
        yield ""
        yield header.declarations.strip()
    for since, functions in groupby(header.functions, key=lambda function: function.since):
        yield ""
        newer = since != library.since
        if newer:
            yield f"#if INCAMERA_AXIS_OS >= {axis_os_number(since)}"
        for function in functions:
            yield from _declare(function)
        if newer:
            yield "#endif"
    yield ""
    yield "#ifdef __cplusplus"
    yield "}"
    yield "#endif"
    yield ""
    yield "#endif"


def _declare(function: Function) -> Iterator[str]:
    note = function.note
    if function.after:
        note = f"{note} Newer than AXIS OS {function.after}; in {function.since} at the latest.".strip()
    if note:
        yield from _comment(note)
    if function.body:
        yield from _wrap(f"static inline {function.c}")
        yield "{"
        yield from (f"    {line}".rstrip() for line in function.body.strip().splitlines())
        yield "}"
    elif function.deprecated:
        yield "G_GNUC_BEGIN_IGNORE_DEPRECATIONS"
        yield from _wrap(f"{function.c};")
        yield "G_GNUC_END_IGNORE_DEPRECATIONS"
    else:
        yield from _wrap(f"{function.c};")


def _wrap(declaration: str) -> list[str]:
    return textwrap.wrap(declaration, _WIDTH, subsequent_indent="    ", break_long_words=False)


def _comment(text: str) -> list[str]:
    if len(text) <= _WIDTH - 6:
        return [f"/* {text} */"]
    lines = textwrap.wrap(text, _WIDTH - 3)
    return ["/*", *(f" * {line}" for line in lines), " */"]
