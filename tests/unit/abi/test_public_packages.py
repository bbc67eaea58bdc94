"""What the programs of public packages need is refused by no profile, unless a source says that the camera lacks it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.abi.elf_maker import EM_AARCH64, EM_ARM, make_elf
from tests.unit.abi.trees import package

from incamera.abi.audit import audit_path
from incamera.abi.findings import Kind
from incamera.abi.policy import load_policy
from incamera.targets.architecture import Architecture

DATA = Path(__file__).parents[2] / "data" / "acap_programs.toml"
PROGRAMS: list[dict[str, Any]] = tomllib.loads(DATA.read_text("utf-8"))["programs"]
# The message broker came with AXIS OS 11.9, and is not in 13.
LACKING = {"axis-os-10": {"libmdb.so.0"}, "axis-os-13": {"libmdb.so.0"}}


@pytest.mark.parametrize("generation", ["axis-os-10", "axis-os-11", "axis-os-12", "axis-os-13"])
def test_public_packages_are_refused_only_for_what_a_source_says(tmp_path: Path, generation: str) -> None:
    refused = {}
    for number, row in enumerate(PROGRAMS):
        architecture = Architecture(row["architecture"])
        program = make_elf(
            machine=EM_ARM if architecture is Architecture.armv7hf else EM_AARCH64,
            program=True,
            interpreter=f"/lib/{architecture.facts.loader}",
            needed=row["needed"],
            needs=row["versions"],
        )
        path = package(tmp_path / f"{number}.eap", {"package.conf": b'APPNAME="see"\n', "see": program})
        report = audit_path(path, load_policy(f"{generation}-{architecture}"))
        errors = {one.needs for one in report.errors} - LACKING.get(generation, set())
        if errors:
            refused[number] = errors
        # Each doubt is explained.
        doubts = [one for one in report.findings if one.kind is Kind.unconfirmed_library]
        assert all("perhaps AXIS OS" in one.provides and one.remedy for one in doubts)
    assert refused == {}
