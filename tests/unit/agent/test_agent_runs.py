"""What an app may do to its surroundings: nothing of it outlives the run, and nothing of it hurts the agent."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .agent_process import AgentProcess

pytestmark = pytest.mark.starts_processes

NOTE = "import os, time\ndef note(): open(os.environ['NOTES'], 'a').write(f'{os.getpid()}\\n')\n"

LEAVES = {
    "a child": "import subprocess\nsubprocess.Popen(['sleep', '60'])\n",
    "a fork": "if os.fork() == 0:\n    note(); time.sleep(60)\n",
    "a fork that ignores SIGTERM": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0:\n    note(); time.sleep(60)\n"
    ),
    "a stopped process": (
        "import signal\npid = os.fork()\nif pid == 0:\n    note(); os.kill(os.getpid(), signal.SIGSTOP)\n"
        "    time.sleep(60)\n"
        "os.waitpid(pid, os.WUNTRACED)\n"
    ),
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        note()\n"
        "        os.closerange(0, 300); time.sleep(60)\n    os._exit(0)\n"
    ),
    "a daemon with an environment of its own": (
        "import subprocess\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        note()\n        os.execve('/bin/sleep', ['sleep', '60'], {})\n"
        "    os._exit(0)\n"
    ),
}


def processes_below(pid: int) -> dict[int, str]:
    """Return what *pid* has begun, by number and command."""
    found: dict[int, str] = {}
    table = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                text = Path(f"/proc/{name}/stat").read_text()
            except OSError:
                continue
            head, _, rest = text.rpartition(")")
            if rest.split()[0] != "Z":
                table[int(name)] = (int(rest.split()[1]), head)
    more = {pid}
    while more:
        more = {child for child, (parent, _) in table.items() if parent in more}
        found |= {child: table[child][1] for child in more}
    return found


def await_alone(agent: AgentProcess, *, besides: int = 0) -> None:
    """Wait until only the warm process is left of what the agent has begun."""
    deadline = time.monotonic() + 20
    while len(left := processes_below(agent.process.pid)) > 1 + besides:
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("kind", LEAVES)
def test_what_an_app_leaves_behind_is_ended(agent: AgentProcess, tmp_path: Path, kind: str) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    agent.change({"app.py": f"{NOTE}{LEAVES[kind]}print('done')\ntime.sleep(0.2)\n"})
    agent.start(environment={"NOTES": str(notes)})
    end = agent.wait("exited")
    assert (end["code"], end["reason"], end["killed"]) == (0, None, 1)
    assert agent.output["stdout"] == b"done\n"
    assert not [pid for pid in notes.read_text().split() if is_alive(int(pid))]
    await_alone(agent)


def test_what_ends_soon_by_itself_may_finish(agent: AgentProcess) -> None:
    end = agent.run("import os, time\nif os.fork() == 0:\n    time.sleep(0.15); print('child')\n")
    assert (end["killed"], agent.output["stdout"]) == (0, b"child\n")


def test_an_app_that_ignores_sigterm_is_killed_after_the_grace(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *a: os.write(1, b'no\\n'))\n"
            "pid = os.fork()\nprint('on', flush=True)\nwhile True: time.sleep(1)\n"
        }
    )
    agent.start()
    agent.await_output(b"on\non\n")
    agent.send("stop", run="r", grace=0.3)
    end = agent.wait("exited")
    assert (end["code"], end["signal"], end["reason"]) == (None, signal.SIGKILL, "stopped"), agent.output
    assert b"no\n" in agent.output["stdout"]
    await_alone(agent)


def test_an_app_may_use_its_grace(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(5))\n"
            "try:\n    print('on', flush=True)\n    while True: time.sleep(0.05)\n"
            "finally:\n    time.sleep(0.2); print('tidy')\n"
        }
    )
    agent.start()
    agent.await_output(b"on\n")
    agent.send("stop", run="r", grace=10)
    end = agent.wait("exited")
    assert (end["code"], end["reason"], agent.output["stdout"]) == (5, "stopped", b"on\ntidy\n")


def test_an_app_that_fills_its_output_waits_and_the_agent_does_not_grow(agent: AgentProcess) -> None:
    agent.change({"app.py": "import sys\nwhile True: sys.stdout.buffer.write(bytes(65536))\n"})
    before = agent.ask("memory", "memory")["agent"]
    agent.start()
    agent.reading.clear()
    time.sleep(1)
    used = int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1]) * 4096
    agent.reading.set()
    assert used - before < 4 << 20
    # It still hears what the host says.
    agent.send("stop", run="r", grace=1)
    assert agent.wait("exited")["reason"] == "stopped"


def test_an_app_that_does_not_read_keeps_nothing_else_waiting(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    agent.start()
    for _ in range(8):
        agent.send("stdin", bytes(1 << 16), run="r")
    taken = agent.wait("consumed")["size"]
    assert 0 < taken < 8 << 16
    for _ in range(10):
        agent.send("stdin", bytes(1 << 16), run="r")
    assert agent.wait("error")["kind"] == "flood"
    agent.messages = [(message, data) for message, data in agent.messages if message["type"] != "error"]
    agent.send("stop", run="r", grace=1)
    assert agent.wait("exited")["reason"] == "stopped"


def test_input_arrives_whole_and_is_accounted_for(agent: AgentProcess) -> None:
    data = os.urandom(500_000)
    agent.change({"app.py": "import sys, hashlib\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())\n"})
    agent.start()
    sent = taken = 0
    while sent < len(data):
        piece = data[sent : sent + 30_000]
        agent.send("stdin", piece, run="r")
        sent += len(piece)
        while sent - taken > 1 << 16:
            taken += agent.wait("consumed")["size"]
    agent.send("stdin", run="r")
    agent.wait("exited")
    import hashlib

    assert agent.output["stdout"].decode().strip() == hashlib.sha256(data).hexdigest()


def test_a_terminal_is_one(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, sys\nprint(sys.stdin.isatty(), os.get_terminal_size(), os.environ['TERM'], end=' ')\n"
            "print(os.tcgetpgrp(0) == os.getpid())\n"
            "name = input('name? ')\nprint('hello', name)\nsys.stdin.read()\n"
        }
    )
    agent.start(terminal={"kind": "xterm", "columns": 91, "rows": 17})
    shown = agent.await_output(b"name? ")
    assert shown.startswith(b"True os.terminal_size(columns=91, lines=17) xterm True")
    agent.send("stdin", b"Anna\n", run="r")
    agent.await_output(b"hello Anna\r\n")
    agent.send("resize", run="r", columns=50, rows=20)
    agent.send("stdin", b"\x03", run="r")  # Ctrl-C goes through the terminal
    end = agent.wait("exited")
    assert end["signal"] == signal.SIGINT
    assert b"KeyboardInterrupt" in agent.output["stdout"]


def test_an_app_hears_that_its_terminal_has_another_size(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, signal, time\n"
            "def tell(*_):\n    os.write(1, b'%d' % os.get_terminal_size().columns); os._exit(0)\n"
            "signal.signal(signal.SIGWINCH, tell)\n"
            "print('on')\nwhile True: time.sleep(0.05)\n"
        }
    )
    agent.start(terminal={"kind": "xterm", "columns": 91, "rows": 17})
    agent.await_output(b"on")
    agent.send("resize", run="r", columns=50, rows=20)
    agent.await_output(b"50")
    assert agent.wait("exited")["code"] == 0


def test_an_app_that_uses_more_than_its_limit_is_ended_and_told_so(agent: AgentProcess) -> None:
    agent.change(
        {"app.py": "import time\nprint('on', flush=True)\nx = bytearray(b'x') * (200 << 20)\ntime.sleep(60)\n"}
    )
    agent.start(memory_limit=100 << 20)
    end = agent.wait("exited")
    assert (end["reason"], end["signal"]) == ("memory-limit", signal.SIGKILL)
    assert end["peak"] > 100 << 20


def test_within_its_limit_an_app_goes_on(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time\nx = bytearray(b'x') * (20 << 20)\ntime.sleep(0.3)\n"})
    agent.start(memory_limit=100 << 20)
    end = agent.wait("exited")
    assert (end["reason"], end["code"]) == (None, 0)
    assert end["peak"] > 20 << 20


def test_memory_is_told_while_an_app_runs(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time\nx = bytearray(b'x') * (50 << 20)\nprint('on', flush=True)\ntime.sleep(60)\n"})
    idle = agent.ask("memory", "memory")
    agent.start()
    agent.await_output(b"on")
    told = agent.wait("memory")  # unasked
    assert idle["run"] is None
    assert told["run"] > 50 << 20 > told["fork_server"] > 0
    assert told["agent"] > 0 < told["free"]
    agent.send("stop", run="r", grace=1)
    agent.wait("exited")


def test_many_runs_leave_nothing_behind(agent: AgentProcess) -> None:
    def used() -> tuple[int, int, int]:
        pids = [agent.process.pid, *processes_below(agent.process.pid)]
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        pages = int(Path(f"/proc/{agent.process.pid}/statm").read_text().split()[1])
        return len(pids), files, pages

    for number in range(5):
        agent.run(f"print({number})")
    before = used()
    for number in range(40):
        agent.run(f"print({number})")
    after = used()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 64


def test_the_agent_leaves_when_the_last_run_has_ended(agent: AgentProcess) -> None:
    slow = (
        "import signal, sys, time\ndef end(*_):\n    time.sleep(0.6)\n    print('bye', flush=True)\n    sys.exit()\n"
        "signal.signal(15, end)\n"
        "print('on', flush=True)\ntime.sleep(60)\n"
    )
    agent.change({"slow.py": slow, "quick.py": "import time\nprint('and on', flush=True)\ntime.sleep(60)\n"})
    agent.start("slow.py", run="slow")
    agent.start("quick.py", run="quick")
    agent.await_output(b"and on")
    agent.send("goodbye")
    agent.await_end()
    assert b"bye" in agent.output["stdout"]
    ended = [message["run"] for message, _ in agent.messages if message["type"] == "exited"]
    assert ended == ["quick", "slow"]
    assert agent.close() == 0


def test_when_the_host_is_gone_so_is_everything(agent: AgentProcess) -> None:
    agent.change(
        {"app.py": "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(60)\n"}
    )
    agent.start()
    agent.await_output(b"on")
    below = processes_below(agent.process.pid)
    assert len(below) == 2
    assert agent.close() == 0
    assert not [pid for pid in below if is_alive(pid)]
    assert not agent.folder.exists()


@pytest.mark.parametrize("which", ["warm", "agent"])
def test_when_one_of_us_is_killed_nothing_stays(
    start_agent: Callable[..., AgentProcess], tmp_path: Path, which: str
) -> None:
    agent = start_agent()
    agent.begin()
    agent.change({"app.py": "import time\nprint('on', flush=True)\ntime.sleep(60)\n"})
    started = agent.start()
    agent.await_output(b"on")
    below = processes_below(agent.process.pid)
    (warm,) = set(below) - {started["pid"]}
    os.kill(warm if which == "warm" else agent.process.pid, signal.SIGKILL)
    if which == "warm":
        # The app goes on, and the next start makes another one.
        assert agent.ask("memory", "memory")["run"] is not None
        agent.send("stop", run="r", grace=1)
        assert agent.wait("exited")["signal"] == signal.SIGTERM
        assert agent.run("print('again')")["code"] == 0
    else:
        deadline = time.monotonic() + 20
        while left := [pid for pid in below if is_alive(pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.02)


def test_two_runs_do_not_take_each_others_orphans(agent: AgentProcess, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    agent.change(
        {"long.py": f"{NOTE}{LEAVES['a daemon']}print('on', flush=True)\ntime.sleep(60)\n", "app.py": "print('short')"}
    )
    agent.start("long.py", run="long", environment={"NOTES": str(notes)})
    agent.await_output(b"on")
    agent.start(run="short")
    assert agent.wait("exited")["killed"] == 0
    (pid,) = map(int, notes.read_text().split())
    assert is_alive(pid)
    agent.send("stop", run="long", grace=1)
    agent.wait("exited")
    assert not is_alive(pid)
