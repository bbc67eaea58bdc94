"""What an app may do to its surroundings: none of it outlives the run, and none of it harms the agent."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from .agent_process import FOREVER, descendants, is_alive, kill, wait_until_ended, wait_until_settled

if TYPE_CHECKING:
    from .agent_process import AgentProcess

pytestmark = pytest.mark.starts_processes

# `note` writes the process's number to the file NOTES; `wait_for_note` waits until one has been written.
NOTE = """\
import os, time
NOTES = os.environ["NOTES"]
def note():
    with open(NOTES, "a") as notes:
        notes.write(f"{os.getpid()}\\n")
def wait_for_note():
    while not os.path.getsize(NOTES):
        time.sleep(0.005)
"""

LEFT_BEHIND = {
    "a child": (
        "import subprocess\nchild = subprocess.Popen(['sleep', '60'])\n"
        "with open(NOTES, 'a') as notes: notes.write(f'{child.pid}\\n')\n"
    ),
    "a fork": "if os.fork() == 0:\n    note(); time.sleep(600)\n",
    "a fork that ignores SIGTERM": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n    note(); time.sleep(600)\n"
    ),
    "a stopped process": (
        "import signal\npid = os.fork()\nif pid == 0:\n    note(); os.kill(os.getpid(), signal.SIGSTOP)\n"
        "    time.sleep(600)\n"
        "os.waitpid(pid, os.WUNTRACED)\n"
    ),
    "a daemon": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        note()\n"
        "        os.closerange(0, 300); time.sleep(600)\n    os._exit(0)\nos.wait()\n"
    ),
    "a daemon with an environment of its own": (
        "import subprocess\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n        note()\n        os.execve('/bin/sleep', ['sleep', '60'], {})\n"
        "    os._exit(0)\nos.wait()\n"
    ),
}


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    path.touch()
    return path


def wait_until_alone(agent: AgentProcess) -> None:
    """Wait until only the fork server is left of what the agent has started."""
    wait_until(lambda: len(descendants(agent.process.pid)) == 1, "only the fork server is left")


@pytest.mark.parametrize("kind", LEFT_BEHIND)
def test_processes_left_behind_are_ended_and_counted(agent: AgentProcess, notes: Path, kind: str) -> None:
    agent.change({"app.py": f"{NOTE}{LEFT_BEHIND[kind]}wait_for_note()\nprint('done')\n"})
    agent.start(environment={"NOTES": str(notes)})
    end = agent.wait_for("exited")
    assert (end["code"], end["reason"], end["killed"]) == (0, None, 1)
    assert agent.output["stdout"] == b"done\n"
    assert not [pid for pid in notes.read_text().split() if is_alive(int(pid))]
    wait_until_alone(agent)


def test_child_that_ends_soon_after_the_app_is_not_killed(agent: AgentProcess) -> None:
    end = agent.run(
        "import os, time\nparent = os.getpid()\nif os.fork() == 0:\n"
        "    while os.getppid() == parent: time.sleep(0.005)\n    print('child')\n"
    )
    assert (end["killed"], agent.output["stdout"]) == (0, b"child\n")


def test_app_that_ignores_sigterm_is_killed_after_the_grace(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, signal, time\nsignal.signal(signal.SIGTERM, lambda *a: os.write(1, b'no\\n'))\n"
            "pid = os.fork()\nprint('on', flush=True)\nwhile True: time.sleep(1)\n"
        }
    )
    agent.start()
    agent.wait_for_output(b"on\non\n")
    end = agent.stop(grace=1)
    assert (end["code"], end["signal"], end["reason"]) == (None, signal.SIGKILL, "stopped"), agent.output
    assert b"no\n" in agent.output["stdout"]
    wait_until_alone(agent)


def test_app_may_use_its_grace(agent: AgentProcess) -> None:
    agent.run_until_on(
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(5))\n"
        "try:\n    print('on', flush=True)\n    while True: time.sleep(0.05)\n"
        "finally:\n    time.sleep(0.2); print('tidy')\n"
    )
    end = agent.stop(grace=30)
    assert (end["code"], end["reason"], agent.output["stdout"]) == (5, "stopped", b"on\ntidy\n")


def test_app_waits_while_its_output_is_not_taken_and_the_agent_does_not_grow(
    agent: AgentProcess, tmp_path: Path
) -> None:
    counter = tmp_path / "counter"
    counter.touch()
    agent.change(
        {
            "app.py": "import sys\ncount = 0\ncounter = open(sys.argv[1], 'w')\nwhile True:\n"
            "    sys.stdout.buffer.write(bytes(65536))\n    count += 1\n    counter.seek(0)\n"
            "    print(count, file=counter, flush=True)\n"
        }
    )
    before = agent.ask("memory", "memory")["agent"]
    agent.reading.clear()
    agent.send("start", run="r", arguments=["app.py", str(counter)])
    wait_until(counter.read_text, "the app prints")
    wait_until_settled(counter.read_text)
    assert agent.resident_bytes() - before < 4 << 20
    agent.reading.set()
    # Requests are still read.
    assert agent.stop()["reason"] == "stopped"


def test_app_that_reads_no_input_delays_nothing_else(agent: AgentProcess) -> None:
    agent.run_until_on()
    for _ in range(8):
        agent.send("stdin", bytes(1 << 16), run="r")
    consumed = agent.wait_for("consumed")["size"]
    assert 0 < consumed < 8 << 16
    for _ in range(10):
        agent.send("stdin", bytes(1 << 16), run="r")
    assert agent.wait_for("error")["kind"] == "flood"
    assert agent.stop()["reason"] == "stopped"


def test_input_arrives_whole_and_is_counted(agent: AgentProcess) -> None:
    data = os.urandom(500_000)
    agent.change({"app.py": "import sys, hashlib\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())\n"})
    agent.start()
    sent = consumed = 0
    while sent < len(data):
        piece = data[sent : sent + 30_000]
        agent.send("stdin", piece, run="r")
        sent += len(piece)
        while sent - consumed > 1 << 16:
            consumed += agent.wait_for("consumed")["size"]
    agent.send("stdin", run="r")
    agent.wait_for("exited")
    assert agent.output["stdout"].decode().strip() == hashlib.sha256(data).hexdigest()


def test_terminal_has_its_kind_and_size_and_passes_on_ctrl_c(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, sys\nprint(sys.stdin.isatty(), os.get_terminal_size(), os.environ['TERM'], end=' ')\n"
            "print(os.tcgetpgrp(0) == os.getpid())\n"
            "name = input('name? ')\nprint('hello', name)\nsys.stdin.read()\n"
        }
    )
    agent.start(terminal={"kind": "xterm", "columns": 91, "rows": 17})
    shown = agent.wait_for_output(b"name? ")
    assert shown.startswith(b"True os.terminal_size(columns=91, lines=17) xterm True")
    agent.send("stdin", b"Anna\n", run="r")
    agent.wait_for_output(b"hello Anna\r\n")
    agent.send("resize", run="r", columns=50, rows=20)
    agent.send("stdin", b"\x03", run="r")
    end = agent.wait_for("exited")
    assert end["signal"] == signal.SIGINT
    assert b"KeyboardInterrupt" in agent.output["stdout"]


@pytest.mark.parametrize("words", [["app.py"], ["-B", "app.py"]], ids=["forked", "cold"])
def test_ssh_tty_names_the_terminal_as_in_a_login(agent: AgentProcess, words: list[str]) -> None:
    source = "import os\nprint(os.environ.get('SSH_TTY') == os.ttyname(0))\n"
    terminal = {"kind": "xterm", "columns": 91, "rows": 17}
    agent.run(source, *words, terminal=terminal, environment={"SSH_CONNECTION": "192.0.2.1 22 192.0.2.2 22"})
    assert agent.output["stdout"] == b"True\r\n"


def test_app_gets_sigwinch_when_its_terminal_is_resized(agent: AgentProcess) -> None:
    agent.change(
        {
            "app.py": "import os, signal, time\n"
            "def report(*_):\n    os.write(1, b'%d' % os.get_terminal_size().columns); os._exit(0)\n"
            "signal.signal(signal.SIGWINCH, report)\n"
            "print('on')\nwhile True: time.sleep(0.05)\n"
        }
    )
    agent.start(terminal={"kind": "xterm", "columns": 91, "rows": 17})
    agent.wait_for_output(b"on")
    agent.send("resize", run="r", columns=50, rows=20)
    agent.wait_for_output(b"50")
    assert agent.wait_for("exited")["code"] == 0


def test_app_above_its_memory_limit_is_killed_for_that_reason(agent: AgentProcess) -> None:
    agent.change(
        {"app.py": "import time\nprint('on', flush=True)\nx = bytearray(b'x') * (200 << 20)\ntime.sleep(600)\n"}
    )
    agent.start(memory_limit=100 << 20)
    end = agent.wait_for("exited")
    assert (end["reason"], end["signal"]) == ("memory-limit", signal.SIGKILL)
    assert end["peak"] > 100 << 20


def test_app_below_its_memory_limit_goes_on_and_its_memory_is_reported(agent: AgentProcess) -> None:
    idle = agent.ask("memory", "memory")
    assert idle["run"] is None
    agent.run_until_on(
        "import sys\nx = bytearray(b'x') * (50 << 20)\nprint('on', flush=True)\nsys.stdin.read()\n",
        memory_limit=200 << 20,
    )
    agent.wait_for("memory")  # sent unasked, perhaps before the app had it all
    report = agent.ask("memory", "memory")
    assert report["run"] > 50 << 20 > report["fork_server"] > 0
    assert report["agent"] > 0 < report["free"]
    agent.send("stdin", run="r")
    end = agent.wait_for("exited")
    assert (end["reason"], end["code"]) == (None, 0)
    assert end["peak"] > 50 << 20


def test_many_runs_leave_no_processes_descriptors_or_memory_behind(agent: AgentProcess) -> None:
    def used() -> tuple[int, int, int]:
        pids = [agent.process.pid, *descendants(agent.process.pid)]
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        return len(pids), files, agent.resident_bytes()

    for number in range(5):
        agent.run(f"print({number})")
    before = used()
    for number in range(40):
        agent.run(f"print({number})")
    after = used()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 256 << 10


def test_agent_leaves_when_the_last_run_has_ended(agent: AgentProcess) -> None:
    slow = (
        "import os, signal, sys, time\ndef end(*_):\n"
        "    while os.path.exists(f'/proc/{sys.argv[1]}'): time.sleep(0.005)\n"
        "    print('bye', flush=True)\n    sys.exit()\n"
        "signal.signal(15, end)\n"
        "print('on', flush=True)\ntime.sleep(600)\n"
    )
    agent.change({"slow.py": slow, "quick.py": "import time\nprint('and on', flush=True)\ntime.sleep(600)\n"})
    quick = agent.start("quick.py", run="quick")
    agent.wait_for_output(b"and on\n")
    agent.start("slow.py", str(quick["pid"]), run="slow")
    agent.wait_for_output(b"and on\non\n")
    agent.send("goodbye")
    agent.wait_for_end()
    assert b"bye" in agent.output["stdout"]
    assert [message["run"] for message in agent.received("exited")] == ["quick", "slow"]
    assert agent.close() == 0


def test_nothing_is_left_when_the_host_goes_away(agent: AgentProcess) -> None:
    agent.run_until_on(f"import signal\nsignal.signal(15, signal.SIG_IGN)\n{FOREVER}")
    started = descendants(agent.process.pid)
    assert len(started) == 2
    assert agent.close() == 0
    assert not [pid for pid in started if is_alive(pid)]
    assert not agent.folder.exists()


def test_nothing_is_left_when_the_agent_is_killed(agent: AgentProcess) -> None:
    agent.run_until_on()
    started = descendants(agent.process.pid)
    kill(agent.process.pid)
    wait_until_ended(started)


def test_run_goes_on_when_the_fork_server_is_killed_and_the_next_start_makes_another(agent: AgentProcess) -> None:
    app = agent.run_until_on()
    (fork_server,) = descendants(agent.process.pid) - {app["pid"]}
    kill(fork_server)
    assert agent.ask("memory", "memory")["run"] is not None
    assert agent.stop()["signal"] == signal.SIGTERM
    assert agent.run("print('again')")["code"] == 0


def test_run_that_ends_right_after_the_fork_server_tells_its_own_end(agent: AgentProcess) -> None:
    app = agent.run_until_on()
    (fork_server,) = descendants(agent.process.pid) - {app["pid"]}
    os.kill(agent.process.pid, signal.SIGSTOP)  # it hears of both ends at once
    kill(fork_server)
    wait_until_ended({fork_server})
    os.kill(app["pid"], signal.SIGUSR1)
    wait_until_ended({app["pid"]})
    os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.wait_for("exited")["signal"] == signal.SIGUSR1


def test_run_that_ends_does_not_end_the_orphans_of_another(agent: AgentProcess, notes: Path) -> None:
    daemon = f"{NOTE}{LEFT_BEHIND['a daemon']}wait_for_note()\nprint('on', flush=True)\ntime.sleep(600)\n"
    agent.change({"long.py": daemon, "app.py": "print('short')"})
    agent.start("long.py", run="long", environment={"NOTES": str(notes)})
    agent.wait_for_output(b"on")
    agent.start(run="short")
    assert agent.wait_for("exited")["killed"] == 0
    (pid,) = map(int, notes.read_text().split())
    assert is_alive(pid)
    agent.stop(run="long")
    assert not is_alive(pid)
