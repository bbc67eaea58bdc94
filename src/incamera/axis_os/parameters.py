"""A camera's parameters (param.cgi), and the file with those of an app."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.axis_os.throttle import GROUP as THROTTLE
from incamera.axis_os.xml_text import quoteattr

if TYPE_CHECKING:
    from incamera.axis_os.facts import Facts

ROOT = "root."
# Rights of users, as security levels have them (documented).
NOBODY, VIEWER, OPERATOR, ADMIN = 0, 1, 4, 6
# Who creates, deletes, reads and writes a parameter. Properties.API, Image.*.Appearance and that operators make
# stream profiles: documented. The rest: ours. The first that fits counts.
_LEVELS = {
    "root.Brand.": "7707",
    "root.Properties.": "7707",
    "root.StreamProfile.MaxGroups": "7717",
    "root.StreamProfile.": "4414",
    "root.Image.": "7744",
    "root.ImageSource.": "7744",
    "root.Network.HostName": "7716",
}
_USUAL_LEVEL = "7766"
_LINE = re.compile(r'(?P<name>[^=\s]+)="(?P<value>[^"]*)"(?: type="(?P<type>[^"]*)")?')
_PLAIN_LINE = re.compile(r"(?P<name>[^=\s]+)=(?P<value>.*)")
_MASK = "******"
_TRANSPORTS = ("both", "http", "https")
# Those that the web server obeys, with what they may be.
_CHOICES = {
    "root.Network.HTTP.AuthenticationPolicy": ("basic", "digest", "basic_digest", "recommended"),
    **{f"root.System.BoaGroupPolicy.{role}": _TRANSPORTS for role in ("admin", "operator", "viewer")},
    f"{THROTTLE}.ActivatePasswordThrottling": ("On", "Off", "on", "off"),
}
_NUMBERS = tuple(
    f"{THROTTLE}.DoS{name}"
    for name in (
        "BlockingPeriod",
        "PageCount",
        "PageInterval",
        "SiteCount",
        "SiteInterval",
    )
)
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of an app."""

    app: str
    name: str
    value: str
    type: str


def parse_parameters(app: str, text: str) -> list[Parameter]:
    """Return the parameters in the file of an app: lines `NAME="VALUE" type="TYPE"`, or `NAME=VALUE`."""
    found = []
    for line in text.splitlines():
        if match := _LINE.match(line):
            found.append(Parameter(app, match["name"], decode(match["value"]), decode(match["type"] or "string")))
        elif match := _PLAIN_LINE.fullmatch(line):
            found.append(Parameter(app, match["name"], decode(match["value"]), "string"))
    return found


def render_parameters(parameters: Iterable[Parameter]) -> str:
    """Return the file of an app with its parameters."""
    return "".join(f'{one.name}="{_quote(one.value)}" type="{_quote(one.type)}"\n' for one in parameters)


def render_change(parameter: Parameter) -> str:
    """Return the line that gives a parameter another value, for the script that sets it."""
    return f'{parameter.name}="{_quote(parameter.value)}"\n'


def decode(text: str) -> str:
    """Return *text* with `%41` as A."""

    def byte(match: re.Match[bytes]) -> bytes:
        return bytes([int(match[1], 16)])

    return re.sub(rb"%([0-9A-Fa-f]{2})", byte, text.encode("utf-8", "replace")).decode("utf-8", "replace")


def _quote(text: str) -> str:
    return text.replace("%", "%25").replace('"', "%22").replace("\n", "%0A").replace("\r", "%0D")


def own_parameters(facts: Facts) -> dict[str, str]:
    """Return the camera's own parameters, by their names with `root.`."""
    return {
        **_stored_parameters(),
        "root.Brand.WebURL": facts.rules["web_url"],
        "root.Network.HostName": facts.host_name,
        "root.Properties.Firmware.Version": facts.version,
        "root.Properties.System.Architecture": facts.architecture,
        "root.Properties.System.SerialNumber": facts.serial,
    }


@cache
def _stored_parameters() -> Mapping[str, str]:
    text = (Path(__file__).parent / "data" / "parameters.txt").read_text("utf-8")
    return dict(line.split("=", 1) for line in text.splitlines())


def app_group(app: str) -> str:
    """Return the name of the group with the parameters of *app*. The first letter is a capital there (third-party)."""
    return f"{ROOT}{app[:1].upper()}{app[1:]}."


