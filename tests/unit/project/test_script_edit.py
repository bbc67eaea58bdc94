"""Dependencies of a script's block are edited as those of a pyproject.toml, and the rest of the script stays."""

from pathlib import Path

import pytest

from incamera.project.additions import Addition, parse_addition
from incamera.project.dependency_edit import add_requirement, remove_requirement, set_bound
from incamera.project.script_edit import ScriptEdit

LOCKS = Path("/locks")


def add(path: Path, text: str) -> ScriptEdit:
    edit = ScriptEdit(path, LOCKS)
    addition = parse_addition(text, path.parent, path.parent)
    assert isinstance(addition, Addition)
    add_requirement(edit.toml, addition, None, None)
    return edit


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"import x\n", b'# /// script\n# dependencies = ["numpy>=1.24"]\n# ///\n\nimport x\n'),
        (
            b'# /// script\n# dependencies = [\n#   "attrs", # why\n# ]\n# ///\nx\n',
            b'# /// script\n# dependencies = [\n#   "attrs", # why\n#   "numpy>=1.24",\n# ]\n# ///\nx\n',
        ),
        (
            b'#!/bin/python\r\n# /// script\r\n# requires-python = ">=3.11"\r\n# ///\r\nx\r\n',
            b'#!/bin/python\r\n# /// script\r\n# dependencies = ["numpy>=1.24"]\r\n'
            b'# requires-python = ">=3.11"\r\n# ///\r\nx\r\n',
        ),
        (
            "# coding: latin-1\n# å\n".encode("latin-1"),
            '# coding: latin-1\n# /// script\n# dependencies = ["numpy>=1.24"]\n# ///\n\n# å\n'.encode("latin-1"),
        ),
    ],
)
def test_added_requirement_changes_the_block_alone(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "blink.py"
    path.write_bytes(before)
    edit = add(path, "numpy>=1.24")
    assert edit.after == after
    assert "numpy>=1.24" in edit.project.dependencies


def test_requirement_is_bounded_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "blink.py"
    path.write_text('# /// script\n# dependencies = ["attrs"]\n# ///\n')
    edit = add(path, "numpy")
    set_bound(edit.toml, None, "numpy", "1.24")
    remove_requirement(edit.toml, "attrs", None)
    assert edit.after.decode() == '# /// script\n# dependencies = ["numpy>=1.24"]\n# ///\n'
