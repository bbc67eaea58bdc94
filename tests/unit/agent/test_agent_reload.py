"""What an app keeps when its code changes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from tests.waiting import wait_until

from .agent_process import SOURCE, AgentProcess

pytestmark = pytest.mark.starts_processes

KEEPS = """\
import os, time, helper
from incamera_agent import keep, reloading

class Stream:
    def __init__(self): print("opened", flush=True)
    def close(self): print("closed", flush=True)

stream = keep("stream", Stream, close=lambda stream: stream.close())
print("@WORD@", helper.WORD, id(stream), os.getpid(), flush=True)
while not reloading():
    time.sleep(0.01)
print("returned", flush=True)
"""
# An app that returns when it is asked to.
LOOP = (
    "import time\nfrom incamera_agent import reloading\nprint('@', flush=True)\n"
    "while not reloading(): time.sleep(0.01)\n"
)
# An app that looks as if it would return when it is asked to, and does not.
DEAF = "import time\nfrom incamera_agent import reloading\nreloading()\nprint('on', flush=True)\ntime.sleep(600)\n"
NEVER_ASKS = "import time\nprint('on', flush=True)\ntime.sleep(600)\n"


def lines(agent: AgentProcess) -> list[list[str]]:
    return [line.split() for line in agent.output["stdout"].decode().splitlines()]


def begin(agent: AgentProcess) -> None:
    agent.change({"app.py": KEEPS.replace("@WORD@", "one"), "helper.py": "WORD = 'a'\n"})
    agent.start()
    agent.wait_for_output(b"one a")


def test_reload_keeps_objects_and_imports_the_rest_again(agent: AgentProcess) -> None:
    begin(agent)
    agent.change({"app.py": KEEPS.replace("@WORD@", "two"), "helper.py": "WORD = 'b'\n"})
    answer = agent.ask("reload", "reloaded", run="r", grace=60)
    agent.wait_for_output(b"two b")
    opened, first, returned, second = lines(agent)
    assert answer["kept"] == ["stream"]
    assert (opened, returned) == (["opened"], ["returned"])
    assert first[2:] == second[2:]
    # A second reload, of the helper alone.
    agent.change({"helper.py": "WORD = 'c'\n"})
    agent.ask("reload", "reloaded", run="r", grace=60)
    agent.wait_for_output(b"two c")
    agent.change({"app.py": "print('end')\n"})
    agent.ask("reload", "reloaded", run="r", grace=60)
    assert agent.wait_for("exited")["code"] == 0
    # What the new code does not ask for is closed when the process ends.
    assert lines(agent)[-2:] == [["end"], ["closed"]]


def test_object_that_the_code_did_not_ask_for_is_closed_at_the_next_reload(agent: AgentProcess) -> None:
    begin(agent)
    agent.change({"app.py": LOOP.replace("@", "without")})
    agent.ask("reload", "reloaded", run="r", grace=60)
    agent.wait_for_output(b"without")
    assert ["closed"] not in lines(agent)
    agent.change({"app.py": LOOP.replace("@", "still")})
    assert agent.ask("reload", "reloaded", run="r", grace=60)["kept"] == ["stream"]
    agent.wait_for_output(b"still")
    assert lines(agent)[-2:] == [["closed"], ["still"]]


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(NEVER_ASKS, id="never asks"),
        pytest.param(DEAF, id="asks once"),
        pytest.param(
            "import threading, time\nfrom incamera_agent import reloading\n"
            "threading.Thread(target=time.sleep, args=(60,)).start()\nprint('on', flush=True)\n"
            "while not reloading(): time.sleep(0.01)\n",
            id="a thread goes on",
        ),
    ],
)
def test_app_that_does_not_return_is_started_again(agent: AgentProcess, app: str) -> None:
    first = agent.run_until_on(app)
    agent.change({"app.py": "print('new', flush=True)\nimport time\ntime.sleep(600)\n"})
    answer = agent.ask("reload", "restarted", run="r", grace=0.5)
    agent.wait_for_output(b"new")
    assert answer["pid"] != first["pid"]
    assert answer["warm"] is True
    assert not agent.received("exited")


def test_app_that_ends_right_after_its_reload_is_not_started_again(agent: AgentProcess, tmp_path: Path) -> None:
    go = tmp_path / "go"
    asked = f"print('asked', flush=True)\nimport os\nwhile not os.path.exists({str(go)!r}): time.sleep(0.005)\n"
    app = agent.run_until_on(LOOP.replace("@", "on") + asked)
    agent.change({"app.py": "print('end')\n"})
    agent.send("reload", run="r", grace=60)
    agent.wait_for_output(b"asked")
    # The agent finds out about the reload and the end at the same time.
    os.kill(agent.process.pid, signal.SIGSTOP)
    go.touch()
    wait_until(lambda: not Path(f"/proc/{app['pid']}").exists(), "the app ends")
    os.kill(agent.process.pid, signal.SIGCONT)
    agent.wait_for("reloaded")
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"on\nasked\nend\n"


def test_app_that_has_ended_is_started_by_a_reload(agent: AgentProcess) -> None:
    agent.run("import sys; print(sys.argv[1:])")
    agent.change({"app.py": "import sys; print('new', sys.argv[1:])"})
    agent.ask("reload", "restarted", run="r", arguments=["app.py", "word"])
    agent.wait_for("exited")
    assert agent.output["stdout"] == b"[]\nnew ['word']\n"


def test_exception_on_return_is_shown_and_the_new_code_runs(agent: AgentProcess) -> None:
    agent.run_until_on(f"{LOOP.replace('@', 'on')}1 / 0\n")
    agent.change({"app.py": "print('new')\n"})
    agent.ask("reload", "reloaded", run="r", grace=60)
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"on\nnew\n"
    assert agent.output["stderr"].startswith(b'Traceback (most recent call last):\n  File "')
    assert agent.output["stderr"].rstrip().endswith(b"ZeroDivisionError: division by zero")
    assert b"incamera_agent" not in agent.output["stderr"]


def test_many_reloads_in_a_row_end_with_the_newest_code(agent: AgentProcess) -> None:
    begin(agent)
    for number in range(20):
        agent.change({"helper.py": f"WORD = 'w{number}'\n"})
        agent.send("reload", run="r", grace=60)
    agent.wait_for_output(b"w19 ")
    agent.stop()


def test_many_restarts_in_a_row_end_with_the_newest_code(agent: AgentProcess) -> None:
    agent.change(
        {"app.py": "import helper, time\nprint(helper.WORD, flush=True)\ntime.sleep(600)\n", "helper.py": "WORD = 'a'"}
    )
    agent.start()
    agent.wait_for_output(b"a\n")
    for number in range(10):
        agent.change({"helper.py": f"WORD = 'w{number}'\n"})
        agent.send("reload", run="r", grace=0.5)
    agent.wait_for_output(b"w9\n")
    agent.stop()
    assert lines(agent)[-1] == ["w9"]


def test_restart_without_free_descriptors_is_an_error_and_the_next_one_works(agent: AgentProcess) -> None:
    agent.run_until_on(NEVER_ASKS)
    agent.change({"app.py": "print('new', flush=True)\n"})
    limits = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
    # Room for two, to read /proc, and not for the streams of another run.
    used = {int(entry.name) for entry in Path(f"/proc/{agent.process.pid}/fd").iterdir()}
    limit = next(number for number in count(2) if number - sum(each < number for each in used) == 2)
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
    agent.send("reload", run="r", grace=0.5)
    assert "Too many open files" in agent.wait_for("error")["message"]
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, limits)
    agent.ask("reload", "restarted", run="r")
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"on\nnew\n"


def test_app_stopped_before_it_returns_for_a_reload_is_not_started_again(agent: AgentProcess) -> None:
    agent.run_until_on(DEAF)
    agent.send("reload", run="r", grace=60)
    agent.stop()
    assert agent.output["stdout"] == b"on\n"
    assert not agent.received("restarted")


def test_app_stopped_while_it_is_started_again_ends(agent: AgentProcess) -> None:
    agent.run_until_on(NEVER_ASKS)
    agent.send("signal", run="r", name="KILL")
    agent.wait_for("exited")
    # Both requests at once: the new process does not exist yet when the agent reads the second.
    agent.send("reload", run="r", grace=60)
    assert agent.stop()["reason"] == "stopped"


def test_keep_and_reloading_work_without_an_agent() -> None:
    source = (
        "from incamera_agent import keep, reloading\n"
        "first = keep('x', lambda: print('made') or [1], close=lambda x: print('closed', x))\n"
        "print(first is keep('x', list), reloading())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "made\nTrue False\n"
    source = source.replace("keep('x', list)", "first")
    done = subprocess.run(
        [sys.executable, "-c", source], env={"PYTHONPATH": str(SOURCE)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "made\nTrue False\nclosed [1]\n"
