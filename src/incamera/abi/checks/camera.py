"""Checks of what a bundle shares with the camera: the camera's own libraries, and the width of time_t."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.loader_rule import LIBC_FAMILY
from incamera.abi.policy import Policy, load_api
from incamera.abi.remedies import container_of, leave_out

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.process import Load
    from incamera.abi.subject import Subject

_BASE = re.compile(r"(?P<base>lib[\w+-]+)\.so.*")
# Libraries without functions that take or return a time.
_WITHOUT_TIMES = re.compile(r"lib(?:gcc_s|stdc\+\+|gomp|atomic|gfortran|z|m)\.so\..*")


def find_bundled_camera_library(item: Object, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for a copy of a library that must come from the camera."""
    bases = {match["base"] for name in load_api() if (match := _BASE.fullmatch(name))}
    names = (item.name, item.facts.soname or "")
    if any((match := _BASE.fullmatch(name)) and match["base"] in bases for name in names):
        yield Finding(
            kind=Kind.bundled_camera_library,
            severity=Severity.error,
            file=item.path,
            needs="to be the camera's own: it talks to a service of the same firmware",
            provides=f"a copy in {container_of(subject)}",
            remedy=leave_out(subject, "it"),
        )


def find_time_mismatch(loads: Sequence[Load], policy: Policy) -> Iterator[Finding]:
    """Yield a warning for each file and library that it uses whose time_t differ in width. No loader checks that."""
    seen = set()
    bits: dict[Object, int | None] = {}
    for load in loads:
        for (item, name), found in load.found.items():
            if found is None or not item.ours or (item, name) in seen:
                continue
            seen.add((item, name))
            if item.facts.bits != 32 or LIBC_FAMILY.fullmatch(name) or _WITHOUT_TIMES.fullmatch(name):
                continue
            for one in (item, found):
                if one not in bits:
                    bits[one] = policy.time_bits if one.camera and policy.time_bits else one.time_bits
            width, other_width = bits[item], bits[found]
            if width is not None and other_width is not None and width != other_width:
                yield Finding(
                    kind=Kind.time64,
                    severity=Severity.warning,
                    file=item.path,
                    needs=f"a time_t of {width} bits",
                    provides=f"{found.path}, whose time_t has {other_width}",
                    remedy="build it with "
                    + ("-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64" if other_width == 64 else "-U_TIME_BITS"),
                )
