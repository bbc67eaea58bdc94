"""Read the documents in which cameras answer, XML and JSON: bounded in depth and number, and without entities."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

_DEEPEST = 32
_MOST_ELEMENTS = 50_000
# Brackets outside of texts. A text ends at a quote that no backslash precedes; one that does not end is read only once.
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?+|[\[\]{}]', re.DOTALL)


class _Bounded(ElementTree.TreeBuilder):
    """Builds the tree of a document that is neither nested too deep nor has too many elements."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = self._count = 0

    def start(self, tag: Any, attributes: Any, /) -> ElementTree.Element:
        self._depth += 1
        self._count += 1
        if self._depth > _DEEPEST or self._count > _MOST_ELEMENTS:
            raise ValueError("it is nested too deep, or has too many elements")
        return super().start(tag, attributes)

    def end(self, tag: str, /) -> ElementTree.Element:
        self._depth -= 1
        return super().end(tag)


def parse_xml(data: bytes) -> ElementTree.Element:
    """Return the root element of *data*. Raises ValueError unless that is XML in UTF-8, without a document type.

    A document type can define entities, which make a long text of a short one, and no answer of a camera needs one.
    """
    text = data.decode("utf-8-sig")
    if "<!DOCTYPE" in text:
        raise ValueError("it has a document type")
    parser = ElementTree.XMLParser(target=_Bounded())
    try:
        parser.feed(text)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, LookupError, RecursionError, TypeError) as error:
        raise ValueError(str(error)) from None
    return root


def nodes(root: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    """Return the elements called *name* in *root*, itself included, in any XML namespace."""
    return (node for node in root.iter() if local_name(node) == name)


def local_name(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def parse_json(data: bytes) -> dict[str, Any]:
    """Return the JSON object in *data*. Raises ValueError for anything else, and for one that is nested too deep."""
    text = data.decode("utf-8-sig")
    depth = 0
    for match in _BRACKETS.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > _DEEPEST:
                raise ValueError("it is nested too deep")
        elif match[0] in "]}":
            depth -= 1
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("it is not a JSON object")
    return document


def find_text(table: object, *keys: str) -> str:
    """Return the text at the path *keys* in a JSON document; "" where there is none."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, str) else ""


def find_table(table: object, *keys: str) -> dict[str, Any]:
    """Return the object at the path *keys* in a JSON document; an empty one where there is none."""
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else {}
