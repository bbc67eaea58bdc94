"""The agent runs apps in one working folder, whatever it shows: the bundle, or the live folder."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.runtime.launcher import require_launcher

from .agent_process import AgentProcess

if TYPE_CHECKING:
    from tests.unit.agent.agent_process import Message

pytestmark = pytest.mark.starts_processes

TELL = "import os\nimport helper\nprint(os.getcwd(), os.environ['PWD'], open('words.txt').read(), helper.NAME)\n"
FILES = {"app.py": TELL, "helper.py": "NAME = 'deployed'\n", "words.txt": "deployed"}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "place/incamera/.work/bell"


@pytest.fixture
def agent(tmp_path: Path, work: Path) -> Iterator[AgentProcess]:
    bundle = tmp_path / "bundle"
    (bundle / "bin").mkdir(parents=True)
    (bundle / "bin/python3").symlink_to(Path(sys.executable).resolve())
    shutil.copy(require_launcher(platform.machine()), bundle / "bin/incamera-guard")
    (bundle / "app").mkdir()
    for path, text in FILES.items():
        (bundle / "app" / path).write_text(text)
    subprocess.run([bundle / "bin/incamera-guard", "show", bundle / "app", work], check=True)
    python = str(bundle / "bin/python3")
    options = ["--work", str(work), "--kept"]
    # The folder of a kept agent is that of its run, below /tmp.
    run = tempfile.mkdtemp(prefix="incamera-run-")
    environment = {"INCAMERA_RUN": Path(run).name, "PWD": str(work / "app")}
    agent = AgentProcess(
        tmp_path / "agents",
        bundle / "app",
        python=python,
        words=options,
        environment=environment,
        start_in=work / "app",
    )
    yield agent
    agent.close()
    shutil.rmtree(run, ignore_errors=True)


def tell(agent: AgentProcess) -> list[str]:
    agent.output.update(stdout=b"", stderr=b"")
    agent.start()
    agent.wait_for("exited")
    assert not agent.output["stderr"]
    return agent.output["stdout"].decode().split()


def test_folder_stays_when_files_are_edited(agent: AgentProcess, work: Path) -> None:
    agent.hello()
    app = str(work / "app")
    assert tell(agent) == [app, app, "deployed", "deployed"]
    agent.open()
    agent.change({"words.txt": "edited", "helper.py": "from more import NAME\n", "more.py": "NAME = 'new'\n"})
    (work / "app/written.txt").write_text("by the app")
    assert tell(agent) == [app, app, "edited", "new"]
    agent.change({"more.py": None, "helper.py": "import os\nNAME = os.path.exists('more.py')\n"})
    assert tell(agent) == [app, app, "edited", "False"]
    assert (work / "app/written.txt").read_text() == "by the app"


def test_reload_shows_the_new_files_in_the_same_folder(agent: AgentProcess, work: Path) -> None:
    source = (
        "import os, time\nimport helper\nfrom incamera_agent import reloading\n"
        "print(os.getcwd(), sorted(os.listdir()), helper.NAME, flush=True)\n"
        "while not reloading():\n    time.sleep(0.01)\n"
    )
    agent.hello()
    agent.open()
    agent.change({"app.py": source})
    agent.start()
    agent.wait_for_output(b"deployed\n")
    agent.change({"helper.py": "NAME = 'edited'\n", "words.txt": None, "more.txt": "1"})
    answer: Message = agent.ask("reload", "reloaded", run="r")
    assert answer["run"] == "r"
    agent.wait_for_output(b"edited\n")
    agent.stop()
    names = ["app.py", "helper.py", "words.txt"]
    after = ["app.py", "helper.py", "more.txt"]
    first, second = agent.output["stdout"].decode().splitlines()
    assert first.startswith(f"{work}/app ")
    assert second.startswith(f"{work}/app ")
    assert all(f"'{name}'" in first for name in names)
    assert all(f"'{name}'" in second for name in after)
    assert "words.txt" not in second


def test_another_runs_files_are_replaced_at_the_next_start(agent: AgentProcess, work: Path, tmp_path: Path) -> None:
    agent.hello()
    assert tell(agent)[2] == "deployed"
    (tmp_path / "other").mkdir()
    (work / "files").unlink()
    (work / "files").symlink_to(tmp_path / "other")
    assert tell(agent)[2] == "deployed"
