"""Edit the metadata block of a script as if it were a pyproject.toml: with its comments and order."""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.project.changes import read_bytes
from incamera.project.lone_script import script_project
from incamera.project.script import Script, find_block, read_source, replace_block
from incamera.project.toml_text import TomlText

if TYPE_CHECKING:
    from incamera.project.settings import Project

_IN_A_PROJECT = ("project", "dependencies")
_IN_A_BLOCK = ("dependencies",)
_EMPTY = "dependencies = []\n"


class BlockText(TomlText):
    """The TOML text of a block. What a pyproject.toml has in `project.dependencies` is in `dependencies` here."""

    def find(self, *path: str) -> Any:
        return super().find(*_in_block(path))

    def insert(self, path: tuple[str, ...], text: str) -> None:
        super().insert(_in_block(path), text)

    def replace(self, path: tuple[str, ...], position: int, text: str) -> None:
        super().replace(_in_block(path), position, text)

    def discard(self, path: tuple[str, ...], position: int) -> None:
        super().discard(_in_block(path), position)


def _in_block(path: tuple[str, ...]) -> tuple[str, ...]:
    return _IN_A_BLOCK if path == _IN_A_PROJECT else path


class ScriptEdit:
    """A change of the script *path* that is not written yet. `toml` is its block, or an empty one.

    Raises UsageError when there is no such file, ConfigError when its block is faulty.
    """

    def __init__(self, path: Path, locks: Path) -> None:
        self.path = path
        self._locks = locks
        self._text = read_source(path)
        self.before = read_bytes(path) or b""
        block, _ = find_block(self._text, str(path))
        content = block.content if block is not None else _EMPTY
        self.toml = BlockText(content, f"{path}, the block in line {block.first_line}" if block else str(path))
        if self.toml.find(*_IN_A_BLOCK) is None:
            self.toml = BlockText(_EMPTY + content, str(path))

    @property
    def project(self) -> Project:
        """The script as it is edited so far. Raises ConfigError."""
        return script_project(Script(path=self.path, text=self._text, table=self.toml.values), self._locks)

    @property
    def after(self) -> bytes:
        """The edited script: in its encoding, with its line ends. Raises ConfigError."""
        text = replace_block(self._text, self.toml.text, str(self.path))
        if b"\r\n" in self.before:
            text = text.replace("\n", "\r\n")
        encoding, _ = tokenize.detect_encoding(io.BytesIO(self.before).readline)
        return text.encode(encoding)
