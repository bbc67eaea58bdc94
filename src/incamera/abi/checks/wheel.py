"""A wheel's tags against what it holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.abi.checks.python import parse_module_name
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.process import parse_version

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.subject import Subject
    from incamera.targets.target import Target

_MANYLINUX = re.compile(r"manylinux_(?P<major>\d+)_(?P<minor>\d+)_(?P<machine>\w+)")
_OLD_NAMES = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MACHINES = {
    "armv7l": "EM_ARM", "armv6l": "EM_ARM", "aarch64": "EM_AARCH64", "x86_64": "EM_X86_64", "i686": "EM_386",
}  # fmt: skip


def wheel_tags(name: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] | None:
    """Return the interpreters, ABIs and platforms that a wheel's file name promises; None for what is no such name."""
    parts = name.removesuffix(".whl").split("-")
    if not name.endswith(".whl") or len(parts) not in (5, 6):
        return None
    python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
    return python, abi, platform


def python_of(name: str) -> str | None:
    """Return the Python version that a wheel is for (`3.11`); None where it fits several."""
    tags = wheel_tags(name)
    if tags is None or "abi3" in tags[1] or len(tags[0]) != 1:
        return None
    match = re.fullmatch(r"cp(\d)(\d+)", tags[0][0])
    return f"{match[1]}.{match[2]}" if match else None


def claims_platform(subject: Subject) -> bool:
    """Is it a wheel that says for which machines it is?"""
    tags = wheel_tags(subject.wheel) if subject.wheel else None
    return tags is not None and "any" not in tags[2]


def find_lies(subject: Subject, policy: Policy, target: Target) -> Iterator[Finding]:
    """What the tags promise and the files don't keep. Whether it works all the same is for the other checks to say."""
    tags = wheel_tags(subject.wheel) if subject.wheel else None
    if tags is None:
        return
    pythons, _, platforms = tags
    sound = [item for item in subject.objects.values() if not item.damage]
    if "any" in platforms:
        if sound:
            yield _lie(
                subject, f"no files for one machine ({'.'.join(platforms)})", sound[0].path, "tag it for its platform"
            )
        return
    machines = {machine for tag in platforms if (machine := _machine(tag))}
    strange = [item for item in sound if machines and item.facts.machine not in machines]
    if strange:
        yield _lie(
            subject, f"files for {'.'.join(platforms)}", f"{strange[0].path}, for another machine", "build it again"
        )
    if policy.architecture.facts.elf_machine not in machines and machines:
        yield Finding(
            kind=Kind.wrong_architecture,
            severity=Severity.error if sound else Severity.warning,
            file=subject.wheel or subject.name,
            needs=".".join(platforms),
            provides=f"linux_{policy.architecture.facts.wheel}",
            remedy="take the wheel for that machine, or build it",
        )
    bound = min((version for tag in platforms if (version := _glibc(tag))), default=None)
    if bound is not None:
        for item in sound:
            beyond = [
                version
                for versions in item.facts.needs.values()
                for version in versions
                if version.startswith("GLIBC_2") and parse_version(version) > bound
            ]
            if beyond:
                name = max(beyond, key=parse_version)
                yield _lie(
                    subject, f"glibc {bound[0]}.{bound[1]}", f"{item.path}, which needs {name}", "have it repaired"
                )
                break
    yield from _python_lies(subject, pythons, sound)


def _python_lies(subject: Subject, pythons: Sequence[str], sound: Sequence[Object]) -> Iterator[Finding]:
    versions = {tag[2:] for tag in pythons if re.fullmatch(r"cp\d\d+", tag)}
    abis = wheel_tags(subject.wheel or "") or ((), (), ())
    if "abi3" in abis[1]:
        return
    for item in sound:
        name = parse_module_name(item.name)
        if versions and name and name.version and name.version not in versions:
            yield _lie(subject, f"Python {'.'.join(pythons)}", item.path, "build it again")
            return


def _machine(tag: str) -> str | None:
    return next((elf for name, elf in _MACHINES.items() if tag.endswith(f"_{name}")), None)


def _glibc(tag: str) -> tuple[int, ...] | None:
    if match := _MANYLINUX.fullmatch(tag):
        return int(match["major"]), int(match["minor"])
    return _OLD_NAMES.get(tag.partition("_")[0])


def _lie(subject: Subject, promised: str, held: str, remedy: str) -> Finding:
    return Finding(
        kind=Kind.lying_tag,
        severity=Severity.warning,
        file=subject.wheel or subject.name,
        needs=f"{promised}, as its tags say",
        provides=held,
        remedy=f"{remedy}; tell its authors",
    )
