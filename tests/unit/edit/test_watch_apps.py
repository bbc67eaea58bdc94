"""The edit loop with apps of all kinds: such as end, fork, print much, read, or keep something."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .edit_loop import FOREVER, Loop

pytestmark = pytest.mark.starts_processes


def test_kept_objects_survive_a_reload(edit_loop: Callable[..., Loop]) -> None:
    app = (
        "import os, time\nfrom incamera_agent import keep, reloading\n"
        'stream = keep("stream", lambda: [os.urandom(4).hex()])\nprint("{}", os.getpid(), stream, flush=True)\n'
        "while not reloading():\n    time.sleep(0.02)\n"
    )
    loop = edit_loop()
    loop.save("app.py", app.format("first"))
    loop.start()
    loop.await_("first")
    loop.save("app.py", app.format("second"))
    loop.await_("second")
    loop.await_("kept: stream")
    first, second = loop.out.decode().splitlines()
    assert first.split()[1:] == second.split()[1:]


def test_an_ended_app_is_reported_and_starts_again_after_a_change(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", "import sys\nsys.exit(7)\n")
    loop.start()
    loop.await_("the app has ended with exit code 7")
    loop.save("app.py", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    loop.await_("was killed by SIGKILL")
    loop.save("app.py", 'raise ValueError("wrong")\n')
    loop.await_("ValueError: wrong")
    loop.await_("the app has ended with exit code 1")
    assert loop.codes == [7, 137, 1]


def test_state_of_one_run_does_not_reach_the_next(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'import json, os, builtins\njson.poison = os.environ["POISON"] = "yes"\nprint("first")\n'
                        f'builtins.poison = 1\nos.chdir("/")\n{FOREVER}')  # fmt: skip
    loop.start()
    loop.await_("first")
    loop.save("app.py", 'import json, os, builtins\nprint("second", hasattr(json, "poison"), "POISON" in os.environ, '
                        'hasattr(builtins, "poison"), os.path.exists("app.py"))\n')  # fmt: skip
    loop.await_("second False False False True")


def test_an_app_that_forks_and_ignores_sigterm_is_replaced_without_leftovers(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    marker = loop.project.parent / "child"
    loop.save("app.py", "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                        f"if os.fork() == 0:\n    os.setsid()\n    open({str(marker)!r}, 'w').write(str(os.getpid()))\n"
                        f"    time.sleep(1000)\nprint('stubborn', flush=True)\n{FOREVER}")  # fmt: skip
    loop.start()
    loop.await_("stubborn")
    loop.eventually(lambda: marker.exists() and marker.read_text(), "the child to say its number")
    child = Path("/proc", marker.read_text())
    loop.save("app.py", f'print("replaced")\n{FOREVER}')
    loop.await_("replaced")
    loop.eventually(
        lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text(), "the child to be gone"
    )


def test_an_app_that_floods_its_output_does_not_block_a_reload(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'import sys\nwhile True:\n    sys.stdout.write("x" * 100000)\n')
    loop.start()
    loop.eventually(lambda: len(loop.out) > 1_000_000, "output")
    loop.save("app.py", f'print("quiet now")\n{FOREVER}')
    loop.await_("quiet now")


def test_input_reaches_the_app_and_its_end_reaches_the_next_run(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", 'while True:\n    print("heard", input())\n')
    loop.start(stdin=b"hello\n")
    loop.await_("heard hello")
    loop.type(b"again\n")
    loop.await_("heard again")


def test_the_app_gets_a_terminal_of_the_same_size(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    app = 'import os, sys\nprint("{}", sys.stdin.isatty(), *os.get_terminal_size())\nprint("heard", input(), "!")\n'
    loop.save("app.py", app.format("first"))
    loop.start(terminal=True)
    loop.await_("first True 99 33")
    loop.type(b"hello\n")
    loop.await_("heard hello !")
    loop.save("app.py", app.format("second"))
    loop.await_("second True 99 33")
    loop.type(b"again\n")
    loop.await_("heard again !")


def test_unread_input_does_not_block_a_reload(edit_loop: Callable[..., Loop]) -> None:
    loop = edit_loop()
    loop.save("app.py", f'print("first")\n{FOREVER}')
    loop.start()
    loop.await_("first")
    typing = threading.Thread(target=lambda: loop.type(b"x" * 400_000), daemon=True)
    typing.start()
    time.sleep(0.3)
    loop.save("app.py", 'import sys\nprint("read", len(sys.stdin.read(100000)))\n')
    loop.await_("read 100000")
    loop.save("app.py", 'import sys\nsys.stdin.read(100000)\nsys.stdin.read(100000)\nprint("done")\n')
    loop.press_ctrl_c()
    loop.finish()
    typing.join(5)
