"""What a manifest must ask for: groups, D-Bus methods, resources of what the app uses. data/needs.toml has facts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.eap.schema import load_schemas, parse_version

if TYPE_CHECKING:
    from incamera.eap.schema import Version
    from incamera.eap.uses import Use

GROUPS = "resources.linux.user.groups"
METHODS = "resources.dbus.requiredMethods"
_ALSO = {GROUPS: "conditionalGroups", METHODS: "conditionalMethods"}


@dataclass(frozen=True, slots=True)
class Need:
    """The *key* of a manifest needs *value*: an item of a list, or the value of a resource. *why*: "app.py uses …"."""

    key: str
    value: Any
    why: str

    @property
    def since(self) -> Version:
        """The first version of the schema that has the key."""
        above, _, name = self.key.rpartition(".")
        return load_schemas().keys[above][name].rules[0][0]

    @property
    def text(self) -> str:
        """What is missing, for people: `the group "video"`."""
        if self.key == GROUPS:
            return f'the group "{self.value}"'
        return (
            f"the D-Bus method {self.value}" if self.key == METHODS else f"the resource {self.key.rpartition('.')[2]}"
        )


@cache
def _table() -> Sequence[Mapping[str, Any]]:
    rows: Sequence[Mapping[str, Any]] = tomllib.loads(
        (Path(__file__).parent / "data" / "needs.toml").read_text("utf-8")
    )["needs"]
    return rows


def find_needs(uses: Iterable[Use]) -> list[Need]:
    """Return what a manifest needs for *uses*, each once."""
    found: dict[tuple[str, str], Need] = {}
    for use in uses:
        word = "libraries" if use.is_library else "modules"
        for row in _table():
            if use.name not in row.get(word, ()):
                continue
            needs = [Need(GROUPS, group, str(use)) for group in row.get("groups", ())]
            needs += [Need(METHODS, method, str(use)) for method in row.get("methods", ())]
            needs += [Need(f"resources.{name}", value, str(use)) for name, value in row.get("resources", {}).items()]
            for need in needs:
                found.setdefault((need.key, str(need.value)), need)
    return list(found.values())


def find_missing(document: Mapping[str, Any], needs: Iterable[Need]) -> list[Need]:
    """Return those of *needs* that the manifest *document* does not ask for."""
    return [need for need in needs if not _has(document, need)]


def _has(document: Mapping[str, Any], need: Need) -> bool:
    if need.key not in _ALSO:
        return _find(document, need.key) is not None
    # An account that the package names itself has a group of its own.
    if need.key == GROUPS and _find(document, "acapPackageConf.setup.user.group") == need.value:
        return True
    above = need.key.rpartition(".")[0]
    lists = [_find(document, need.key), _find(document, f"{above}.{_ALSO[need.key]}")]
    return any(
        isinstance(item, str) and fnmatchcase(need.value, item)
        for items in lists
        if isinstance(items, list)
        for item in items
    )


def _find(document: object, key: str) -> object:
    for name in key.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def add_needs(document: Mapping[str, Any], needs: Iterable[Need]) -> dict[str, Any]:
    """Return the manifest *document* with *needs*. Its schema becomes the first one that has them all."""
    added = deepcopy(dict(document))
    version = str(added["schemaVersion"])
    for need in needs:
        *above, name = need.key.split(".")
        table = added
        for part in above:
            table = table.setdefault(part, {})
        if need.key in _ALSO:
            table.setdefault(name, []).append(need.value)
        else:
            table[name] = deepcopy(need.value)
        if need.since > parse_version(version):
            version = ".".join(map(str, need.since))
    added["schemaVersion"] = version
    # Where the manifests of the vendor's examples have it.
    resources = {"resources": added.pop("resources")} if "resources" in added else {}
    return {"schemaVersion": added.pop("schemaVersion"), **resources, **added}
