"""What `incamera run` starts: a file, a module, or a function of a module."""

from __future__ import annotations

import re
from dataclasses import dataclass

from incamera.errors import ConfigError

_FILE = re.compile(r"[\w./-]+\.py")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_FUNCTION = re.compile(rf"({_MODULE.pattern}):([A-Za-z_]\w*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What `incamera run` starts: a file of the project (`app.py`), a module (`-m`), or a function of a module."""

    file: str | None = None
    module: str | None = None
    function: str | None = None

    def __str__(self) -> str:
        return self.file or f"{self.module}:{self.function}" if self.function else self.file or str(self.module)

    def to_arguments(self) -> list[str]:
        """Return the arguments for `python3` that start it in the app's folder."""
        if self.file is not None:
            return [f"./{self.file}" if self.file.startswith("-") else self.file]
        if self.function is None:
            return ["-m", str(self.module)]
        return ["-c", f"import sys; from {self.module} import {self.function}; sys.exit({self.function}())"]


def parse_entry(text: str, key: str = "tool.incamera.entry") -> Entry:
    """Return the entry that *text* names. Raises ConfigError, with *key*, when it names none."""
    if _FILE.fullmatch(text):
        if text.startswith("/") or ".." in text.split("/"):
            raise ConfigError(
                f'{key}: "{text}" lies outside the project', hint="name a file below the project's folder"
            )
        return Entry(file=text)
    if _MODULE.fullmatch(text):
        return Entry(module=text)
    if match := _FUNCTION.fullmatch(text):
        return Entry(module=match[1], function=match[3])
    raise ConfigError(f'{key}: cannot run "{text}"', hint='write "app.py", "package" or "package.module:function"')


def is_module_name(text: str) -> bool:
    """Whether *text* can be the name of a module, as `python -m` takes it."""
    return bool(_MODULE.fullmatch(text))
