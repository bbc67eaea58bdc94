"""The software bill of materials of a package, in the CycloneDX format 1.6."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from incamera import __version__

FILE = "sbom.cdx.json"
_SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_APP = "app"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """A package that is in the bundle. *sha256* is that of the file that it came in; "" where it has none of its own.

    *requires* are the references of the components that it needs.
    """

    reference: str
    name: str
    version: str
    purl: str
    sha256: str = ""
    requires: tuple[str, ...] = ()
    properties: Mapping[str, str] | None = None


def deb_component(name: str, version: str, architecture: str, suite: str, sha256: str) -> Component:
    """Return the component of a Debian package."""
    purl = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}&distro={suite}"
    return Component(reference=f"deb:{name}", name=name, version=version, purl=purl, sha256=sha256)


def python_component(name: str, version: str, source: str, sha256: str, requires: Sequence[str]) -> Component:
    """Return the component of a distribution from a package index. *source* is "wheel", "sdist" or "emulated"."""
    return Component(
        reference=f"python:{name}",
        name=name,
        version=version,
        purl=f"pkg:pypi/{quote(name)}@{quote(version, safe='')}",
        sha256=sha256,
        requires=tuple(f"python:{name}" for name in requires),
        properties={"incamera:source": source},
    )


def incamera_component() -> Component:
    """Return the component of what incamera itself adds to a bundle: the launcher, and the agent's module."""
    purl = f"pkg:pypi/incamera@{quote(__version__, safe='')}"
    return Component(reference="incamera", name="incamera", version=__version__, purl=purl)


def dump_sbom(name: str, version: str, components: Sequence[Component], *, identity: str) -> bytes:
    """Return the document for the app *name* with *components*.

    *identity* is a digest of what is described: the serial number is made of it, so that equal packages have equal
    documents. For the same reason there is no time in it.
    """
    known = {component.reference for component in components}
    document = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, identity).urn,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "incamera", "version": __version__}]},
            "component": {"type": "application", "bom-ref": _APP, "name": name, "version": version},
        },
        "components": [_dump(component) for component in components],
        "dependencies": [
            {"ref": _APP, "dependsOn": sorted(known)},
            *(
                {"ref": component.reference, "dependsOn": sorted(known.intersection(component.requires))}
                for component in components
            ),
        ],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _dump(component: Component) -> dict[str, object]:
    document: dict[str, object] = {
        "type": "library",
        "bom-ref": component.reference,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
    }
    if component.sha256:
        document["hashes"] = [{"alg": "SHA-256", "content": component.sha256}]
    if component.properties:
        document["properties"] = [{"name": name, "value": value} for name, value in component.properties.items()]
    return document
