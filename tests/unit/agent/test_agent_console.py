"""A console in the running app, and other clients that connect while a host holds the app."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera_agent.wire.frames import Decoder, encode

from .agent_process import FOREVER, wait_until_settled

if TYPE_CHECKING:
    from incamera.transport.session import Session

    from .agent_process import AgentProcess, Client

pytestmark = pytest.mark.starts_processes

APP = """\
import threading, time
count = 3
class Thing:
    colour = "red"
thing = Thing()
def wait_here():
    print("on", flush=True)
    time.sleep(600)
threading.Thread(target=lambda: time.sleep(600), name="worker", daemon=True).start()
wait_here()
"""


@pytest.fixture
def console(agent: AgentProcess) -> Client:
    """A second client, attached to an app that runs."""
    agent.run_until_on(APP)
    client = agent.connect()
    client.ask("attach", "attached")
    return client


def evaluate(client: Client, source: str, session: int = 1) -> tuple[dict[str, Any], str]:
    """Evaluate *source*; return the answer, and what was printed."""
    client.output["output"] = b""
    answer = client.ask("eval", "evaluated", session=session, source=source, id="e")
    assert answer["id"] == "e"
    return answer, client.output["output"].decode()


def test_console_reads_and_changes_the_apps_variables(agent: AgentProcess, console: Client) -> None:
    assert evaluate(console, "count")[1] == "3\n"
    assert evaluate(console, "count += 1; thing.colour = 'blue'")[0]["error"] is None
    assert evaluate(console, "print(count, thing.colour, __name__)")[1] == "4 blue __main__\n"
    assert b"blue" not in agent.output["stdout"]


def test_incomplete_statement_asks_for_more(console: Client) -> None:
    assert evaluate(console, "for i in range(2):")[0]["more"] is True
    answer, text = evaluate(console, "for i in range(2):\n    print(i)\n")
    assert (answer["more"], text) == (False, "0\n1\n")


def test_error_is_shown_in_the_console_and_not_by_the_app(agent: AgentProcess, console: Client) -> None:
    answer, text = evaluate(console, "1 / 0")
    assert answer["error"] == "ZeroDivisionError"
    assert text.startswith('Traceback (most recent call last):\n  File "<console>"')
    assert evaluate(console, "x = = 1")[0]["error"] == "SyntaxError"
    assert evaluate(console, "import sys; sys.exit(3)")[0]["error"] == "SystemExit"
    assert evaluate(console, "count")[1] == "3\n"
    assert agent.output["stderr"] == b""


def test_console_goes_on_after_what_python_cannot_compile_and_hooks_that_fail(
    agent: AgentProcess, console: Client
) -> None:
    for source in ("1" + "+1" * 100_000, "-" * 100_000 + "1", "count" + ".a" * 50_000):
        answer, text = evaluate(console, source)
        assert answer["error"] in ("RecursionError", "MemoryError")
        assert text.startswith(answer["error"])
    assert evaluate(console, "import sys; sys.excepthook = 5; 1 / 0")[0]["error"] == "TypeError"
    console.send("eval", session=1, id="e")  # without a source
    assert console.wait_for("evaluated")["error"] == "KeyError"
    assert evaluate(console, "count")[1] == "3\n"
    assert agent.output["stderr"] == b""


def test_output_of_the_apps_threads_is_not_shown_in_the_console(
    agent: AgentProcess, console: Client, tmp_path: Path
) -> None:
    evaluate(
        console,
        "import threading; t = threading.Thread(target=print, args=('from a thread',)); t.start(); t.join()",
    )
    evaluate(console, "import sys; sys.__stdout__.flush()")
    agent.wait_for_output(b"from a thread")
    # When nothing is being evaluated, sys.stdout is the app's own stream.
    evaluate(console, "import os, sys, time")
    evaluate(
        console,
        "def report():\n"
        f"    while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.005)\n"
        "    print(type(sys.stdout).__name__, flush=True)\n\n",
    )
    evaluate(console, "threading.Thread(target=report).start()")
    (tmp_path / "go").touch()
    agent.wait_for_output(b"TextIOWrapper")


def test_completions_are_attributes_and_names(console: Client) -> None:
    matches = console.ask("complete", "completions", session=1, text="thing.col", id=4)
    assert (matches["matches"], matches["id"]) == (["thing.colour"], 4)
    assert "count" in console.ask("complete", "completions", session=1, text="cou")["matches"]
    assert console.ask("complete", "completions", session=1, text="nothing.of.it")["matches"] == []
    # The completer has not imported readline into the app.
    assert evaluate(console, "import sys; 'readline' in sys.modules")[1] == "False\n"


def test_stacks_show_all_threads_of_the_app_and_none_of_the_agent(agent: AgentProcess, console: Client) -> None:
    answer = console.ask("stacks", "stacks", id=9)
    assert answer["id"] == 9
    main, worker = answer["threads"]
    assert (main["name"], main["main"], worker["name"], worker["daemon"]) == ("MainThread", True, "worker", True)
    assert [frame["function"] for frame in main["frames"]] == ["<module>", "wait_here"]
    assert main["frames"][-1]["file"] == str(agent.live / "app.py")
    asleep = APP.splitlines().index("    time.sleep(600)") + 1
    assert main["frames"][-1]["line"] in (asleep - 1, asleep)  # it may still be printing


def test_endless_loop_can_be_interrupted_and_delays_no_other_request(console: Client) -> None:
    source = "print('busy')\nimport time\nwhile True: time.sleep(0.01)\n"
    console.send("eval", session=1, source=source, mode="exec")
    console.wait_for_output(b"busy", "output")
    assert console.ask("stacks", "stacks")["threads"]
    assert console.ask("complete", "completions", session=1, text="thing.")["matches"]
    console.send("interrupt", session=1)
    assert console.wait_for("evaluated")["error"] == "KeyboardInterrupt"
    assert evaluate(console, "count")[1] == "3\n"


class Interrupted:
    """A session in which Ctrl-C is pressed *times* times while the console waits for an answer.

    *wait* is called before each time.
    """

    def __init__(self, session: Session, times: int, wait: Callable[[], None]) -> None:
        self._session = session
        self._left = times
        self._wait = wait

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._left and getattr(coroutine, "__name__", "") == "_await":
            self._wait()
            self._left -= 1
            coroutine.close()
            raise KeyboardInterrupt
        return self._session.call(coroutine)


def test_second_ctrl_c_leaves_code_that_blocks_to_the_app(agent: AgentProcess, console: Client) -> None:
    from incamera.device.attach import Attached, AttachSocket
    from incamera.runtime.launcher import require_launcher
    from incamera.transport.device import Device, SshAddress
    from incamera.transport.local import open_local

    evaluate(console, "import os, sys; finished = threading.Event()")
    guard = agent.folder.parent / "incamera-guard"
    guard.symlink_to(require_launcher("x86_64"))
    fifo = agent.folder.parent / "fifo"
    os.mkfifo(fifo)
    shown, output = os.pipe()
    news: list[str] = []
    target = AttachSocket(app="app", path=str(agent.folder / "app" / "socket"))
    # Opening a FIFO blocks in C until it is opened for writing, too.
    blocking = f"try:\n    open({str(fifo)!r}).read(); print('late')\nfinally:\n    finished.set()\n\n"

    def wait_until_blocked() -> None:
        positions = "[(frame.f_lineno, frame.f_lasti) for frame in sys._current_frames().values()]"
        wait_until_settled(lambda: evaluate(console, positions)[1])

    (app,) = {int(pid) for pid in evaluate(console, "os.getpid()")[1].split()}
    threads = Path(f"/proc/{app}/task")
    with open_local(Device(name="here", address=SshAddress(host="127.0.0.1"))) as session:
        interrupted: Any = Interrupted(session, 2, wait_until_blocked)
        attached = Attached(interrupted, str(guard), target, output=output, on_news=news.append, on_end=lambda: None)
        assert attached.evaluate(blocking) is False
        assert "continues in the app" in news[0]
        assert attached.evaluate("count") is False
        assert os.read(shown, 100) == b"3\n"
        before = len(list(threads.iterdir()))
        with fifo.open("w"):
            pass
        assert evaluate(console, f"finished.wait({PATIENCE_SECONDS})")[1] == "True\n"
        wait_until(lambda: len(list(threads.iterdir())) < before, "the thread of the left console ends")
        # What that console printed at its end is not shown.
        assert attached.evaluate("count + 1") is False
        attached.close()
    assert os.read(shown, 100) == b"4\n"
    for end in (shown, output):
        os.close(end)


@pytest.mark.parametrize("how", ["stop", "reload"])
def test_request_for_stacks_is_answered_when_the_run_ends_first(agent: AgentProcess, how: str) -> None:
    # PyDLL calls C functions without releasing Python's lock, so that no other thread answers after `on`.
    agent.run_until_on(
        "import ctypes, signal, sys\nsignal.signal(15, signal.SIG_DFL)\nsys.setswitchinterval(1000)\n"
        "c = ctypes.PyDLL(None)\nc.write(1, b'on\\n', 3)\nwhile True: c.sleep(60)\n"
    )
    client = agent.connect()
    client.send("stacks", id=9)
    client.ask("memory", "memory")
    agent.send(how, run="r", grace=1)
    error = client.wait_for("error")
    assert (error["kind"], error["id"]) == ("no-run", 9)


def test_console_stays_attached_in_a_reload_and_hears_of_the_end(agent: AgentProcess) -> None:
    loop = (
        "import time\nfrom incamera_agent import reloading\ncount = @\nprint('on', count, flush=True)\n"
        "while not reloading(): time.sleep(0.01)\n"
    )
    agent.run_until_on(loop.replace("@", "1"))
    client = agent.connect()
    client.ask("attach", "attached")
    agent.change({"app.py": loop.replace("@", "2")})
    agent.ask("reload", "reloaded", run="r", grace=60)
    agent.wait_for_output(b"on 2")
    client.wait_for("reloaded")
    assert evaluate(client, "count")[1] == "2\n"
    agent.stop()
    assert client.wait_for("exited")["run"] == "r"
    client.send("eval", session=1, source="count")
    assert client.wait_for("error")["kind"] == "no-run"


def test_console_hears_of_a_restart_and_can_attach_to_the_new_run(agent: AgentProcess) -> None:
    first = agent.run_until_on(APP)["pid"]
    client = agent.connect()
    assert client.ask("attach", "attached")["pid"] == first
    agent.change({"app.py": APP.replace("count = 3", "count = 4")})
    second = agent.ask("reload", "restarted", run="r")["pid"]
    assert client.wait_for("restarted")["pid"] == second != first
    assert not client.received("exited")
    client.send("eval", session=1, source="count")
    assert client.wait_for("error")["kind"] == "no-run"
    agent.wait_for_output(b"on\non\n")
    attached = client.ask("attach", "attached")
    assert attached["pid"] == second
    assert evaluate(client, "count", attached["session"])[1] == "4\n"


def test_console_cannot_use_the_session_of_another(agent: AgentProcess, console: Client) -> None:
    other = agent.connect()
    session = other.ask("attach", "attached")["session"]
    assert evaluate(other, "count * 2", session)[1] == "6\n"
    assert evaluate(console, "count")[1] == "3\n"
    console.send("eval", session=session, source="1")
    assert console.wait_for("error")["kind"] == "no-run"


def test_client_may_inspect_and_not_change(agent: AgentProcess) -> None:
    client = agent.connect()
    for request in ("preload", "open", "put", "commit", "start", "stop", "signal", "reload", "nonsense"):
        client.send(request, run="r", id=request)
        error = client.wait_for("error")
        assert (error["kind"], error["id"]) == ("request", request)
    assert client.ask("memory", "memory")["agent"]
    for request in ("attach", "stacks"):
        client.send(request)
        assert client.wait_for("error")["kind"] == "no-run"


def test_other_users_of_the_device_cannot_connect(agent: AgentProcess) -> None:
    assert stat.S_IMODE((agent.folder / "app" / "socket").stat().st_mode) == 0o600


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x02\0\0\0\0{}", b"\xff" * 8])
def test_connection_that_carries_no_frames_is_closed(agent: AgentProcess, data: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(agent.folder / "app" / "socket"))
        connection.sendall(data)
        assert connection.recv(100) == b""
    assert agent.run("print('on')")["code"] == 0


def test_client_that_does_not_read_does_not_make_the_agent_grow(
    agent: AgentProcess, console: Client, tmp_path: Path
) -> None:
    counter = tmp_path / "counter"
    counter.touch()
    console.reading.clear()
    before = agent.ask("memory", "memory")["agent"]
    source = f"import pathlib\nwhile True:\n    count += 1\n    pathlib.Path({str(counter)!r}).write_text(str(count))\n"
    console.send("eval", session=1, source=f"{source}    print('x' * 1000)\n", mode="exec")
    wait_until(counter.read_text, "the console prints")
    # It waits when all buffers are full.
    wait_until_settled(counter.read_text)
    assert agent.ask("memory", "memory")["agent"] - before < 8 << 20
    console.reading.set()


def test_app_that_forks_has_one_thread_in_the_child_and_no_warning(agent: AgentProcess) -> None:
    end = agent.run(
        "import os, sys, warnings\nwarnings.simplefilter('error')\n"
        "pid = os.fork()\nif pid == 0:\n    print('child', len(os.listdir('/proc/self/task')), flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(pid, 0)\nprint('parent')\n"
    )
    assert (end["code"], agent.output["stdout"]) == (0, b"child 1\nparent\n"), agent.output["stderr"]


def test_stacks_too_long_for_a_frame_are_an_error(agent: AgentProcess) -> None:
    agent.run_until_on(f"from incamera_agent.wire import frames\nframes.MAXIMUM_JSON_BYTES = 200\n{FOREVER}")
    agent.send("stacks", id=5)
    error = agent.wait_for("error")
    assert (error["kind"], error["id"]) == ("console", 5)
    assert "too long" in error["message"]


def test_guard_connects_standard_streams_with_the_socket(agent: AgentProcess) -> None:
    from incamera.runtime.launcher import require_launcher

    guard = agent.folder.parent / "incamera-guard"
    guard.symlink_to(require_launcher("x86_64"))
    command = [str(guard), "connect", str(agent.folder / "app" / "socket")]
    asked = encode({"type": "hello", "protocol": 1, "tool": "test"}) + encode({"type": "memory", "id": 1})
    done = subprocess.run(command, input=asked, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
    assert [frame.type for frame in Decoder().feed(done.stdout)] == ["hello", "memory"]
    command[-1] += ".none"
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 1
    assert b"No such file" in done.stderr
