"""The programs of the tutorial's third chapter."""

from __future__ import annotations

import re
from pathlib import Path

CHAPTER = Path(__file__).parents[3] / "docs/tutorial/see-through-the-camera.md"


def programs() -> list[str]:
    """Return the chapter's programs in their order."""
    text = CHAPTER.read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def program(name: str) -> str:
    """Return the program whose docstring begins with *name*."""
    [found] = [text for text in programs() if text.startswith(f'"""{name}')]
    return found
