"""The digest of a project's files."""

from __future__ import annotations

import os
from pathlib import Path

from incamera.project.files import files_digest


def test_file_whose_name_is_not_utf_8_is_one_as_any_other(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.py")
    (tmp_path / name).write_text("x = 1\n")
    (tmp_path / "app.py").write_text("x = 1\n")
    assert files_digest(tmp_path, [name]) != files_digest(tmp_path, ["app.py"])
