"""Completion offers choices for words and file names for paths."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from incamera.__main__ import main


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["share", "att"], ["attach"]),
        (["deploy", "--to", "s"], ["sdcard", "share"]),
        (["run", "--form", "sq"], ["squashfs"]),
        (["share", "serve", "cam"], ["camera"]),
        (["share", "add", "--password-file", "pass"], ["password"]),
        (["run", "-C", "cam"], ["camera"]),
        (["top", "--flame", "out"], ["out.svg"]),
        (["share", "attach", "cam"], []),  # a share's name is not a path
    ],
)
def test_tab_completes(
    words: list[str], offered: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("password", "out.svg"):
        (tmp_path / name).touch()
    (tmp_path / "camera").mkdir()
    assert main(["completion", "bash"]) == 0
    line = " ".join(["incamera", *words])
    ask = f'COMP_WORDS=({line}); COMP_CWORD={len(words)}; _shtab_incamera; echo "${{COMPREPLY[@]}}"'
    script = f"{capsys.readouterr().out}\n{ask}"
    answer = subprocess.run(["bash", "-c", script], cwd=tmp_path, text=True, capture_output=True, check=True)
    assert sorted(answer.stdout.split()) == offered
