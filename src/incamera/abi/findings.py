"""The result of an audit: findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Increase it when the audit's result for the same files changes, so that stored reports are not used any more.
FORMAT = 8


class Kind(StrEnum):
    """What is wrong. docs/reference/audit.md explains each."""

    wrong_architecture = "wrong-architecture"
    float_abi = "float-abi"
    cpu_feature = "cpu-feature"
    symbol_version = "symbol-version"
    missing_symbol = "missing-symbol"
    missing_library = "missing-library"
    unconfirmed_library = "unconfirmed-library"
    shared_library_conflict = "shared-library-conflict"
    bundled_camera_library = "bundled-camera-library"
    wrong_python_version = "wrong-python-version"
    wrong_suffix = "wrong-suffix"
    time64 = "time64"
    page_size = "page-size"
    executable_stack = "executable-stack"
    run_path = "run-path"
    text_relocations = "text-relocations"
    wrong_tag = "wrong-tag"
    malformed = "malformed"


class Severity(StrEnum):
    error = "error"
    """It cannot work on the camera."""
    warning = "warning"
    """It works, or the files don't say whether it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One mismatch: `file` needs something, the camera (with the bundle) provides something else.

    `remedy` says what to do about it.
    """

    kind: Kind
    severity: Severity
    file: str
    needs: str
    provides: str
    remedy: str

    def to_json(self) -> dict[str, str]:
        return {
            "kind": self.kind.value,
            "severity": self.severity.value,
            "file": self.file,
            "needs": self.needs,
            "provides": self.provides,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The findings of one audit.

    `subject` and `policy`: the names of what was audited, and of the camera or profile.
    `loader`: text that says whose loader and C library will be used.
    `files`: the number of ELF files.
    `limits`: what the audit could not check.
    """

    subject: str
    policy: str
    loader: str
    files: int
    findings: tuple[Finding, ...]
    limits: tuple[str, ...]

    @property
    def compatible(self) -> bool:
        return not self.errors

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.error)

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "policy": self.policy,
            "loader": self.loader,
            "files": self.files,
            "compatible": self.compatible,
            "findings": [finding.to_json() for finding in self.findings],
            "limits": list(self.limits),
        }


def parse_report(document: Mapping[str, Any]) -> Report:
    """Return the report in *document*, which `Report.to_json` made. Raises ValueError for anything else."""
    try:
        return Report(
            subject=document["subject"],
            policy=document["policy"],
            loader=document["loader"],
            files=document["files"],
            findings=tuple(
                Finding(**finding | {"kind": Kind(finding["kind"]), "severity": Severity(finding["severity"])})
                for finding in document["findings"]
            ),
            limits=tuple(document["limits"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a report: {error}") from error
