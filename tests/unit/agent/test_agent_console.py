"""A console in the running app, and others who connect while the host is at work."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .agent_process import AgentProcess, Talk

pytestmark = pytest.mark.starts_processes

APP = """\
import threading, time
count = 3
class Thing:
    colour = "red"
thing = Thing()
def wait_here():
    print("on", flush=True)
    time.sleep(60)
threading.Thread(target=lambda: time.sleep(60), name="worker", daemon=True).start()
wait_here()
"""


@pytest.fixture
def console(agent: AgentProcess) -> Talk:
    """A second client, attached to an app that runs."""
    agent.change({"app.py": APP})
    agent.start()
    agent.await_output(b"on")
    talk = agent.connect()
    talk.ask("attach", "attached")
    return talk


def evaluate(talk: Talk, source: str, session: int = 1) -> tuple[dict[str, Any], str]:
    talk.output["output"] = b""
    done = talk.ask("eval", "evaluated", session=session, source=source, id="e")
    assert done["id"] == "e"
    return done, talk.output["output"].decode()


def test_it_sees_and_changes_the_apps_variables(agent: AgentProcess, console: Talk) -> None:
    assert evaluate(console, "count")[1] == "3\n"
    assert evaluate(console, "count += 1; thing.colour = 'blue'")[0]["error"] is None
    assert evaluate(console, "print(count, thing.colour, __name__)")[1] == "4 blue __main__\n"
    assert b"blue" not in agent.output["stdout"]


def test_it_tells_when_more_is_to_come(console: Talk) -> None:
    assert evaluate(console, "for i in range(2):")[0]["more"] is True
    done, text = evaluate(console, "for i in range(2):\n    print(i)\n")
    assert (done["more"], text) == (False, "0\n1\n")


def test_errors_are_the_consoles_and_not_the_apps(agent: AgentProcess, console: Talk) -> None:
    done, text = evaluate(console, "1 / 0")
    assert done["error"] == "ZeroDivisionError"
    assert text.startswith('Traceback (most recent call last):\n  File "<console>"')
    assert evaluate(console, "x = = 1")[0]["error"] == "SyntaxError"
    assert evaluate(console, "import sys; sys.exit(3)")[0]["error"] == "SystemExit"
    assert evaluate(console, "count")[1] == "3\n"
    assert agent.output["stderr"] == b""


def test_what_the_app_prints_stays_the_apps(agent: AgentProcess, console: Talk) -> None:
    evaluate(
        console,
        "import threading; t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()",
    )
    evaluate(console, "import sys; sys.__stdout__.flush()")
    agent.await_output(b"from a thread")
    assert evaluate(console, "import sys; type(sys.stdout).__name__, sys.stdout is sys.__stdout__")[0]["error"] is None
    evaluate(console, "threading.Timer(0.1, lambda: print(type(sys.stdout).__name__, flush=True)).start()")
    agent.await_output(b"TextIOWrapper")


def test_completions(console: Talk) -> None:
    matches = console.ask("complete", "completions", session=1, text="thing.col", id=4)
    assert (matches["matches"], matches["id"]) == (["thing.colour"], 4)
    assert "count" in console.ask("complete", "completions", session=1, text="cou")["matches"]
    assert console.ask("complete", "completions", session=1, text="nothing.of.it")["matches"] == []
    # It has left the app's own line editing alone.
    assert evaluate(console, "import sys; 'readline' in sys.modules")[1] == "False\n"


def test_the_stacks_of_all_threads_and_only_of_the_apps(agent: AgentProcess, console: Talk) -> None:
    told = console.ask("stacks", "stacks", id=9)
    assert told["id"] == 9
    main, worker = told["threads"]
    assert (main["name"], main["main"], worker["name"], worker["daemon"]) == ("MainThread", True, "worker", True)
    assert [frame["function"] for frame in main["frames"]] == ["<module>", "wait_here"]
    assert main["frames"][-1]["file"] == str(agent.live / "app.py")
    asleep = APP.splitlines().index("    time.sleep(60)") + 1
    assert main["frames"][-1]["line"] in (asleep - 1, asleep)  # it may be printing still


def test_what_hangs_can_be_interrupted_and_keeps_nobody_waiting(console: Talk) -> None:
    console.send("eval", session=1, source="import time\nwhile True: time.sleep(0.01)\n", mode="exec")
    time.sleep(0.3)
    assert console.ask("stacks", "stacks")["threads"]
    assert console.ask("complete", "completions", session=1, text="thing.")["matches"]
    console.send("interrupt", session=1)
    assert console.wait("evaluated")["error"] == "KeyboardInterrupt"
    assert evaluate(console, "count")[1] == "3\n"


def test_what_blocks_in_c_can_be_let_go_of(agent: AgentProcess, console: Talk) -> None:
    from incamera.device.attach import Attached, AttachSocket
    from incamera.runtime.launcher import require_launcher
    from incamera.transport.device import Device, SshAddress
    from incamera.transport.local import open_local

    guard = agent.folder.parent / "incamera-guard"
    guard.symlink_to(require_launcher("x86_64"))
    shown, output = os.pipe()
    news: list[str] = []
    socket = AttachSocket(app="app", path=str(agent.folder / "app" / "socket"))
    with open_local(Device(name="here", address=SshAddress(host="127.0.0.1"))) as session:
        attached = Attached(session, str(guard), socket, output=output, on_news=news.append, on_end=lambda: None)
        began = time.monotonic()
        for seconds in (0.5, 1.0):
            threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT]).start()
        assert attached.evaluate("import time; time.sleep(4); print('late')") is False
        assert "goes on in the app" in news[0]
        assert attached.evaluate("count") is False
        assert time.monotonic() - began < 4
        # What it says when it comes back is for nobody.
        while time.monotonic() - began < 4.3:
            time.sleep(0.05)
        assert attached.evaluate("count + 1") is False
        attached.close()
    assert os.read(shown, 100) == b"3\n4\n"
    for end in (shown, output):
        os.close(end)


@pytest.mark.parametrize("how", ["stop", "reload"])
def test_who_asks_for_stacks_is_answered_when_the_run_ends_first(agent: AgentProcess, how: str) -> None:
    app = "import ctypes, signal\nsignal.signal(15, signal.SIG_DFL)\nprint('on', flush=True)\n@\n"
    # With Python's own lock held, nothing is heard.
    agent.change({"app.py": app.replace("@", "ctypes.PyDLL(None).sleep(60)")})
    agent.start()
    agent.await_output(b"on")
    talk = agent.connect()
    talk.send("stacks", id=9)
    talk.ask("memory", "memory")
    agent.send(how, run="r", grace=1)
    error = talk.wait("error")
    assert (error["kind"], error["id"]) == ("no-run", 9)


def test_it_goes_along_with_a_reload_and_hears_of_the_end(agent: AgentProcess) -> None:
    loop = (
        "import time\nfrom incamera_agent import reloading\ncount = @\nprint('on', count, flush=True)\n"
        "while not reloading(): time.sleep(0.01)\n"
    )
    agent.change({"app.py": loop.replace("@", "1")})
    agent.start()
    agent.await_output(b"on 1")
    talk = agent.connect()
    talk.ask("attach", "attached")
    agent.change({"app.py": loop.replace("@", "2")})
    agent.ask("reload", "reloaded", run="r")
    agent.await_output(b"on 2")
    talk.wait("reloaded")
    assert evaluate(talk, "count")[1] == "2\n"
    agent.send("stop", run="r", grace=1)
    assert talk.wait("exited")["run"] == "r"
    talk.send("eval", session=1, source="count")
    assert talk.wait("error")["kind"] == "no-run"


def test_it_hears_of_a_restart_and_begins_anew_in_the_new_run(agent: AgentProcess) -> None:
    agent.change({"app.py": APP})
    first = agent.start()["pid"]
    agent.await_output(b"on")
    talk = agent.connect()
    assert talk.ask("attach", "attached")["pid"] == first
    agent.change({"app.py": APP.replace("count = 3", "count = 4")})
    second = agent.ask("reload", "restarted", run="r")["pid"]
    assert talk.wait("restarted")["pid"] == second != first
    assert not [message for message, _ in talk.messages if message["type"] == "exited"]
    talk.send("eval", session=1, source="count")
    assert talk.wait("error")["kind"] == "no-run"
    agent.await_output(b"on\non\n")
    told = talk.ask("attach", "attached")
    assert told["pid"] == second
    assert evaluate(talk, "count", told["session"])[1] == "4\n"


def test_two_consoles_do_not_hear_each_other(agent: AgentProcess, console: Talk) -> None:
    other = agent.connect()
    session = other.ask("attach", "attached")["session"]
    assert evaluate(other, "count * 2", session)[1] == "6\n"
    assert evaluate(console, "count")[1] == "3\n"
    console.send("eval", session=session, source="1")
    assert console.wait("error")["kind"] == "no-run"


def test_a_client_may_look_but_not_touch(agent: AgentProcess) -> None:
    talk = agent.connect()
    for request in ("warm", "open", "put", "commit", "start", "stop", "signal", "reload", "nonsense"):
        talk.send(request, run="r", id=request)
        error = talk.wait("error")
        assert (error["kind"], error["id"]) == ("request", request)
    assert talk.ask("memory", "memory")["agent"]
    for request in ("attach", "stacks"):
        talk.send(request)
        assert talk.wait("error")["kind"] == "no-run"


def test_nobody_else_on_the_device_may_connect(agent: AgentProcess) -> None:
    assert stat.S_IMODE((agent.folder / "app" / "socket").stat().st_mode) == 0o600


def test_a_client_that_sends_nonsense_or_never_reads_hurts_only_itself(agent: AgentProcess) -> None:
    import socket

    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x02\0\0\0\0{}"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(agent.folder / "app" / "socket"))
            connection.sendall(data)
            assert connection.recv(100) == b""
    agent.change({"app.py": APP})
    agent.start()
    agent.await_output(b"on")
    talk = agent.connect()
    session = talk.ask("attach", "attached")["session"]
    talk.reading.clear()
    before = agent.ask("memory", "memory")["agent"]
    talk.send("eval", session=session, source="while True: print('x' * 1000)\n", mode="exec")
    time.sleep(1.5)
    assert agent.ask("memory", "memory")["agent"] - before < 8 << 20
    talk.reading.set()


def test_an_app_may_fork_whatever_we_do_in_it(agent: AgentProcess) -> None:
    end = agent.run(
        "import os, sys, warnings\nwarnings.simplefilter('error')\n"
        "pid = os.fork()\nif pid == 0:\n    print('child', len(os.listdir('/proc/self/task')), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint('parent')\n"
    )
    assert (end["code"], agent.output["stdout"]) == (0, b"child 1\nparent\n"), agent.output["stderr"]


def test_the_guard_connects_standard_input_and_output_with_the_socket(agent: AgentProcess) -> None:
    from incamera.runtime.launcher import require_launcher
    from incamera_agent.wire.frames import Decoder, encode

    guard = agent.folder.parent / "incamera-guard"
    guard.symlink_to(require_launcher("x86_64"))
    command = [str(guard), "connect", str(agent.folder / "app" / "socket")]
    asked = encode({"type": "hello", "protocol": 1, "tool": "test"}) + encode({"type": "memory", "id": 1})
    done = subprocess.run(command, input=asked, capture_output=True, timeout=30, check=True)
    assert [frame.type for frame in Decoder().feed(done.stdout)] == ["hello", "memory"]
    command[-1] += ".none"
    done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert b"No such file" in done.stderr
