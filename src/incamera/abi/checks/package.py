"""Checks of what an .eap says about itself: a camera installs no package without a description that it can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.subject import MAX_SETTINGS_BYTES, Shape
from incamera.archives import BadArchive

if TYPE_CHECKING:
    from incamera.abi.subject import Subject

_DESCRIPTIONS = ("manifest.json", "package.conf")


def find_faulty_description(subject: Subject) -> Iterator[Finding]:
    """Yield findings for a package that has no description, or one that a camera cannot use."""
    if subject.shape is not Shape.package or subject.damage or subject.emptiness:
        return
    present = [name for name in _DESCRIPTIONS if _has_file(subject, name)]
    if not present:
        deeper = sorted(path for path in subject.files if path.rpartition("/")[2] in _DESCRIPTIONS)
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=subject.name,
            needs="package.conf or manifest.json at its top",
            provides=f"{deeper[0]}, which is in a folder" if deeper else "neither of them",
            remedy="pack the files without the folder above them" if deeper else "build it with the ACAP SDK",
        )
        return
    problem = _find_problem(subject) if "manifest.json" in present else ""
    if problem:
        yield Finding(
            kind=Kind.malformed,
            # Older AXIS OS reads package.conf alone.
            severity=Severity.warning if "package.conf" in present else Severity.error,
            file="manifest.json",
            needs="a manifest that a camera can read",
            provides=problem,
            remedy="correct manifest.json, and build the package again",
        )
    elif subject.app is not None and not _has_file(subject, subject.app):
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.warning,
            file=subject.name,
            needs=f"the program {subject.app}, which the camera starts",
            provides="no file of that name",
            remedy="give the program the name of the app, or the app that of the program",
        )


def _find_problem(subject: Subject) -> str:
    try:
        document = json.loads(subject.read("manifest.json", limit=MAX_SETTINGS_BYTES))
    except (OSError, BadArchive) as error:
        return str(error)
    except (ValueError, RecursionError) as error:
        return f"text that is not JSON: {error}"
    try:
        name = document["acapPackageConf"]["setup"]["appName"]
    except (LookupError, TypeError):
        name = None
    return "" if isinstance(name, str) and name else "no name of the app (acapPackageConf.setup.appName)"


def _has_file(subject: Subject, path: str) -> bool:
    return path in subject.files or path in subject.links
