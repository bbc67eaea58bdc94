"""Groups of parameters that are made and removed over param.cgi, such as stream profiles."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from incamera.axis_os.parameters import ROOT, may_be, setting_failed

_LONGEST = 2048
_FIELDS = ("action", "template", "group", "force", "usergroup", "responseformat")


@dataclass(frozen=True, slots=True)
class Template:
    """What a new group has: *defaults*. It comes below *parent*, with *letter* and a number as its name.

    *limit*: the parameter that says how many groups there may be.
    """

    parent: str
    letter: str
    limit: str
    defaults: Mapping[str, str]


# Its name, its parameters and its limit: documented, the limit recorded. Its values at first: ours.
TEMPLATES = {
    "streamprofile": Template(
        "root.StreamProfile", "S", "root.StreamProfile.MaxGroups", {"Name": "", "Description": "", "Parameters": ""}
    )
}


class RequestFailed(Exception):
    """No group was made, or none removed; the text says why."""


def add_group(parameters: Mapping[str, str], fields: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the parameters of the group that *fields* ask for, and the text to answer. Raises RequestFailed."""
    template = TEMPLATES.get(fields.get("template", "").lower())
    if template is None:
        raise RequestFailed(f"there is no template '{fields.get('template', '')[:40]}'")
    if _full(fields.get("group", "")).lower() != template.parent.lower():
        raise RequestFailed(f"the template does not fit the group '{fields.get('group', '')[:40]}'")
    taken = {group for name in parameters if (group := find_group(name))}
    siblings = {group for group in taken if group.startswith(f"{template.parent}.")}
    most = int(parameters[template.limit])
    if len(siblings) >= most and fields.get("force") != "yes":
        raise RequestFailed(f"there are {most} groups already")
    number = next(one for one in count() if f"{template.parent}.{template.letter}{one}" not in taken)
    entry = f"{template.letter}{number}"
    found = {f"{template.parent}.{entry}.{name}": value for name, value in template.defaults.items()}
    names = {name.lower(): name for name in found}
    errors = ""
    for field, value in fields.items():
        if field in _FIELDS:
            continue
        start = f"{template.parent}.{template.letter}.".lower()
        wanted = _full(field).lower()
        own = names.get(f"{template.parent}.{entry}.".lower() + wanted.removeprefix(start))
        if own is None or not wanted.startswith(start) or len(value) > _LONGEST or not may_be(own, value):
            errors += setting_failed(field[:80], value[:80])
        else:
            found[own] = value
    return found, f"{errors}{entry} OK\n"


def find_removed(parameters: Mapping[str, str], fields: Mapping[str, str]) -> list[str]:
    """Return the names of the parameters that go with the groups of *fields*. Raises RequestFailed."""
    known = {one.lower(): one for name in parameters if (one := find_group(name))}
    found = []
    for wanted in fields.get("group", "").split(","):
        group = known.get(_full(wanted).lower())
        if group is None:
            raise RequestFailed(f"the group '{wanted[:40]}' cannot be removed")
        found += [name for name in parameters if name.startswith(f"{group}.")]
    return found


def find_group(name: str) -> str:
    """Return the group that was made from a template and has the parameter *name*; "" for one of another group."""
    for template in TEMPLATES.values():
        if match := re.match(rf"{re.escape(template.parent)}\.{template.letter}[0-9]+(?=\.)", name):
            return match[0]
    return ""


def _full(name: str) -> str:
    return name if name.startswith(ROOT) else ROOT + name
