"""Make protocol.h and protocol.py of protocol.toml: `python make_protocol.py`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REMARK = "Made by make_protocol.py of protocol.toml: change that, and run `python make_protocol.py`."


def render() -> dict[str, str]:
    """Return the texts of protocol.h and protocol.py, by name."""
    table = tomllib.loads((HERE / "protocol.toml").read_text("utf-8"))
    return {"protocol.h": "\n".join(as_c(table)) + "\n", "protocol.py": "\n".join(as_python(table)) + "\n"}


def as_c(table: Mapping[str, Any]) -> Iterator[str]:
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
    verbs = [f'    X("{name}", guard_{name.replace("-", "_")})' for name in table["verbs"]]
    yield " \\\n".join(verbs)
    yield ""
    yield "/* The kinds of entries in a listing. */"
    yield "enum {"
    for name, letter in table["entries"].items():
        yield f"    {name} = '{letter}',"
    yield "};"
    yield ""
    yield "#endif"


def as_python(table: Mapping[str, Any]) -> Iterator[str]:
    yield '"""What the host and the guard on a device have in common.'
    yield ""
    yield REMARK
    yield '"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "from enum import IntEnum, StrEnum"
    yield "from typing import Final"
    yield ""
    yield ""
    yield "class ExitCode(IntEnum):"
    yield '    """How the guard and the launcher end, when they do not succeed."""'
    yield ""
    for name, (number, meaning) in table["exit_codes"].items():
        yield f"    {name} = {number}"
        yield f'    """{meaning}"""'
    yield ""
    yield ""
    yield "class Verb(StrEnum):"
    yield '    """What the guard is asked to do: its first argument."""'
    yield ""
    for name, meaning in table["verbs"].items():
        yield f'    {name.replace("-", "_")} = "{name}"'
        yield f'    """{meaning}"""'
    yield ""
    yield ""
    for name, (value, meaning) in (table["names"] | table["numbers"]).items():
        yield f"{name}: Final = {json.dumps(value)}"
        yield f'"""{meaning}"""'
    for name, letter in table["entries"].items():
        yield f"{name}: Final = {json.dumps(letter)}"


def main() -> None:
    for name, text in render().items():
        (HERE / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
