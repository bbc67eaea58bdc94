"""Picks the useful lines out of a failed build's output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_COMPILER_LINES = re.compile(
    r"(:\d+: )?(fatal )?error: |undefined reference|undefined symbol|: cannot find |unable to find .*lib|incamera: "
    r"|:\d+:\d+: ERROR: |CMake Error",
    re.IGNORECASE,
)
# Lines that report a failed command, but not the reason.
_NOT_A_REASON = ("error: command", "error: subprocess", "error: metadata-generation", "error: legacy-install")
_SHOWN_LINES = 12


def explain_output(lines: Sequence[str], dropped: Iterable[str]) -> str:
    """Return the compilers' errors in *lines*, or else the last lines; then a note for each *dropped* option."""
    errors = [number for number, line in enumerate(lines) if _COMPILER_LINES.search(line)]
    errors = [number for number in errors if not lines[number].lower().startswith(_NOT_A_REASON)]
    # Compilers print the source line and a marker below their message.
    shown = sorted({near for number in errors for near in range(number, min(number + 3, len(lines)))})
    # Without repetitions, as of tools that try several times.
    chosen = list(dict.fromkeys(lines[number] for number in shown))[:_SHOWN_LINES] or list(lines[-2 * _SHOWN_LINES :])
    notes = [f"note: left out {what}: a folder or an option of this computer" for what in dropped]
    return "\n".join([*chosen, *notes])
