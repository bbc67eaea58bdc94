"""What a package says about itself, in whatever form: a manifest, or package.conf alone. Nothing of it is trusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from incamera.eap.conf import PACKAGE_CONF
from incamera.eap.conf_reading import document_of, parse_package_conf
from incamera.eap.demands import Demand, check_demands
from incamera.eap.manifest import FILE as MANIFEST
from incamera.eap.manifest import Manifest
from incamera.eap.needs import find_missing, find_needs
from incamera.eap.reading import Grade, Problem, Reading
from incamera.eap.schema import check_manifest
from incamera.eap.uses import Use


@dataclass(kw_only=True)
class Description:
    """The *document* of a package's manifest, or what package.conf has of it. *source*: the file that it comes from.

    *faults*: why a camera may refuse the manifest; the document then need not have what the schema requires.
    """

    source: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def text(self, *path: str) -> str:
        """Return the text (or the number, as a text) at *path* of the document; "" where there is none."""
        value = self._find(path)
        return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""

    def texts(self, *path: str) -> list[str]:
        """Return the texts of the list at *path*."""
        value = self._find(path)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def table(self, *path: str) -> Mapping[str, Any]:
        """Return the object at *path*; an empty one where there is none."""
        value = self._find(path)
        return value if isinstance(value, dict) else {}

    def rows(self, *path: str) -> list[dict[str, str]]:
        """Return the objects of the list at *path*, each with its values as texts."""
        value = self._find(path)
        return [
            {str(key): Description(document=row).text(key) for key in row}
            for row in (value if isinstance(value, list) else ())
            if isinstance(row, dict)
        ]

    def setup(self, name: str) -> str:
        return self.text("acapPackageConf", "setup", name)

    @property
    def schema(self) -> str:
        """The version of the manifest's schema; "" for a package without a manifest."""
        return self.text("schemaVersion") if self.source == MANIFEST else ""

    def _find(self, path: tuple[str, ...]) -> object:
        value: object = self.document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def demands(self, generation: str, *, is_signed: bool) -> list[Demand]:
        """Return what AXIS OS *generation* demands of the package, as `incamera package --for` does for its own."""
        if not self.source:
            text = f"there is neither {MANIFEST} nor {PACKAGE_CONF} that can be read"
            return [Demand(generation, "", text, "make the package again", is_broken=True)]
        if self.faults:
            return [Demand(generation, MANIFEST, text, "correct it", is_broken=True) for text in self.faults]
        manifest = Manifest(self.document, is_file=self.source == MANIFEST)
        return check_demands(manifest, generation, is_signed=is_signed)


def describe(reading: Reading) -> Description:
    """Return what the package says about itself. What of that cannot be read is added to its problems."""
    if MANIFEST in reading.texts:
        try:
            document = json.loads(reading.texts[MANIFEST].decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            reading.add(Grade.damage, MANIFEST, f"it is not JSON: {error or 'nested too deep'}")
        else:
            if isinstance(document, dict):
                description = _describe_manifest(document)
                reading.problems.extend(_compare(description, reading))
                return description
            reading.add(Grade.damage, MANIFEST, "it is not a JSON object")
    if PACKAGE_CONF in reading.texts:
        description = Description(source=PACKAGE_CONF, document=document_of(reading.texts))
        reading.problems.extend(_compare(description, reading))
        return description
    if reading.members:
        reading.add(Grade.damage, "", f"it has no {MANIFEST} and no {PACKAGE_CONF} that can be read")
    return Description()


def _describe_manifest(document: dict[str, Any]) -> Description:
    description = Description(source=MANIFEST, document=document)
    try:
        for problem in check_manifest(document):
            (description.unknown if problem.is_unknown else description.faults).append(str(problem))
        Description(source=MANIFEST, document=document).demands("11", is_signed=True)
    except (ValueError, RecursionError):  # numbers with thousands of digits
        description.faults.append("a number in it is too large, or it is nested too deep")
    return description


def _compare(description: Description, reading: Reading) -> list[Problem]:
    """Return where *description* does not fit the files of the package."""
    found = []
    app = description.setup("appName")
    programs = [member for member in reading.members if member.path == app]
    if not app:
        found.append(Problem(Grade.note, description.source, "it has no name of the app"))
    elif not programs:
        found.append(Problem(Grade.note, app, "there is no such file, which a camera would start"))
    elif programs[-1].link == "" and not programs[-1].mode & 0o111:
        found.append(Problem(Grade.note, app, "a camera would start it, but it is not executable"))
    if "LICENSE" not in {member.path for member in reading.members}:
        found.append(Problem(Grade.note, "LICENSE", "there is none, although each package must have one"))
    if description.source == MANIFEST and PACKAGE_CONF in reading.texts:
        named = parse_package_conf(reading.texts[PACKAGE_CONF]).get("APPNAME", app)
        if named != app:
            found.append(Problem(Grade.note, PACKAGE_CONF, f"it names the app {named}, and the manifest {app}"))
    if description.source == MANIFEST and not description.faults:
        libraries = [
            Use(library, path, is_library=True)
            for path, elf in reading.elfs.items()
            if elf.facts is not None
            for library in elf.facts.needed
        ]
        for need in find_missing(description.document, find_needs([*reading.uses, *libraries])):
            found.append(Problem(Grade.note, MANIFEST, f"it lacks {need.text}, but {need.why}"))
    return found