def app_parameters(parameters: Iterable[Parameter]) -> dict[str, str]:
    """Return what param.cgi shows of *parameters* of apps, by their names with `root.`."""
    return {
        f"{app_group(one.app)}{one.name}": _MASK if one.type.startswith("password") else one.value for one in parameters
    }


def list_parameters(parameters: Mapping[str, str], group: str | None) -> str:
    """Return what `param.cgi?action=list` answers to *group*: names, groups and patterns with commas between them."""
    if not group:
        return _lines(parameters.items())
    found = []
    for wanted in group.split(","):
        prefix = "" if wanted == "root" or wanted.startswith(ROOT) else ROOT
        pattern = _pattern(prefix + wanted)
        lines = [(name.removeprefix(prefix), value) for name, value in parameters.items() if pattern.match(name)]
        found.append(_lines(lines) if lines else f"# Error: Error -1 getting param in group '{wanted}'\n")
    return "".join(found)


def _pattern(group: str) -> re.Pattern[str]:
    parts = ["[^.]*".join(map(re.escape, part.split("*"))) for part in group.rstrip(".").split(".")]
    return re.compile(r"\.".join(parts) + r"(?:\.|\Z)", re.IGNORECASE)


def security_level(name: str) -> str:
    """Return who may create, delete, read and write the parameter *name*, a digit each."""
    return next((level for start, level in _LEVELS.items() if name.startswith(start)), _USUAL_LEVEL)


def readable(parameters: Mapping[str, str], right: int) -> dict[str, str]:
    """Return those of *parameters* that a user with *right* may read."""
    return {name: value for name, value in parameters.items() if int(security_level(name)[2]) <= right}


def writing_right(name: str) -> int:
    return int(security_level(name)[3])


def _lines(items: Iterable[tuple[str, str]]) -> str:
    return "".join(f"{name}={_one_line(value)}\n" for name, value in items)


def _one_line(value: str) -> str:
    return value.replace("\r", "").replace("\n", "\\n")


def find_changes(
    parameters: Mapping[str, str], fields: Mapping[str, str], right: int = ADMIN
) -> tuple[dict[str, str], str]:
    """Return what an update with *fields* changes, by the names of *parameters*, and the text to answer.

    *right* is that of the user.
    """
    names = {name.lower(): name for name in parameters}
    changes = {}
    for field, value in fields.items():
        if field in ("action", "usergroup", "responseformat"):
            continue
        wanted = field if field.startswith(ROOT) else ROOT + field
        name = names.get(wanted.lower())
        if name is None or writing_right(name) > right or not may_be(name, value):
            return {}, setting_failed(field, value)
        changes[name] = value
    return changes, "OK"


def setting_failed(name: str, value: str) -> str:
    """Return what param.cgi answers when a parameter cannot have a value (documented)."""
    return f"# Error: Error setting '{_one_line(name)}' to '{_one_line(value)}'!\n"


def may_be(name: str, value: str) -> bool:
    """Whether the parameter *name* can have *value*."""
    return _NUMBER.fullmatch(value) is not None if name in _NUMBERS else value in _CHOICES.get(name, (value,))


def define_parameters(parameters: Mapping[str, str], group: str | None, model: str, version: str) -> str:
    """Return what `param.cgi?action=listdefinitions` answers: groups in each other, all parameters as text."""
    head = (
        '<?xml version="1.0" encoding="utf-8"?>\n<parameterDefinitions version="1.0" '
        'xmlns="http://www.axis.com/ParameterDefinitionsSchema">\n'
        f"<model>{model}</model>\n<firmwareVersion>{version}</firmwareVersion>\n"
    )
    rows, opened = [], list[str]()
    for line in list_parameters(parameters, group).splitlines():
        if line.startswith("#"):
            continue
        path, _, value = line.partition("=")
        *groups, name = path.split(".")
        shared = next(
            (index for index, (one, other) in enumerate(zip(groups, opened, strict=False)) if one != other),
            min(len(groups), len(opened)),
        )
        rows += ["</group>\n"] * (len(opened) - shared)
        rows += [f"<group name={quoteattr(one)}>\n" for one in groups[shared:]]
        opened = groups
        level = security_level(path if path.startswith(ROOT) else ROOT + path)
        rows.append(
            f"<parameter name={quoteattr(name)} value={quoteattr(value)} securityLevel={quoteattr(level)} "
            f"niceName={quoteattr(name)}><type><string /></type></parameter>\n"
        )
    rows += ["</group>\n"] * len(opened)
    return f"{head}{''.join(rows)}</parameterDefinitions>\n"
