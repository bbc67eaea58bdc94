"""What is known of the camera's libraries: functions, headers, symbol versions. One file in `data` for each library.

The headers, the import libraries and the pkg-config files are made from these tables. Fields of a file:

    title        its name in documentation
    soname       what the loader searches in the camera
    link         X of `-lX`, where it is not that of the soname
    since        the first AXIS OS that has the library, and its functions where they say nothing else
    pkg_config   names for pkg-config
    requires     what pkg-config adds: names of other packages
    archives     static libraries that programs name when they link; here they are empty
    source       which of [sources] tells the signatures; `node_source`, the symbol versions
    guessed      what no source tells, each a sentence
    nodes        symbol versions in the order of their age
    headers      each with its name, `about`, `includes`, `declarations` (C text), and functions

A function has `c`, its declaration, and may have:

    since        if it is newer than the library
    after        the newest AXIS OS that is known to lack it, if that is not the one before `since`
    node         its symbol version. Without one, no source tells it. The import library then has the function without a
                 version, and the camera's loader takes the version that the camera has
    body         C code of a function that the header defines, and that no library has
    deprecated   true, if its declaration has types that GLib has deprecated
    note         a comment
    source       as above
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from incamera.sdk.digest import DATA

LIBRARIES = (
    "vdo",
    "larod",
    "axevent",
    "axparameter",
    "axstorage",
    "axoverlay",
    "axoverlay2",
    "bbox",
    "licensekey",
    "mdb",
    "datahub",
)

_NAME = re.compile(r"([A-Za-z_]\w*)\((?!\*)")
_AXIS_OS = re.compile(r"[1-9]\d?\.\d{1,2}")
_SONAME = re.compile(r"lib([\w-]+)\.so\.\d+")


class BadTable(ValueError):
    """A table in `data` is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """A function of a library; this module's docstring describes the fields."""

    name: str
    c: str
    since: str
    source: str
    after: str = ""
    node: str = ""
    body: str = ""
    deprecated: bool = False
    note: str = ""

    @property
    def is_exported(self) -> bool:
        """Whether the library has it."""
        return not self.body


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """A header: `includes` with their quotes or brackets."""

    name: str
    about: str
    includes: tuple[str, ...]
    declarations: str
    functions: tuple[Function, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A library of the camera; this module's docstring describes the fields."""

    name: str
    title: str
    soname: str
    link: str
    since: str
    pkg_config: tuple[str, ...]
    requires: tuple[str, ...]
    archives: tuple[str, ...]
    guessed: tuple[str, ...]
    nodes: tuple[str, ...]
    sources: Mapping[str, str]
    headers: tuple[Header, ...]

    @property
    def functions(self) -> Iterator[Function]:
        """All functions that the library exports."""
        for header in self.headers:
            yield from (function for function in header.functions if function.is_exported)

    @property
    def needs_glib(self) -> bool:
        """Whether its headers include those of GLib."""
        return any(name.startswith(("glib", "gobject", "gio")) for name in self.requires)


@cache
def load_libraries() -> Mapping[str, Library]:
    """Return the camera's libraries by name. Raises BadTable."""
    return {name: load_library(name) for name in LIBRARIES}


@cache
def load_library(name: str) -> Library:
    """Return the library *name* of `LIBRARIES`. Raises BadTable."""
    return parse_library(name, tomllib.loads((DATA / f"{name}.toml").read_text("utf-8")))


def parse_library(name: str, table: Mapping[str, Any]) -> Library:
    """Return the library that *table* describes. Raises BadTable."""
    try:
        match = _SONAME.fullmatch(table["soname"])
        library = Library(
            name=name,
            title=table["title"],
            soname=table["soname"],
            link=table.get("link") or (match[1] if match else ""),
            since=_axis_os(table["since"]),
            pkg_config=tuple(table["pkg_config"]),
            requires=tuple(table.get("requires", ())),
            archives=tuple(table.get("archives", ())),
            guessed=tuple(table.get("guessed", ())),
            nodes=tuple(table.get("nodes", ())),
            sources=dict(table["sources"]),
            headers=tuple(_parse_header(header, table) for header in table["headers"]),
        )
    except KeyError as error:
        raise BadTable(f"{name}.toml lacks {error}") from error
    except ValueError as error:
        raise BadTable(f"{name}.toml: {error}") from error
    _check(library)
    return library


def _parse_header(table: Mapping[str, Any], library: Mapping[str, Any]) -> Header:
    return Header(
        name=table["name"],
        about=table["about"],
        includes=tuple(table.get("includes", ())),
        declarations=table.get("declarations", ""),
        functions=tuple(_parse_function(function, library) for function in table.get("functions", ())),
    )


def _parse_function(table: Mapping[str, Any], library: Mapping[str, Any]) -> Function:
    values = dict(table)
    match = _NAME.search(values["c"])
    if match is None:
        raise BadTable(f"no function is declared by {values['c']!r}")
    values.setdefault("source", library["source"])
    if values["source"] not in library["sources"]:
        raise BadTable(f"{match[1]}: [sources] has no {values['source']!r}")
    if "node" in values and library["node_source"] not in library["sources"]:
        raise BadTable(f"[sources] has no {library['node_source']!r}")
    since = _axis_os(values.pop("since", library["since"]))
    try:
        return Function(name=match[1], since=since, **values)
    except TypeError as error:
        raise BadTable(f"{match[1]}: {error}") from error


def _axis_os(text: str) -> str:
    if not _AXIS_OS.fullmatch(text):
        raise BadTable(f"{text!r} is no AXIS OS, which is written as 12.8")
    return text


def _check(library: Library) -> None:
    if not library.link:
        raise BadTable(f"{library.name}.toml: link is missing, and cannot be read from {library.soname!r}")
    names = [function.name for header in library.headers for function in header.functions]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadTable(f"{library.name}.toml has {', '.join(sorted(twice))} twice")
    for function in library.functions:
        if function.node and function.node not in library.nodes:
            raise BadTable(f"{library.name}.toml: {function.name} has the node {function.node}, which is not in nodes")


def axis_os_number(text: str) -> int:
    """Return what INCAMERA_AXIS_OS is for an AXIS OS: 1208 for "12.8"."""
    major, _, minor = text.partition(".")
    return int(major) * 100 + int(minor)
