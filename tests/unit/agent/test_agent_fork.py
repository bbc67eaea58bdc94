"""A run is a fork of the fork server, and is what `python3 app.py` would be."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .agent_process import SOURCE, AgentProcess, find_pythons

pytestmark = pytest.mark.starts_processes

# What an app can find out about how it was started.
LOOK = """\
import sys, json, os, signal, io
def stream(stream):
    raw = getattr(stream.buffer, "raw", stream.buffer)
    return [stream.name, stream.mode, stream.encoding, stream.errors, stream.line_buffering, stream.write_through,
            type(stream.buffer).__name__, raw.fileno(), raw.closefd, stream.newlines]
def handler(number):
    found = signal.getsignal(number)
    return getattr(found, "__name__", str(found))
main = sys.modules["__main__"]
print(json.dumps({
    "argv": sys.argv,
    "orig_argv": getattr(sys, "orig_argv", None),
    "path": sys.path,
    "name": __name__,
    "file": globals().get("__file__"),
    "main": sorted(name for name in vars(main) if name.startswith("__")),
    "package": __package__,
    "spec": getattr(__spec__, "name", None),
    "loader": str(__loader__).split(" object")[0],
    "is main": main.__dict__ is globals(),
    "flags": list(sys.flags),
    "warnings": sys.warnoptions,
    "executable": sys.executable,
    "cwd": os.getcwd(),
    "environment": dict(os.environ),
    "umask": os.umask(0),
    "signals": {str(number): handler(number) for number in range(1, 32)},
    "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "streams": [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
    "originals": [sys.stdin is sys.__stdin__, sys.stdout is sys.__stdout__, sys.stderr is sys.__stderr__],
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd") if int(name) < 64),
    "next": os.open("/dev/null", os.O_RDONLY),
    "session leader": os.getsid(0) == os.getpid() == os.getpgid(0),
    "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
    "recursion": sys.getrecursionlimit(),
    "limits": [__import__("resource").getrlimit(number) for number in range(10)],
    "utf8": sys.stdin.buffer.read().hex(),
}))
"""

ENDS = {
    "nothing": ("print('a'); print('b', end='')", []),
    "a number": ("import sys; print('x'); sys.exit(7)", []),
    "a text": ("import sys; sys.exit('gone wrong')", []),
    "an exception": ("def f():\n    return {}['missing']\n\nf()\n", []),
    "a chain of exceptions": (
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e\n",
        [],
    ),
    "an own hook": ("import sys\nsys.excepthook = lambda k, v, t: print('HOOK', k.__name__, t.tb_lineno)\n1 / 0\n", []),
    "at once": ("import os; print('lost'); os._exit(9)", []),
    "a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", []),
    "an interrupt": ("raise KeyboardInterrupt", []),
    "exit functions": ("import atexit; atexit.register(print, 'last', flush=True); print('first')", []),
    "a thread": (
        "import threading\n"
        "early = threading.Event()\nthreading.Thread(target=lambda: (early.wait(), print('late'))).start()\n"
        "print('early')\nearly.set()\n",
        [],
    ),
    "a bad thread": (
        "import threading\nthread = threading.Thread(target=lambda: 1 / 0, name='bad')\n"
        "thread.start()\nthread.join()\n",
        [],
    ),
    "no Python": ("print('never'\nx = (\n", []),
    "a module": ("print(__name__, __spec__.name)", ["-m", "app", "x"]),
    "a broken module": ("1 / 0", ["-m", "app"]),
    "no module": ("", ["-m", "nonsuch"]),
    "a command": ("", ["-c", "import sys; print(sys.argv, sys.path[0], __name__)\n1 / 0", "word"]),
    "no file": ("", ["nonsuch.py"]),
    "an option": ("import sys; print(sys.flags.optimize)", ["-O", "app.py"]),
    "a closed output": ("import sys, os; os.close(1); print('x')", []),
    "no destructor forgotten": ("class A:\n    def __del__(self): print('gone')\na = A()\n", []),
    "multiprocessing": (
        "import multiprocessing as m\n"
        "def f(x):\n    return x + 1\n"
        "if __name__ == '__main__':\n    print(m.get_context('spawn').Pool(1).map(f, [1, 2]))\n",
        [],
    ),
}


def run_plain(agent: AgentProcess, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `python3 ARGUMENTS` in the live folder without the agent."""
    return subprocess.run(
        [agent.python, *arguments],
        cwd=agent.live,
        env=agent.environment,
        input=stdin,
        capture_output=True,
        check=False,
        start_new_session=True,
    )


