"""A recording in the file format of Speedscope: a profile for each thread, its samples in the order seen.

The format is https://www.speedscope.app/file-format-schema.json (described in Speedscope's
src/lib/file-format-spec.ts, read November 2026).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import incamera

if TYPE_CHECKING:
    from incamera.observe.stacks import Frame, Recording


def render_speedscope(recording: Recording, title: str) -> bytes:
    """Return the file. Each sample weighs as many seconds as lie between two samples."""
    numbers: dict[Frame, int] = {}
    profiles = []
    for name, stacks in recording.threads.items():
        profiles.append(
            {
                "type": "sampled",
                "name": name,
                "unit": "seconds",
                "startValue": 0,
                "endValue": len(stacks) * recording.interval,
                "samples": [[numbers.setdefault(frame, len(numbers)) for frame in stack] for stack in stacks],
                "weights": [recording.interval] * len(stacks),
            }
        )
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "name": title,
        "exporter": f"incamera@{incamera.__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": frame.function, "file": frame.file, "line": frame.line} for frame in numbers]},
        "profiles": profiles,
    }
    return json.dumps(document, separators=(",", ":")).encode()
