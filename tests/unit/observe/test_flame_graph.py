"""The recording of where time goes: which process is asked, and how its stacks are drawn."""

from __future__ import annotations

import dataclasses
import json
import xml.etree.ElementTree as ET

import pytest
from tests.unit.transport.fake import FakeTransport, answering, open_fake

from incamera.errors import DeviceError, UsageError
from incamera.observe.flame_graph import draw_flame
from incamera.observe.processes import Process, Sample
from incamera.observe.roles import Role
from incamera.observe.speedscope import render_speedscope
from incamera.observe.stacks import Frame, Recording, Stack
from incamera.transport.device import Device, SshAddress
from incamera.workflows.flame import choose_process, require_attach_socket

SVG = "{http://www.w3.org/2000/svg}"


def frames(graph: bytes) -> dict[str, tuple[float, float, float]]:
    """Return where each frame lies, and how wide it is, by what it tells."""
    found = {}
    for group in ET.fromstring(graph).iter(f"{SVG}g"):
        rect, title = group.find(f"{SVG}rect"), group.find(f"{SVG}title")
        assert rect is not None
        assert title is not None
        found[title.text or ""] = tuple(float(rect.get(name, "nan")) for name in ("x", "y", "width"))
    return found  # type: ignore[return-value]


def test_width_of_a_frame_is_its_number_of_samples() -> None:
    main_frame = Frame("main", "a.py", 1)
    stacks: dict[Stack, int] = {(main_frame, Frame("b", "b.py", 2)): 3, (main_frame, Frame("<c>", "c.py", 3)): 1}
    drawn = frames(draw_flame(stacks, "x & y"))
    everything, main = drawn["all (4 samples, 100.0 %)"], drawn["main (a.py:1) (4 samples, 100.0 %)"]
    left, right = drawn["<c> (c.py:3) (1 sample, 25.0 %)"], drawn["b (b.py:2) (3 samples, 75.0 %)"]
    assert everything[2] == main[2] == 1200
    assert (left[0], left[2]) == (0, 300)
    assert (right[0], right[2]) == (300, 900)
    # Who is called stands above who calls.
    assert everything[1] > main[1] > left[1] == right[1] > 0


def test_graph_without_stacks_has_one_box() -> None:
    assert list(frames(draw_flame({}, "x"))) == ["all (0 samples, 100.0 %)"]


def process(pid: int, role: Role, ticks: int) -> Process:
    return Process(
        pid=pid,
        parent=1,
        role=role,
        run="r",
        app="bell",
        words=("python3", f"{pid}.py"),
        interpreter="/tmp/incamera/bell/x/bin/python3",
        state="S",
        ticks=ticks,
        began=1.0,
        threads=1,
        resident=1,
        proportional=1,
        peak=1,
        files=1,
    )


def sample(*processes: Process) -> Sample:
    return Sample(uptime=10.0, free=1, total=1, processes=processes)


def test_busiest_app_is_chosen_not_a_busier_agent() -> None:
    busy = [process(1, Role.agent, 900), process(2, Role.fork_server, 800)]
    now = sample(*busy, process(3, Role.app, 5), process(4, Role.child, 9))
    assert choose_process(now, sample(), project=None, pid=None, device="cam").pid == 3
    assert choose_process(now, sample(), project=None, pid=1, device="cam").pid == 1
    with pytest.raises(UsageError, match="process 9 on cam was not started by incamera"):
        choose_process(now, sample(), project=None, pid=9, device="cam")
    with pytest.raises(UsageError, match="no app that incamera started runs on cam"):
        choose_process(sample(process(1, Role.agent, 900)), sample(), project=None, pid=None, device="cam")


@pytest.mark.parametrize(
    ("role", "reason"),
    [
        (Role.child, "the app started it"),
        (Role.app, "it opened no attach socket"),
        (Role.guard, "its role is guard, not app"),
    ],
)
def test_process_that_cannot_be_asked_is_named_with_the_reason(role: Role, reason: str) -> None:
    device = Device(name="cam", address=SshAddress(host="192.0.2.10"))
    programs = {"/guard sockets": answering(b'{"kind":"sockets","paths":[]}\n')}
    with (
        open_fake(lambda: FakeTransport(device, programs)) as session,
        pytest.raises(
            DeviceError, match=rf"python3 7.py \(process 7\) on cam cannot be asked for its stacks: {reason}"
        ),
    ):
        require_attach_socket(session, "/guard", dataclasses.replace(process(7, role, 1), app="not-running"))


def test_speedscope_file_has_a_profile_for_each_thread() -> None:
    main, work = Frame("main", "a.py", 1), Frame("work", "b.py", 2)
    recording = Recording(threads={"MainThread": [(main,), (main, work)], "pump": [(work,)]}, interval=0.05)
    document = json.loads(render_speedscope(recording, "app on cam"))
    assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert document["name"] == "app on cam"
    assert document["shared"]["frames"] == [
        {"name": "main", "file": "a.py", "line": 1},
        {"name": "work", "file": "b.py", "line": 2},
    ]
    first, second = document["profiles"]
    assert first == {
        "type": "sampled",
        "name": "MainThread",
        "unit": "seconds",
        "startValue": 0,
        "endValue": 0.1,
        "samples": [[0], [0, 1]],
        "weights": [0.05, 0.05],
    }
    assert (second["name"], second["samples"]) == ("pump", [[1]])


def test_stack_deeper_than_our_own_can_be_is_drawn() -> None:
    deep = tuple(Frame(f"f{number}", "a.py", 1) for number in range(5000))
    assert draw_flame({deep: 3}, "title").count(b"<g ") == 5001
