"""Each command that prints JSON has a schema and a section on the page, which name the same keys."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.schemas import PARTS, SCHEMAS, check_output, load_schema, read_documents, schema_name, validator

from incamera.cli.parser import make_parser

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text("utf-8")
# Commands of which each document is about something that the page explains with another command.
_SHARED = re.compile(r"as above|the same")


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for child in group.choices.values():
            yield from commands(child)


WITH_JSON = sorted(
    schema_name(parser.prog)
    for parser in commands(make_parser())
    if "--json" in {option for action in parser._actions for option in action.option_strings}
)


def keys(schema: dict[str, Any]) -> set[str]:
    """Return the names of all properties that *schema* describes, at any depth."""
    found: set[str] = set(schema.get("properties", ()))
    children = [*schema.get("properties", {}).values(), *schema.get("anyOf", ()), *schema.get("allOf", ())]
    if "items" in schema:
        children.append(schema["items"])
    for child in children:
        found |= keys(child)
    if reference := re.fullmatch(r"parts\.json#/\$defs/(\w+)", schema.get("$ref", "")):
        found |= keys(load_schema(PARTS)["$defs"][reference[1]])
    return found


def sections() -> dict[str, str]:
    """Return the sections of the page by the commands that their headings name."""
    found = {}
    for section in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        named = [name.removeprefix("incamera ") for name in re.findall(r"`([^`]+)`", heading)]
        group = named[0].partition(" ")[0]
        for name in named:
            # `incamera store path`, `verify`
            known = schema_name(name) in WITH_JSON or schema_name(name.split(" --")[0]) in WITH_JSON
            found[schema_name(name.split(" --")[0] if known else f"{group} {name}")] = text
    return found


def test_every_command_with_json_has_a_schema() -> None:
    assert sorted(path.stem for path in SCHEMAS.glob("*.json") if path.stem != PARTS) == WITH_JSON


def test_every_command_with_json_is_on_the_page() -> None:
    assert sorted(sections()) == WITH_JSON


@pytest.mark.parametrize("name", [*WITH_JSON, PARTS])
def test_schema_is_valid(name: str) -> None:
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.json"


@pytest.mark.parametrize("name", WITH_JSON)
def test_page_names_each_key_of_the_schema(name: str) -> None:
    # The page describes a value once, and refers to it from then on.
    words = set(re.findall(r"[`\"]([\w ]+)[`\"]", PAGE if _SHARED.search(sections()[name]) else sections()[name]))
    assert keys(load_schema(name)) - words - {"schema"} == set()


@pytest.mark.parametrize("name", [name for name, text in sections().items() if "```json" in text])
def test_example_on_the_page_has_the_form_of_the_schema(name: str) -> None:
    (example,) = re.findall(r"```json\n(.*?)```", sections()[name], re.DOTALL)
    document = json.loads(re.sub(r",? …", "", example))
    assert [error.message for error in validator(name).iter_errors(document)] == []


def test_documents_are_compared_with_all_that_the_schema_says() -> None:
    check_output(["store", "path", "--json"], '{"schema": 1, "path": "/x"}')
    check_output(["store", "path"], "not JSON")
    process = {"pid": 1, "role": "app", "app": "x", "run": "", "command": "x", "seconds": 1, "resident": 1}
    for arguments, document in (
        (["store", "path"], {"schema": 1}),
        (["store", "path"], {"schema": 2, "path": "/x"}),
        (["store", "path"], {"schema": 1, "path": None}),
        (["store", "path"], {"schema": 1, "path": "/x", "unknown": 1}),
        (["ps"], {"schema": 1, "device": "x", "processes": [{**process, "unknown": 1}]}),
        (["ps"], {"schema": 1, "device": "x", "processes": [{**process, "role": "unknown"}]}),
        (["share", "serve"], {"schema": 1, "name": "x"}),
        (["logs", "--follow"], {"schema": 1, "time": 1, "stream": "stdout", "text": "", "unknown": 1}),
        (["device", "add", "x"], {"schema": 1, "device": "x", "facts": {}}),
    ):
        with pytest.raises(AssertionError):
            check_output([*arguments, "--json"], json.dumps(document))


def test_documents_are_read_one_after_the_other_and_an_incomplete_one_is_left_out() -> None:
    assert list(read_documents('{"a": 1}\n{\n "b": 2}\n{"c":')) == [{"a": 1}, {"b": 2}]
