"""Checks of what a bundle shares with the camera: the camera's own libraries, and the width of time_t."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from incamera.abi.camera_api import find_api, firmware_names
from incamera.abi.findings import Finding, Kind, Severity
from incamera.abi.loader_rule import LIBC_FAMILY
from incamera.abi.remedies import bring_library, container_of, leave_out, recompile

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.abi.policy import Policy
    from incamera.abi.process import Load
    from incamera.abi.subject import Subject

# Libraries without functions that take or return a time.
_WITHOUT_TIMES = re.compile(r"lib(?:gcc_s|stdc\+\+|gomp|atomic|gfortran|z|m)\.so\..*")


def find_bundled_camera_library(item: Object, subject: Subject) -> Iterator[Finding]:
    """Yield a finding for a copy of a library that must come from the camera."""
    if any(firmware_names().fullmatch(name) for name in (item.name, item.facts.soname or "")):
        yield Finding(
            kind=Kind.bundled_camera_library,
            severity=Severity.error,
            file=item.path,
            needs="to be the camera's own: it talks to a service of the same firmware",
            provides=f"a copy in {container_of(subject)}",
            remedy=leave_out(subject, "it"),
        )


def find_unconfirmed_libraries(loads: Sequence[Load], subject: Subject, policy: Policy) -> Iterator[Finding]:
    """Yield a warning for each file that needs a library of which it is not certain that the camera has it."""
    for item, name in dict.fromkeys(key for load in loads for key in load.found if key[0].ours):
        found = next(load.found[item, name] for load in loads if (item, name) in load.found)
        doubt = policy.doubt(name) if found is not None and found.camera else ""
        if doubt:
            library = find_api(name)
            firmware = library is not None and library.firmware
            yield Finding(
                kind=Kind.unconfirmed_library,
                severity=Severity.warning,
                file=item.path,
                needs=name,
                provides=doubt,
                remedy="check with a camera: `incamera audit --device NAME`"
                + ("" if firmware else f"; or {bring_library(subject, name)}"),
            )


def find_time_mismatch(loads: Sequence[Load], subject: Subject, policy: Policy) -> Iterator[Finding]:
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
                    remedy=recompile(
                        subject,
                        "-D_TIME_BITS=64 -D_FILE_OFFSET_BITS=64" if other_width == 64 else "-U_TIME_BITS",
                        path=item.path,
                    ),
                )
