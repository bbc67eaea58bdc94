"""Make protocol.h and protocol.py of protocol.toml: `python make_protocol.py`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REMARK = "Made by make_protocol.py of protocol.toml: change that, and run `python make_protocol.py`."
LONGEST_LINE = 120
TYPES = {"text": "str", "number": "int", "flag": "bool"}
Table = Mapping[str, Any]


def render() -> dict[str, str]:
    """Return the texts of protocol.h and protocol.py, by name."""
    table = tomllib.loads((HERE / "protocol.toml").read_text("utf-8"))
    return {"protocol.h": "\n".join(as_c(table)) + "\n", "protocol.py": "\n".join(as_python(table)) + "\n"}


def as_c(table: Table) -> Iterator[str]:
    yield f"/* {REMARK} */"
    yield "#ifndef PROTOCOL_H"
    yield "#define PROTOCOL_H"
    yield ""
    yield "enum exit_code {"
    for name, (number, meaning) in table["exit_codes"].items():
        yield f"    EXIT_{name.upper()} = {number}, /* {meaning} */"
    yield "};"
    yield ""
    for name, (value, meaning) in (table["names"] | table["numbers"]).items():
        yield f"#define {name} {json.dumps(value)} /* {meaning} */"
    yield ""
    yield "/* X(name, function) for each verb of the guard. */"
    yield "#define VERBS(X) \\"
    yield " \\\n".join(f'    X("{name}", guard_{name.replace("-", "_")})' for name in table["verbs"])
    yield ""
    yield "/* The kinds of entries in a listing. */"
    yield "enum {"
    for name, letter in table["entries"].items():
        yield f"    {name} = '{letter}',"
    yield "};"
    yield ""
    yield "/* The kinds of answers, and the keys of their fields. */"
    for name in table["answers"]:
        yield f'#define ANSWER_{name.upper()} "{name}"'
    parts = [*table["answers"].values(), *table["parts"].values()]
    for name in sorted({name for part in parts for name in fields(part)}):
        yield f'#define KEY_{name.upper()} "{name}"'
    yield ""
    yield "#endif"


def as_python(table: Table) -> Iterator[str]:
    yield f'"""What the host and the guard on a device have in common.\n\n{REMARK}\n"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "from collections.abc import Mapping"
    yield "from enum import IntEnum, StrEnum"
    yield "from typing import Final"
    yield ""
    yield "from incamera.runtime.launcher.answer_fields import Fields"
    yield "\n"
    yield "class ExitCode(IntEnum):"
    yield '    """How the guard and the launcher end, when they do not succeed."""'
    yield ""
    for name, (number, meaning) in table["exit_codes"].items():
        yield f"    {name} = {number}"
        yield f'    """{meaning}"""'
    yield "\n"
    yield "class Verb(StrEnum):"
    yield '    """What the guard is asked to do: its first argument."""'
    yield ""
    for name, meaning in table["verbs"].items():
        yield f'    {name.replace("-", "_")} = "{name}"'
        yield f'    """{meaning}"""'
    yield "\n"
    for name, (value, meaning) in (table["names"] | table["numbers"]).items():
        yield f"{name}: Final = {json.dumps(value)}"
        yield f'"""{meaning}"""'
    for name, letter in table["entries"].items():
        yield f"{name}: Final = {json.dumps(letter)}"
    yield "\n"
    yield "class Answer(Fields):"
    yield '    """What a verb of the guard prints: one JSON object of one of the kinds below."""'
    for section, bases in (("parts", "(Fields)"), ("answers", "(Answer)")):
        for kind, part in table[section].items():
            yield "\n"
            yield from as_class(kind, part, bases)
    yield "\n"
    yield "# Each kind's class, and the types of its fields."
    for constant, section, base in (("PARTS", "parts", "object"), ("ANSWERS", "answers", "Answer")):
        yield f"{constant}: Final[Mapping[str, tuple[type[{base}], Mapping[str, str]]]] = {{"
        for kind, part in table[section].items():
            types = {name: kind_of_field for name, (kind_of_field, _) in fields(part).items()}
            row = f"    {json.dumps(kind)}: ({class_name(kind)}, {json.dumps(types)}),"
            if len(row) <= LONGEST_LINE:
                yield row
                continue
            yield f"    {json.dumps(kind)}: ("
            yield f"        {class_name(kind)},"
            yield "        {"
            for name, type_ in types.items():
                yield f"            {json.dumps(name)}: {json.dumps(type_)},"
            yield "        },"
            yield "    ),"
        yield "}"


def as_class(kind: str, part: Table, bases: str) -> Iterator[str]:
    yield f"class {class_name(kind)}{bases}:"
    yield f'    """{part["about"]}"""'
    for number, (name, (type_, meaning)) in enumerate(fields(part).items()):
        if not number:
            yield ""
        yield f"    {name}: {python_type(type_)}"
        yield f'    """{meaning}"""'


def fields(part: Table) -> dict[str, tuple[str, str]]:
    """Return the type and the meaning of each field."""
    pairs = {name: text.partition(": ") for name, text in part.items() if name != "about"}
    return {name: (type_, meaning) for name, (type_, _, meaning) in pairs.items()}


def class_name(kind: str) -> str:
    return kind.title().replace("_", "")


def python_type(text: str) -> str:
    if text.endswith("?"):
        return f"{python_type(text[:-1])} | None"
    if text.startswith("["):
        return f"tuple[{python_type(text[1:-1])}, ...]"
    return TYPES.get(text) or class_name(text)


def main() -> None:
    for name, text in render().items():
        (HERE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
