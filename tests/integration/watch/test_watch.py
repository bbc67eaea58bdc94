"""`incamera run --watch` in virtual cameras: edits, faults, and the end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.edit.changes import LONGEST_SECONDS, QUIET_SECONDS, UNFINISHED_SECONDS

from ...waiting import wait_until
from ..cameras import inside, on
from ..command import COMMAND_SECONDS, Run, Running, command_environment, running
from ..paths import STORE
from ..project import write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

FOREVER = "import time\nwhile True:\n    time.sleep(0.05)\n"


class Watch:
    """A session that watches a project: `save` a file of it, and `await_` what is printed after that."""

    def __init__(self, project: Path, command: Running, camera: VirtualCamera) -> None:
        self.project = project
        self.command = command
        self.camera = camera
        self._read = 0

    @property
    def printed(self) -> bytes:
        return self.command.out + b"\n" + self.command.err

    def save(self, path: str, text: str) -> None:
        self._out, self._err = len(self.command.out), len(self.command.err)
        (self.project / path).parent.mkdir(parents=True, exist_ok=True)
        (self.project / path).write_text(text)

    def await_(self, text: str) -> None:
        """Wait for *text* among what was printed since the last `save`."""

        def seen() -> bool:
            since = self.command.out[self._out :] + b"\n" + self.command.err[self._err :]
            return text.encode() in since or self.command.process.poll() is not None

        wait_until(seen, lambda: f"{text!r} is printed: {self.printed[-3000:].decode()}", COMMAND_SECONDS)
        assert self.command.process.poll() is None, self.printed.decode()

    _out = _err = 0


@contextmanager
def watched(project: Path, camera: VirtualCamera, *options: str) -> Iterator[Watch]:
    with running(
        "run", "--watch", "--device", camera.name, *options, env=command_environment(), cwd=project
    ) as command:
        watch = Watch(project, command, camera)
        watch.await_("waiting for changes")
        yield watch
        if command.process.poll() is None:
            command.press_ctrl_c()
            assert command.finish() == 0, command.text


@pytest.fixture(scope="module")
def watch(camera: VirtualCamera, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    """A session that tests share; each saves an app of its own."""
    project = write_project(
        tmp_path_factory.mktemp("watch") / "shared", app=f'print("begin")\n{FOREVER}', name="shared"
    )
    with watched(project, camera) as session:
        yield session


def traces(camera: VirtualCamera) -> str:
    return inside(camera, "ls -d /tmp/incamera-agent /tmp/incamera-run-* 2>/dev/null; ps | grep '[i]ncamera_agent'")


@on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64"])
def test_edit_is_what_runs_next(camera: VirtualCamera, tmp_path: Path) -> None:
    app = f'import numpy\nprint("{{}} edit", numpy.arange(4).sum())\n{FOREVER}'
    project = write_project(tmp_path / "edited", app="print(\n", dependencies='["numpy"]', name="edited")
    before = traces(camera)  # of the session that other tests share
    with watched(project, camera) as watch:
        assert b"app.py has a syntax error, so nothing was sent to the camera" in watch.printed
        watch.save("app.py", app.format("no"))
        watch.await_("no edit 6")
        assert b"fork server: numpy imported" in watch.printed
        watch.save("app.py", app.format("first"))
        watch.await_("first edit 6")
        watch.await_("app.py: sent in")
        assert b"instead of a fork" not in watch.printed
        watch.save("app.py", app.replace("print(", "print(("))
        watch.await_(f'File "{project}/app.py", line 2')
        watch.await_("the app keeps running unchanged")
        watch.save("app.py", 'raise ValueError("on purpose")\n')
        watch.await_(f'File "{project}/app.py", line 1')
        watch.await_("the app has ended with exit code 1")
        watch.save("app.py", app.format("last"))
        watch.await_("last edit 6")
    assert traces(camera) == before


def test_kept_object_survives_an_edit(watch: Watch) -> None:
    app = (
        "import os, time\nfrom incamera_agent import keep, reloading\n"
        'stream = keep("stream", lambda: os.urandom(4).hex())\nprint("{}", os.getpid(), stream)\n'
        "while not reloading():\n    time.sleep(0.02)\n"
    )
    watch.save("app.py", app.format("before"))
    watch.await_("before")
    watch.save("app.py", app.format("after"))
    watch.await_("kept: stream")
    watch.await_("after")
    before, after = (re.search(rb"%s (\d+ \w+)" % word, watch.command.out) for word in (b"before", b"after"))
    assert before is not None
    assert after is not None
    assert before[1] == after[1]


def test_half_written_file_starts_nothing(watch: Watch) -> None:
    watch.save("app.py", f'print("whole")\n{FOREVER}')
    watch.await_("whole")
    # An unfinished file is waited for; on a loaded machine this process may write the rest too late, and tries again.
    for attempt in range(20):
        began = time.monotonic()
        watch.save("app.py", "")
        time.sleep(2 * QUIET_SECONDS)
        (watch.project / "app.py").write_text(f"print('half{attempt}' +\n")
        time.sleep(2 * QUIET_SECONDS)
        (watch.project / "app.py").write_text(f"print('half{attempt}' +\n'written')\n{FOREVER}")
        in_time = time.monotonic() - began < UNFINISHED_SECONDS
        watch.await_(f"half{attempt}written")
        if in_time:
            assert b"error" not in watch.command.err[watch._err :]
            return
    raise AssertionError("the machine is too slow to write three times in half a second")


def test_many_changes_are_few_reloads(watch: Watch) -> None:
    watch.save("app.py", f'print("calm")\n{FOREVER}')
    watch.await_("calm")
    pauses, before = 0, time.monotonic()
    began = before
    for number in range(499):
        (watch.project / "app.py").write_text(f'print("storm {number} blows")\n{FOREVER}')
        time.sleep(0.001)
        now = time.monotonic()
        # On a loaded machine this process may pause for so long that the changes seem to have ended.
        pauses += now - before > QUIET_SECONDS / 2
        before = now
    (watch.project / "app.py").write_text(f'print("storm is over")\n{FOREVER}')
    watch.await_("storm is over")
    assert watch.command.out.count(b"blows") <= 1 + pauses + (before - began) // LONGEST_SECONDS


def test_state_of_a_run_does_not_reach_the_next(watch: Watch) -> None:
    watch.save(
        "app.py",
        "import json, os, signal, sys\njson.poison = True\nos.environ['POISON'] = 'x'\nos.chdir('/')\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\nsys.path.append('/poison')\nos.umask(0o777)\n"
        f"print('poisoned')\n{FOREVER}",
    )
    watch.await_("poisoned")
    watch.save(
        "app.py",
        "import json, os, signal, sys\nprint('clean', hasattr(json, 'poison'), 'POISON' in os.environ, "
        "os.path.exists('app.py'), signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL, '/poison' in sys.path, "
        f"os.umask(0) == 0o777)\n{FOREVER}",
    )
    watch.await_("clean False False True True False False")


def test_app_that_forks_and_ignores_sigterm_is_replaced(watch: Watch) -> None:
    watch.save(
        "app.py",
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork() == 0:\n    os.setsid()\n"
        f"    os.fork()\n    time.sleep(1000)\nprint('stubborn')\n{FOREVER}",
    )
    watch.await_("stubborn")
    count = "grep -l INCAMERA_RUN /proc/[0-9]*/environ 2>/dev/null | wc -l"
    many = int(inside(watch.camera, count))
    watch.save("app.py", f"print('meek')\n{FOREVER}")
    watch.await_("meek")
    wait_until(lambda: int(inside(watch.camera, count)) <= many - 2, "the children are gone")


def test_app_that_fills_its_output_is_replaced(watch: Watch) -> None:
    before = len(watch.command.out)
    watch.save("app.py", "import sys\nwhile True:\n    sys.stdout.write('x' * 10000 + '\\n')\n")
    wait_until(lambda: len(watch.command.out) > before + 1_000_000, "much is printed")
    watch.save("app.py", f"print('silence')\n{FOREVER}")
    watch.await_("silence")


@pytest.mark.matrix
def test_app_without_memory_is_reported_and_the_next_one_runs(watch: Watch) -> None:
    watch.save("app.py", "hoard = []\nwhile True:\n    hoard.append(bytearray(b'x' * (4 << 20)))\n")
    watch.await_("was killed by the camera's kernel, because no memory was left")
    watch.save("app.py", f"print('modest')\n{FOREVER}")
    watch.await_("modest")


def test_new_dependencies_are_built_and_deployed(watch: Watch) -> None:
    settings = (watch.project / "pyproject.toml").read_text()
    looks = "def bundles():\n    return {name for name in os.listdir('/tmp/incamera/shared') if len(name) == 16}\n"
    waits = "while bundles() <= first:\n    time.sleep(0.002)\nprint('sees another bundle', flush=True)\n"
    watch.save("app.py", f"import os, time\n{looks}first = bundles()\nprint('alone')\n{waits}{FOREVER}")
    watch.await_("alone")
    watch.save("pyproject.toml", settings.replace("= []", '= ["no-such-distribution-anywhere"]'))
    watch.await_("cannot resolve no-such-distribution-anywhere")
    watch.await_("the app keeps running unchanged")
    (watch.project / "app.py").write_text(f"import attr\nprint('with', attr.__name__)\n{FOREVER}")
    watch.save("pyproject.toml", settings.replace("= []", '= ["attrs"]'))
    watch.await_("with attr")
    watch.await_("running; waiting for changes")
    assert watch.command.err[watch._err :].count(b" deploy ") == 1
    watch.await_("sees another bundle")  # what ran before has run until the bundle was in the camera


@pytest.mark.matrix
def test_second_host_is_refused_with_the_name_of_the_first(watch: Watch, incamera_process: Run) -> None:
    watch.save("app.py", f"print('mine')\n{FOREVER}")
    watch.await_("mine")
    second = incamera_process("run", "--watch", "--device", watch.camera.name, cwd=watch.project)
    assert second.code == 4
    assert "is running the app with `incamera run --watch`" in second.err
    assert "since" in second.err
    assert "--take-over" in second.err
    watch.save("app.py", f"print('still mine')\n{FOREVER}")
    watch.await_("still mine")


@pytest.mark.matrix
def test_memory_limit_ends_the_app(camera: VirtualCamera, tmp_path: Path) -> None:
    project = write_project(tmp_path / "limited", app=f"print('small')\n{FOREVER}", name="limited")
    with watched(project, camera, "--memory-limit", "60M") as watch:
        watch.await_("small")
        watch.await_("memory: fork server")
        watch.save("app.py", "print('big')\nx = bytearray(200 << 20)\nprint('never')\n")
        watch.await_("memory limit")
        assert b"never" not in watch.command.out


def test_changed_c_source_sends_only_its_module(camera: VirtualCamera, tmp_path: Path) -> None:
    module = """#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) {{ return PyLong_FromLong({answer}); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, NULL}}, {{NULL, NULL, 0, NULL}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{name}", NULL, -1, methods}};
