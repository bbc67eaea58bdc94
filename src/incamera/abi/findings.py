"""What an audit says: findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# Raise it when the same files are judged differently than before.
FORMAT = 1


class Kind(StrEnum):
    """Each is explained in docs/reference/audit.md, by this name."""

    wrong_architecture = "wrong-architecture"
    float_abi = "float-abi"
    cpu_feature = "cpu-feature"
    symbol_version = "symbol-version"
    missing_symbol = "missing-symbol"
    missing_library = "missing-library"
    shared_library_conflict = "shared-library-conflict"
    bundled_camera_library = "bundled-camera-library"
    wrong_python_version = "wrong-python-version"
    wrong_suffix = "wrong-suffix"
    time64 = "time64"
    page_size = "page-size"
    executable_stack = "executable-stack"
    run_path = "run-path"
    text_relocations = "text-relocations"
    lying_tag = "lying-tag"
    malformed = "malformed"


class Severity(StrEnum):
    error = "error"
    """It cannot work there."""
    warning = "warning"
    """It works, or nobody can tell from the files; a reader should know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One mismatch: *file* needs something, the camera (with the bundle) provides something else."""

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
    """All that was found. `loader` says in words whose loader and C library will be used; `limits` what nobody saw."""

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
    """Return what `to_json` made a document of. Raises ValueError."""
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
