"""What `ps` shows of the agent's forks."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from .agent_process import SOURCE

pytestmark = pytest.mark.starts_processes

SHOW = """\
import json, sys
from incamera_agent.forkserver.title import set_title
for words in json.load(sys.stdin):
    set_title(words)
    with open("/proc/self/cmdline", "rb") as stream:
        print(stream.read().rstrip(b"\\0").replace(b"\\0", b" ").decode())
"""


def shown(folder: Path, *titles: Sequence[str], module: str = "incamera_agent") -> list[str]:
    """Return what `ps` shows after each of *titles* is set in a process that has the words of an agent."""
    (folder / "show.py").write_text(SHOW)
    done = subprocess.run(
        [sys.executable, "show.py", "-m", module, "--app", "bell", "--user", "root@vm", "--command", "incamera run"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"},
        input=json.dumps(titles),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_title_replaces_the_words_of_the_agent(tmp_path: Path) -> None:
    server, app = shown(tmp_path, ["-m", "incamera_agent", "--fork-server"], ["app.py", "--name", "two words"])
    assert server.endswith(" show.py -m incamera_agent --fork-server")
    assert app.endswith(" show.py app.py --name two words")


def test_title_longer_than_the_words_of_the_agent_is_cut(tmp_path: Path) -> None:
    long, short = shown(tmp_path, ["app.py", "ä" * 500], ["app.py"])
    assert re.search(r" show.py app.py ä+…$", long)
    assert short.endswith(" show.py app.py")


def test_process_that_is_not_an_agent_keeps_its_title(tmp_path: Path) -> None:
    (plain,) = shown(tmp_path, ["app.py"], module="pytest")
    assert plain.endswith(" show.py -m pytest --app bell --user root@vm --command incamera run")