def run_forked(agent: AgentProcess, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run the same through the agent; return its exit code, output and errors."""
    agent.output.update(stdout=b"", stderr=b"")
    agent.start(*arguments)
    if stdin:
        agent.send("stdin", stdin, run="r")
    agent.send("stdin", run="r")
    end = agent.wait_for("exited")
    code = end["code"] if end["signal"] is None else -end["signal"]
    return code, agent.output["stdout"], agent.output["stderr"]


@pytest.mark.parametrize("python", find_pythons(), ids=os.path.basename)
@pytest.mark.parametrize(
    "arguments", [["app.py", "a", "--b"], ["-m", "app", "x"], ["./app.py"], ["-u", "app.py"]], ids=str
)
def test_fork_finds_what_a_start_finds(
    start_agent: Callable[..., AgentProcess], python: str, arguments: list[str]
) -> None:
    agent = start_agent(python=python)
    agent.begin(["json", "decimal"])
    agent.change({"app.py": LOOK})
    expected = json.loads(run_plain(agent, *arguments, stdin="a\r\nü\n".encode()).stdout)
    code, out, err = run_forked(agent, *arguments, stdin="a\r\nü\n".encode())
    assert code == 0, err
    found = json.loads(out)
    if "-u" in arguments:
        # Only the interpreter can set this one.
        expected.pop("flags"), found.pop("flags")
    assert found == expected


@pytest.mark.parametrize("how", ENDS)
def test_fork_ends_as_a_start_ends(agent: AgentProcess, how: str) -> None:
    source, arguments = ENDS[how]
    if how == "no Python":  # a batch with it would be refused
        agent.change({"app.py": "pass"})
        (agent.live / "app.py").write_text(source)
        for cached in (agent.live / "__pycache__").iterdir():
            cached.unlink()
    else:
        agent.change({"app.py": source})
    done = run_plain(agent, *(arguments or ["app.py"]))
    assert run_forked(agent, *(arguments or ["app.py"])) == (done.returncode, done.stdout, done.stderr)


def test_interrupt_from_the_host_ends_the_app_with_a_traceback_of_its_own(agent: AgentProcess) -> None:
    agent.run_until_on("import time\ntry:\n    print('on', flush=True); time.sleep(600)\nfinally:\n    print('off')\n")
    agent.send("signal", run="r", name="INT")
    end = agent.wait_for("exited")
    assert (end["code"], end["signal"], agent.output["stdout"]) == (None, 2, b"on\noff\n")
    assert agent.output["stderr"].startswith(b"Traceback (most recent call last):\n  File")
    assert b"incamera_agent" not in agent.output["stderr"]


def test_run_changes_nothing_for_the_next_one(agent: AgentProcess) -> None:
    poison = """\
import builtins, json, os, signal, sys, threading, gc, warnings, random, locale
builtins.print = None
builtins.poison = 1
json.dumps = None
sys.path.insert(0, "/nowhere"); sys.argv.append("x"); sys.modules["sound"] = sys
sys.setrecursionlimit(123)
os.environ["POISON"] = "1"
os.environ.pop("HOME", None)
os.chdir("/"); os.umask(0o777)
signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
sys.excepthook = None; sys.stdout = None; gc.disable(); warnings.simplefilter("error")
os.close(0)
threading.Thread(target=__import__("time").sleep, args=(0.2,)).start()
"""
    agent.change({"app.py": LOOK})
    before = run_forked(agent)
    agent.run(poison)
    agent.change({"app.py": LOOK})
    assert run_forked(agent) == before


def test_each_run_has_random_numbers_of_its_own(start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent()
    agent.begin(["random", "uuid", "tempfile"])
    source = (
        "import random, uuid, tempfile; print(random.random(), uuid.uuid4(), next(tempfile._get_candidate_names()))"
    )
    numbers = set()
    for _ in range(3):
        agent.output["stdout"] = b""
        assert agent.run(source)["code"] == 0
        numbers |= set(agent.output["stdout"].split())
    assert len(numbers) == 9


def test_numpys_random_generator_is_seeded_in_each_run(
    start_agent: Callable[..., AgentProcess], tmp_path: Path
) -> None:
    package = tmp_path / "packages" / "numpy" / "random"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("from . import random\n")
    (package / "__init__.py").write_text("state = 1\ndef seed():\n    global state\n    state = 'fresh'\n")
    path = os.pathsep.join((str(package.parents[1]), str(SOURCE)))
    agent = start_agent(environment={"PYTHONPATH": path})
    agent.begin(["numpy"])
    agent.run("import numpy; print(numpy.random.state)")
    assert agent.output["stdout"] == b"fresh\n"


@pytest.mark.parametrize(
    ("environment", "warm"),
    [
        ({"COLOUR": "red"}, True),
        ({"PYTHONHASHSEED": "5"}, False),
        ({"OMP_NUM_THREADS": "1"}, False),
        ({"LANG": "x"}, False),
    ],
    ids=str,
)
def test_variable_that_python_reads_at_its_start_makes_the_start_cold(
    agent: AgentProcess, environment: dict[str, str], warm: bool
) -> None:
    agent.change({"app.py": "import os, sys; print({n: os.environ[n] for n in sys.argv[1:]}, hash('x'))"})
    started = agent.start("app.py", *environment, environment=environment)
    agent.wait_for("exited")
    assert started["warm"] is warm
    assert agent.output["stdout"].decode().startswith(str(environment))
    if not warm:
        assert next(iter(environment)) in started["cold_reason"]


def test_line_buffered_output_arrives_line_by_line(agent: AgentProcess) -> None:
    agent.change({"app.py": "import time; print('line'); time.sleep(600)"})
    agent.start(line_buffered=True)
    agent.wait_for_output(b"line\n")
    agent.stop()
