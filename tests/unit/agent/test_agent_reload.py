"""What an app keeps when its code changes."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

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


def lines(agent: AgentProcess) -> list[list[str]]:
    return [line.split() for line in agent.output["stdout"].decode().splitlines()]


def begin(agent: AgentProcess) -> None:
    agent.change({"app.py": KEEPS.replace("@WORD@", "one"), "helper.py": "WORD = 'a'\n"})
    agent.start()
    agent.await_output(b"one a")


def test_a_reload_keeps_what_is_dear_and_reads_the_rest_anew(agent: AgentProcess) -> None:
    begin(agent)
    agent.change({"app.py": KEEPS.replace("@WORD@", "two"), "helper.py": "WORD = 'b'\n"})
    told = agent.ask("reload", "reloaded", run="r")
    agent.await_output(b"two b")
    opened, first, returned, second = lines(agent)
    assert told["kept"] == ["stream"]
    assert (opened, returned) == (["opened"], ["returned"])
    assert first[2:] == second[2:]
    # Only the helper: the second and every later reload work the same way.
    agent.change({"helper.py": "WORD = 'c'\n"})
    agent.ask("reload", "reloaded", run="r")
    agent.await_output(b"two c")
    agent.change({"app.py": "print('end')\n"})
    agent.ask("reload", "reloaded", run="r")
    assert agent.wait("exited")["code"] == 0
    # What the new code doesn't keep is closed when the process ends.
    assert lines(agent)[-2:] == [["end"], ["closed"]]


def test_what_is_not_kept_any_more_is_closed_at_the_next_reload(agent: AgentProcess) -> None:
    begin(agent)
    loop = (
        "from incamera_agent import reloading\nimport time\nprint('@', flush=True)\n"
        "while not reloading(): time.sleep(0.01)\n"
    )
    agent.change({"app.py": loop.replace("@", "without")})
    agent.ask("reload", "reloaded", run="r")
    agent.await_output(b"without")
    assert ["closed"] not in lines(agent)
    agent.change({"app.py": loop.replace("@", "still")})
    assert agent.ask("reload", "reloaded", run="r")["kept"] == ["stream"]
    agent.await_output(b"still")
    assert lines(agent)[-2:] == [["closed"], ["still"]]


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ("import time\nprint('on', flush=True)\ntime.sleep(60)\n", "it never asks"),
        (
            "import time\nfrom incamera_agent import reloading\nreloading()\nprint('on', flush=True)\ntime.sleep(60)\n",
            "it asks once",
        ),
        (
            "import threading, time\nfrom incamera_agent import reloading\n"
            "threading.Thread(target=time.sleep, args=(60,)).start()\nprint('on', flush=True)\n"
            "while not reloading(): time.sleep(0.01)\n",
            "a thread goes on",
        ),
    ],
    ids=lambda value: value if "\n" not in value else "",
)
def test_an_app_that_does_not_return_is_started_anew(agent: AgentProcess, app: str, why: str) -> None:
    agent.change({"app.py": app})
    first = agent.start()
    agent.await_output(b"on")
    agent.change({"app.py": "print('new', flush=True)\nimport time\ntime.sleep(60)\n"})
    told = agent.ask("reload", "restarted", run="r", grace=0.5)
    agent.await_output(b"new")
    assert told["pid"] != first["pid"]
    assert told["warm"] is True
    assert not [message for message, _ in agent.messages if message["type"] == "exited"]


def test_an_app_that_has_ended_is_started_again(agent: AgentProcess) -> None:
    agent.run("import sys; print(sys.argv[1:])")
    agent.change({"app.py": "import sys; print('new', sys.argv[1:])"})
    agent.ask("reload", "restarted", run="r", arguments=["app.py", "word"])
    agent.wait("exited")
    assert agent.output["stdout"] == b"[]\nnew ['word']\n"


def test_an_error_while_returning_is_shown_and_the_new_code_runs(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import time\nfrom incamera_agent import reloading\nprint('on', flush=True)\n"
            "while not reloading(): time.sleep(0.01)\n1 / 0\n"
        }
    )
    agent.start()
    agent.await_output(b"on")
    agent.change({"app.py": "print('new')\n"})
    agent.ask("reload", "reloaded", run="r")
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"on\nnew\n"
    assert agent.output["stderr"].startswith(b'Traceback (most recent call last):\n  File "')
    assert agent.output["stderr"].rstrip().endswith(b"ZeroDivisionError: division by zero")
    assert b"incamera_agent" not in agent.output["stderr"]


def test_reloads_in_a_row_end_with_the_newest_code(agent: AgentProcess) -> None:
    begin(agent)
    for number in range(20):
        agent.change({"helper.py": f"WORD = 'w{number}'\n"})
        agent.send("reload", run="r")
    agent.await_output(b"w19 ")
    agent.send("stop", run="r", grace=1)
    agent.wait("exited")


def test_a_restart_for_which_there_is_no_room_is_told_and_the_next_one_works(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start()
    agent.await_output(b"on")
    agent.change({"app.py": "print('new', flush=True)\n"})
    limits = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
    # Room for two, to look at /proc: not for the streams of another run.
    used = {int(entry.name) for entry in Path(f"/proc/{agent.process.pid}/fd").iterdir()}
    limit = next(number for number in count(2) if number - sum(each < number for each in used) == 2)
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (limit, limits[1]))
    agent.send("reload", run="r", grace=0.5)
    assert "Too many open files" in agent.wait("error")["message"]
    resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, limits)
    agent.ask("reload", "restarted", run="r")
    assert agent.wait("exited")["code"] == 0
    assert agent.output["stdout"] == b"on\nnew\n"


def test_what_is_stopped_while_it_should_reload_is_not_started_again(agent: AgentProcess) -> None:
    """The app returns late: it is still to load the new code when it is stopped."""
    late = "import time\nfrom incamera_agent import reloading\nprint('on', flush=True)\ntime.sleep(60)\n"
    agent.change({"app.py": late})
    agent.start()
    agent.await_output(b"on")
    agent.send("reload", run="r", grace=20)
    agent.send("stop", run="r", grace=1)
    agent.wait("exited")
    assert agent.output["stdout"] == b"on\n"
    assert not [message for message, _ in agent.messages if message["type"] == "restarted"]


def test_what_is_stopped_while_it_is_started_again_ends(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start()
    agent.await_output(b"on")
    # Everything in one piece: the new process is not there when the agent reads the last of it.
    agent.send("signal", run="r", name="KILL")
    agent.wait("exited")
    agent.send("reload", run="r")
    agent.send("stop", run="r", grace=1)
    assert agent.wait("exited")["reason"] == "stopped"


def test_reloads_in_a_row_of_an_app_that_never_asks_end_with_the_newest_code(agent: AgentProcess) -> None:
    agent.change(
        {"app.py": "import helper, time\nprint(helper.WORD, flush=True)\ntime.sleep(60)\n", "helper.py": "WORD = 'a'"}
    )
    agent.start()
    agent.await_output(b"a\n")
    for number in range(10):
        agent.change({"helper.py": f"WORD = 'w{number}'\n"})
        agent.send("reload", run="r", grace=0.5)
    agent.await_output(b"w9\n")
    time.sleep(0.1)
    assert lines(agent)[-1] == ["w9"]


def test_without_an_agent_it_is_made_and_closed_and_nobody_reloads() -> None:
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