PyMODINIT_FUNC PyInit_{name}(void) {{ return PyModule_Create(&module); }}
"""
    project = write_project(
        tmp_path / "compiled", name="compiled", settings='entry = "compiled"\ntargets = ["armv7hf"]'
    )
    (project / "app.py").unlink()
    with (project / "pyproject.toml").open("a") as file:
        file.write('[build-system]\nrequires = ["setuptools>=77"]\nbuild-backend = "setuptools.build_meta"\n'
                   '[tool.setuptools]\npackages = ["compiled"]\npackage-dir = { "" = "src" }\n')  # fmt: skip
        for name in ("one", "two"):
            file.write(
                f'[[tool.setuptools.ext-modules]]\nname = "compiled.{name}"\nsources = ["src/compiled/{name}.c"]\n'
                'extra-compile-args = ["-g"]\n'
            )
    main = (
        "import os, time\nfrom compiled import one, two\n"
        "print('{} answers', one.answer(), two.answer(), *(os.stat(m.__file__).st_ino for m in (one, two)))\n"
        "while True:\n    time.sleep(0.05)\n"
    )
    source = project / "src/compiled"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text("")
    (source / "__main__.py").write_text(main.format("first"))
    for name in ("one", "two"):
        (source / f"{name}.c").write_text(module.format(name=name, answer=1))
    began = time.time()
    with watched(project, camera) as watch:
        watch.await_("first answers 1 1")
        # Python as it is needs no compiler.
        watch.save("src/compiled/__main__.py", main.format("second"))
        watch.await_("second answers 1 1")

        def find_built() -> list[Path]:
            found = (STORE / "caches/edited").glob("*/scratch/wheels/compiled-*.whl")
            return [path for path in found if path.stat().st_mtime > began]

        wait_until(find_built, "the modules have been compiled once, in the background")
        kept = next(find_built()[0].parents[1].rglob("compiled/two.o"))
        compiled = kept.stat().st_mtime_ns
        watch.save("src/compiled/one.c", module.format(name="one", answer=2))
        watch.await_("second answers 2 1")
        assert kept.stat().st_mtime_ns == compiled
        found = re.findall(rb"second answers \d \d (\d+) (\d+)", watch.command.out)
        assert found[0][1] == found[-1][1], "the module that did not change was replaced"
        assert found[0][0] != found[-1][0]
        watch.save("src/compiled/one.c", "int broken(void) { retrun 1; }\n")
        watch.await_("retrun")
        watch.save("src/compiled/one.c", module.format(name="one", answer=3))
        watch.await_("second answers 3 1")
        assert b"src/compiled/one.c: sent in" in watch.command.err
        watch.save("src/compiled/one.c", module.format(name="one", answer="*(volatile int *)8"))
        watch.await_("the app was killed by SIGSEGV in src/compiled/one.c, line 2")
