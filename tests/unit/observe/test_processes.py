"""What the guard's list of processes says of our runs."""

from __future__ import annotations

from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera.observe.processes import describe_sample, python_words
from incamera.runtime.launcher import protocol

ROOT = "/tmp/incamera/bell/4f1c"
RUN = "incamera-run-981ebe"
KB = 1024


def process(pid: int, *arguments: str, **more: object) -> protocol.Process:
    values: dict[str, object] = {
        "pid": pid, "parent": 1, "run": RUN, "arguments": arguments, "folder": "/", "state": "S", "ticks": 0,
        "threads": 1, "began": pid, "resident": 4 * KB, "peak": None, "proportional": None, "files": 3,
    }  # fmt: skip
    return protocol.Process(**values | more)  # type: ignore[arg-type]


T = TypeVar("T", bound=object)


def replace(answer: T, **values: object) -> T:
    return type(answer)(**{**vars(answer), **values})


PYTHON = process(
    288,
    *("/lib/ld-linux-armhf.so.3", "--library-path", f"{ROOT}/lib", "--argv0", f"{ROOT}/bin/python3"),
    *(f"{ROOT}/libexec/python3.11", "app.py", "--name", "two words"),
    parent=254, folder=f"{ROOT}/app", ticks=541, threads=2, began=59996, resident=5600 * KB, peak=5800 * KB,
    proportional=5488 * KB,
)  # fmt: skip
SHELL = process(300, "sh", "-c", "sleep 1", parent=288, state="R", ticks=7, began=100000)
ENDED = process(302, state="Z")
ANSWER = protocol.Sample(uptime=1111160, total=500588 * KB, free=365540 * KB, processes=(SHELL, ENDED, PYTHON))


def test_process_is_described_as_the_user_started_it() -> None:
    sample = describe_sample(ANSWER)
    python, shell = sample.processes
    assert python.command == "python3 app.py --name 'two words'"
    assert python.interpreter == f"{ROOT}/bin/python3"
    assert (python.app, python.run, python.threads, python.files) == ("bell", RUN, 2, 3)
    assert (python.resident, python.proportional, python.peak) == (5600 * KB, 5488 * KB, 5800 * KB)
    assert (shell.command, shell.interpreter, shell.proportional) == ("sh -c 'sleep 1'", None, None)
    assert (shell.parent, shell.app) == (python.pid, "bell")
    assert (sample.free, sample.total, sample.uptime) == (365540 * KB, 500588 * KB, 1111.16)


# An edit loop: the app is a fork of the fork server, which is one of the agent.
WATCHED = {
    223: ("/tmp/incamera/.guard/incamera-guard-a1b2", "supervise", "/tmp/incamera-run-7", "--grace", "3000"),
    224: ("python3", "-m", "incamera_agent", "--app", "bell", "--user", "me@home"),
    225: ("python3", "-m", "incamera_agent", "--fork-server", "", ""),
    226: ("python3", "app.py", "two words", "", ""),
    227: ("sleep", "600"),
    228: ("python3", "-m", "incamera_agent", "--compile-check"),
}


def test_every_process_has_a_role() -> None:
    processes = [process(pid, *words, run="incamera-run-7" if pid > 223 else "") for pid, words in WATCHED.items()]
    sample = describe_sample(replace(ANSWER, processes=tuple(processes)))
    assert [(str(process.role), process.app, process.command) for process in sample.processes] == [
        ("app", "bell", "python3 app.py 'two words'"),
        ("child", "bell", "sleep 600"),
        ("fork server", "bell", "python3 -m incamera_agent --fork-server"),
        ("check", "bell", "python3 -m incamera_agent --compile-check"),
        ("agent", "bell", "python3 -m incamera_agent --app bell --user me@home"),
        ("guard", "bell", "incamera-guard supervise /tmp/incamera-run-7 --grace 3000"),
    ]


def test_processor_use_is_that_between_two_samples() -> None:
    first = describe_sample(ANSWER)
    later = describe_sample(replace(ANSWER, uptime=1113160, processes=(replace(PYTHON, ticks=691),)))
    assert later.usage_since(first)[288] == pytest.approx(75)
    # Without an earlier sample: since it began, at 599.96 s.
    assert first.usage_since(None)[288] == pytest.approx(100 * 5.41 / (1111.16 - 599.96))


def test_new_process_counts_from_its_start() -> None:
    before = describe_sample(replace(ANSWER, processes=(PYTHON,)))
    assert describe_sample(ANSWER).usage_since(before)[300] == pytest.approx(100 * 0.07 / (1111.16 - 1000))


def test_only_our_loader_is_left_out() -> None:
    words = ["/lib/ld-linux-armhf.so.3", "--list", "/bin/true"]
    assert python_words(words) == (words, None)
    assert python_words([]) == ([], None)


words = st.sampled_from(
    ["/lib/ld-linux.so.3", "--argv0", "python3", "-m", "incamera_agent", "--app", "", "/tmp/incamera-run-1"]
)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.lists(st.tuples(st.lists(words | st.text(max_size=3), max_size=6), st.integers(0, (1 << 64) - 1)), max_size=4)
)
def test_any_process_that_a_device_lists_can_be_shown(listed: list[tuple[list[str], int]]) -> None:
    """Whoever is logged in to the camera chooses the words of a process."""
    processes = tuple(process(pid, *arguments, began=pid, ticks=pid) for arguments, pid in listed)
    sample = describe_sample(replace(ANSWER, processes=processes))
    assert len(sample.usage_since(sample)) <= len(listed)
    assert all(isinstance(each.command, str) for each in sample.processes)
