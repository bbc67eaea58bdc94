"""What AXIS OS versions would say about a package, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from incamera.units import escape_controls

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.workflows.package_check import Check


def show_check(console: Console, check: Check) -> None:
    """Print all that an AXIS OS demands, and its verdict. Names of a stranger stay within their line."""
    for demand in check.demands:
        kind = "must change" if demand.is_broken else "note"
        console.paragraph(escape_controls(f"{kind}: {demand}. {_sentence(demand.remedy)}"))
    for finding in check.report.findings:
        kind = "must change" if finding.severity == "error" else "note"
        text = f"{finding.file} needs {finding.needs}; there is {finding.provides}. {_sentence(finding.remedy)}"
        console.paragraph(escape_controls(f"{kind}: AXIS OS {check.generation}: {text}"))
    verdict = "would refuse it, or could not run it" if check.problems else "nothing speaks against it"
    console.paragraph(f"AXIS OS {check.generation}: {verdict}")
    console.print("")


def _sentence(text: str) -> str:
    """Return *text* with a capital letter, unless it begins with a path or a name."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def check_to_json(check: Check) -> dict[str, Any]:
    return {
        "axis_os": check.generation,
        "accepted": not check.problems,
        "demands": [
            {"key": demand.key, "text": demand.text, "remedy": demand.remedy, "broken": demand.is_broken}
            for demand in check.demands
        ],
        "report": check.report.to_json(),
    }
