"""What commands print with --json, compared with the schemas of docs/reference/schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from incamera.cli.parser import parse_arguments

SCHEMAS = Path(__file__).parents[1] / "docs" / "reference" / "schemas"
PARTS = "parts"


def schema_name(command: str) -> str:
    """Return the name of the file with the schema of *command*: `device-list` for `incamera device list`."""
    return command.removeprefix("incamera ").replace(" ", "-")


def load_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return schema


@cache
def validator(name: str) -> Draft202012Validator:
    """Return what compares a document with the schema *name*, without allowing any key that the schema lacks.

    The schemas themselves allow further keys, because later versions may add some.
    """
    parts = Resource.from_contents(_forbid_more(load_schema(PARTS)))
    registry: Registry[Any] = Registry().with_resource(f"{PARTS}.json", parts)
    return Draft202012Validator(_close(load_schema(name)), registry=registry)


def _close(schema: dict[str, Any]) -> dict[str, Any]:
    closed = _forbid_more(schema)
    return {**closed, "unevaluatedProperties": False} if {"properties", "$ref"} & set(closed) else closed


def _forbid_more(schema: dict[str, Any]) -> dict[str, Any]:
    """Close the objects inside of *schema*, but not itself: it may be a part of a larger one."""
    changed = dict(schema)
    for key in ("properties", "$defs"):
        close = _close if key == "properties" else _forbid_more
        if key in schema:
            changed[key] = {name: close(child) for name, child in schema[key].items()}
    if "items" in schema:
        changed["items"] = _close(schema["items"])
    for key in ("anyOf", "allOf"):
        if key in schema:
            changed[key] = [_forbid_more(child) for child in schema[key]]
    return changed


def check_output(arguments: Sequence[str], output: str) -> None:
    """Check that each JSON document in *output* has the form that is documented for the command in *arguments*."""
    parsed = parse_arguments(list(arguments))
    if not getattr(parsed, "json", False):
        return
    name = schema_name(parsed.parser.prog)
    for document in read_documents(output):
        if error := next(iter(sorted(validator(name).iter_errors(document), key=lambda error: error.path)), None):
            raise AssertionError(f"incamera {' '.join(arguments)}: {error.json_path}: {error.message}")


def read_documents(text: str) -> Iterator[Any]:
    """Yield the JSON documents in *text*. The last one is left out if it is not complete."""
    decoder = json.JSONDecoder()
    text = text.strip()
    while text:
        try:
            document, end = decoder.raw_decode(text)
        except json.JSONDecodeError:
            return
        yield document
        text = text[end:].lstrip()
