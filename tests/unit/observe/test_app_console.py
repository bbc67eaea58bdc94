"""The console inside an app: what the app chooses is shown, and obeyed by no terminal."""

from __future__ import annotations

from pathlib import Path

from incamera.device.attach import Thread
from incamera.device.tracebacks import HostPaths
from incamera.observe.app_console import Prompt, _show_stacks

NOWHERE = HostPaths(folders=("/app",), sources=(Path("/nowhere"),))


def test_stacks_with_control_characters_are_shown_as_text() -> None:
    thread = Thread(name="pump\x1b[2J\n", is_main=False, frames=(("/app/a\x9b.py", 0, "f\u202e\ud800"),))
    assert _show_stacks([thread], NOWHERE).splitlines() == [
        r"pump\x1b[2J\n:",
        r'  File "/app/a\x9b.py", line 0, in f\u202e\ud800',
    ]


def test_message_about_the_app_is_one_line() -> None:
    shown: list[str] = []
    Prompt(shown.append).show("the app was reloaded (kept: a\x1b]0;x\x07\nerror: forged)")
    assert shown == [r"(the app was reloaded (kept: a\x1b]0;x\x07\nerror: forged))"]
