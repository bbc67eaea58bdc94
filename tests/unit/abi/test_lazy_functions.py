"""Functions that are missing, and that a loader looks up when they are called: the process starts without them.

Tried with glibc's loader on a computer: without -z now, such a program starts, and ends at the first call.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.abi import trees
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, make_elf
from tests.unit.abi.test_wild_values import DATA, POLICIES, dynamic_entries, with_word

from incamera.abi.audit import audit_path
from incamera.abi.findings import Finding, Kind, Severity
from incamera.elf.file import read_lazy_functions

FLAGS, FLAGS_1 = 30, 0x6FFFFFFB
LOADERS = {"armv7hf": "/lib/ld-linux-armhf.so.3", "aarch64": "/lib/ld-linux-aarch64.so.1"}
MACHINES = {"armv7hf": EM_ARM, "aarch64": EM_AARCH64}


def library(architecture: str, *, at_once: bool) -> bytes:
    """A library that calls a function which no library has: `pow` has got another name."""
    data = (DATA / f"{architecture}-library.so").read_bytes().replace(b"\0pow\0", b"\0pox\0")
    entries = dynamic_entries(data)
    for tag, bit in ((FLAGS, 8), (FLAGS_1, 1)):
        if tag in entries:
            offset, value = entries[tag]
            data = with_word(data, offset, value | bit if at_once else value & ~bit)
    return data


def audit(folder: Path, architecture: str, data: bytes) -> list[Finding]:
    program = make_elf(
        machine=MACHINES[architecture],
        needed=["libanswer.so.1"],
        runpath="$ORIGIN/lib",
        interpreter=LOADERS[architecture],
        program=True,
    )
    files: dict[str, bytes | str] = {"app": program, "lib/libanswer.so.1": data, "package.conf": b'APPNAME="app"\n'}
    report = audit_path(trees.package(folder / "app.eap", files), POLICIES[architecture])
    return [one for one in report.findings if one.kind is Kind.missing_symbol]


@pytest.mark.parametrize("architecture", MACHINES)
@pytest.mark.parametrize("at_once", [False, True])
def test_missing_function_that_is_looked_up_when_it_is_called_ends_the_process_there(
    tmp_path: Path, architecture: str, at_once: bool
) -> None:
    (finding,) = audit(tmp_path, architecture, library(architecture, at_once=at_once))
    assert finding.needs == "pox"
    assert finding.severity is (Severity.error if at_once else Severity.warning)
    assert ("the process starts" in finding.provides) is not at_once


@pytest.mark.parametrize("architecture", MACHINES)
def test_functions_that_only_calls_need_are_lazy_unless_all_are_looked_up_at_once(
    tmp_path: Path, architecture: str
) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(library(architecture, at_once=True))
    assert read_lazy_functions(path) == frozenset()
    path.write_bytes(library(architecture, at_once=False))
    assert "pox" in read_lazy_functions(path)
    path.write_bytes(make_elf(machine=MACHINES[architecture], imports=["pox"]))
    assert read_lazy_functions(path) == frozenset()
