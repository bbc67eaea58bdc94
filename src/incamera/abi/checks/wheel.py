"""Checks of a wheel's tags against its files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.abi.checks.python import parse_module_name
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.loader_rule import parse_version
from incamera.archives import BadArchive
from incamera.targets.suite import target_pythons

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.subject import Subject

_MANYLINUX = re.compile(r"manylinux_(?P<major>[0-9]{1,4})_(?P<minor>[0-9]{1,4})_(?P<machine>\w+)")
_REQUIRES = re.compile(r"^Requires-Dist: *([A-Za-z0-9._-]+)(.*)$", re.MULTILINE)
_EXTRA = re.compile(r";.*\bextra\b")
_MAX_METADATA_BYTES = 4_000_000
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MACHINES = {
    "armv7l": "EM_ARM", "armv6l": "EM_ARM", "aarch64": "EM_AARCH64", "x86_64": "EM_X86_64", "i686": "EM_386",
}  # fmt: skip


def wheel_tags(name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
    """Return the Python tags, ABI tags and platform tags in a wheel's file *name*; None for another file name."""
    parts = name.removesuffix(".whl").split("-")
    if not name.endswith(".whl") or len(parts) not in (5, 6):
        return None
    python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
    return python, abi, platform


def python_of(name: str) -> str | None:
    """Return the Python version in a wheel's file *name* (`3.11`); None where it fits several.

    A wheel for the stable ABI fits that version and all later ones: then it is the oldest of a target that it fits.
    """
    tags = wheel_tags(name)
    if tags is None or len(tags[0]) != 1:
        return None
    match = re.fullmatch(r"cp([0-9])([0-9]{1,4})", tags[0][0])
    if not match:
        return None
    version = int(match[1]), int(match[2])
    if "abi3" in tags[1]:
        return next((python for python in target_pythons() if tuple(map(int, python.split("."))) >= version), None)
    return f"{match[1]}.{match[2]}"


def has_platform_tag(subject: Subject) -> bool:
    """Return whether *subject* is a wheel for certain machines only."""
    tags = wheel_tags(subject.wheel) if subject.wheel else None
    return tags is not None and "any" not in tags[2]


def required_by_wheel(subject: Subject) -> list[str]:
    """Return the names of the distributions that *subject* requires in any case; none where it is no wheel."""
    if subject.wheel is None:
        return []
    headers = _read_description(subject, "METADATA").partition("\n\n")[0]
    return [match[1] for match in _REQUIRES.finditer(headers) if not _EXTRA.search(match[2])]


def _read_description(subject: Subject, file: str) -> str:
    """Return the *file* of the wheel's dist-info folder as text; "" when there is none."""
    path = next((path.relative_to(subject.root) for path in subject.root.glob(f"*.dist-info/{file}")), None)
    try:
        text = subject.read(path.as_posix(), limit=_MAX_METADATA_BYTES) if path is not None else b""
    except (OSError, BadArchive):
        return ""
    return text.decode("utf-8", "replace").replace("\r\n", "\n")


def find_invalid_wheel(subject: Subject) -> Iterator[Finding]:
    """Yield an error for a wheel that tools refuse to install, and warnings for a wheel that lacks files or tags."""
    if subject.wheel is None or subject.damage or subject.emptiness:
        return
    if subject.record.refused:
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=subject.wheel,
            needs="a valid wheel",
            provides=subject.record.refused,
            remedy="download it again, or use another version of the package",
        )
    if subject.record.lost:
        lost = subject.record.lost
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.warning,
            file=subject.wheel,
            needs="the files in its RECORD",
            provides=f"no {lost[0]}" + (f" and {len(lost) - 1} more" if len(lost) > 1 else ""),
            remedy="download it again, or report it to its authors",
        )
    version = _read_format(subject)
    if version.partition(".")[0] != "1":
        yield Finding(
            kind=Kind.malformed,
            severity=Severity.error,
            file=subject.wheel,
            needs=f"a tool that installs wheels of the format {version}",
            provides="the format 1.0, which incamera, pip and uv know",
            remedy="use another version of the package",
        )
    if wheel_tags(subject.wheel) is None:
        yield Finding(
            kind=Kind.wrong_tag,
            severity=Severity.warning,
            file=subject.wheel,
            needs="a name with its tags: NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            provides="a name without tags, which no tool installs",
            remedy="give it back the name that it was published with",
        )


