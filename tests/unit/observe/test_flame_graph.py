"""The flame graph, and who is asked for it."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from incamera.errors import UsageError
from incamera.observe.flame_graph import draw_flame
from incamera.observe.processes import Process, Sample
from incamera.observe.roles import Role
from incamera.workflows.flame import choose_process

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


def test_a_frame_is_as_wide_as_it_was_often_seen() -> None:
    drawn = frames(draw_flame({("main (a.py:1)", "b (b.py:2)"): 3, ("main (a.py:1)", "<c> (c.py:3)"): 1}, "x & y"))
    everything, main = drawn["all (4 samples, 100.0 %)"], drawn["main (a.py:1) (4 samples, 100.0 %)"]
    left, right = drawn["<c> (c.py:3) (1 sample, 25.0 %)"], drawn["b (b.py:2) (3 samples, 75.0 %)"]
    assert everything[2] == main[2] == 1200
    assert (left[0], left[2]) == (0, 300)
    assert (right[0], right[2]) == (300, 900)
    # Who is called stands above who calls.
    assert everything[1] > main[1] > left[1] == right[1] > 0


def test_nothing_seen_is_drawn_as_such() -> None:
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


def test_the_app_is_drawn_though_the_agent_be_busier() -> None:
    now = sample(
        process(1, Role.agent, 900), process(2, Role.warm, 800), process(3, Role.app, 5), process(4, Role.child, 9)
    )
    assert choose_process(now, sample(), project=None, pid=None, root=True, device="cam").pid == 4
    assert choose_process(now, sample(), project=None, pid=None, root=False, device="cam").pid == 3
    assert choose_process(now, sample(), project=None, pid=1, root=True, device="cam").pid == 1
    with pytest.raises(UsageError, match="no app runs on cam"):
        choose_process(sample(process(1, Role.agent, 900)), sample(), project=None, pid=None, root=True, device="cam")