def _read_format(subject: Subject) -> str:
    """Return the Wheel-Version of a wheel; "1.0" where nothing says so."""
    text = _read_description(subject, "WHEEL")
    match = re.search(r"^Wheel-Version: *(\S+)", text, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else "1.0"


def find_wrong_tags(subject: Subject, policy: Policy) -> Iterator[Finding]:
    """Yield a warning for each tag that the wheel's files contradict. Other checks tell whether the files work."""
    tags = wheel_tags(subject.wheel) if subject.wheel else None
    if tags is None:
        return
    pythons, _, platforms = tags
    valid = [item for item in subject.objects.values() if not item.damage]
    if "any" in platforms:
        if valid:
            tags_say = f"only files that fit every machine ({'.'.join(platforms)})"
            yield _wrong_tag(subject, tags_say, valid[0].path, "tag it for its platform")
        return
    machines = {machine for tag in platforms if (machine := _machine(tag))}
    others = [item for item in valid if machines and item.facts.machine not in machines]
    if others:
        tags_say = f"files for {'.'.join(platforms)}"
        yield _wrong_tag(subject, tags_say, f"{others[0].path}, for another machine", "build it again")
    if policy.architecture.facts.elf_machine not in machines and machines:
        yield Finding(
            kind=Kind.wrong_architecture,
            severity=Severity.error if valid else Severity.warning,
            file=subject.wheel or subject.name,
            needs=".".join(platforms),
            provides=f"linux_{policy.architecture.facts.wheel}",
            remedy="use the wheel for that platform, or build it",
        )
    oldest = min((version for tag in platforms if (version := _glibc(tag))), default=None)
    if oldest is not None:
        for item in valid:
            newer = [
                version
                for versions in item.facts.needs.values()
                for version in versions
                if version.startswith("GLIBC_2") and parse_version(version) > oldest
            ]
            if newer:
                name = max(newer, key=parse_version)
                tags_say = f"glibc {oldest[0]}.{oldest[1]}"
                yield _wrong_tag(subject, tags_say, f"{item.path}, which needs {name}", "repair it with auditwheel")
                break
    yield from _wrong_python_tags(subject, pythons, valid)


def _wrong_python_tags(subject: Subject, pythons: Sequence[str], valid: Sequence[Object]) -> Iterator[Finding]:
    versions = {tag[2:] for tag in pythons if re.fullmatch(r"cp\d\d+", tag)}
    abis = wheel_tags(subject.wheel or "") or ((), (), ())
    if "abi3" in abis[1]:
        return
    for item in valid:
        name = parse_module_name(item.name)
        if versions and name and name.version and name.version not in versions:
            yield _wrong_tag(subject, f"Python {'.'.join(pythons)}", item.path, "build it again")
            return


def _machine(tag: str) -> str | None:
    return next((elf for name, elf in _MACHINES.items() if tag.endswith(f"_{name}")), None)


def _glibc(tag: str) -> tuple[int, ...] | None:
    if match := _MANYLINUX.fullmatch(tag):
        return int(match["major"]), int(match["minor"])
    return _OLD_NAMES.get(tag.partition("_")[0])


def _wrong_tag(subject: Subject, tags_say: str, files_have: str, remedy: str) -> Finding:
    return Finding(
        kind=Kind.wrong_tag,
        severity=Severity.warning,
        file=subject.wheel or subject.name,
        needs=f"{tags_say}, as its tags say",
        provides=files_have,
        remedy=f"{remedy}, and report it to its authors",
    )
