"""acap.testing for events and parameters: what an app sends, what the camera sends it, and what its user changes."""

from __future__ import annotations

import pytest

import acap

pytestmark = pytest.mark.usefixtures("video")
PORT = "tns1:Device/tnsaxis:IO/Port"


def test_events_of_the_app_are_kept() -> None:
    with acap.testing.events() as events:
        door = acap.events.State("Door", open=False)
        assert events.sent == []
        door.open = True
        acap.events.Pulse("Knock").send(strength=3)
        assert [(event.topic, event.data) for event in events.sent] == [
            (door.topic, {"open": True}),
            (door.topic.replace("Door", "Knock"), {"strength": 3}),
        ]


def test_events_of_the_camera_come_to_the_app() -> None:
    with acap.testing.events() as events:
        events.set_state(PORT, port=1, state=True)
        subscription = acap.events.subscribe(PORT, "state", port=1, timeout=0.01)
        events.set_state(PORT, port=2, state=True)
        events.send(PORT, port=1, state=False)
        assert [event.data for event in subscription] == [{"state": True, "port": 1}, {"state": False, "port": 1}]
    with acap.testing.events():
        assert list(acap.events.subscribe(PORT, timeout=0.01)) == []


def test_parameters_are_those_of_the_test() -> None:
    seen: list[str] = []
    with acap.testing.parameters(Interval=5, Name="lamp", On=True) as parameters:
        assert dict(acap.parameters) == {"Interval": "5", "Name": "lamp", "On": "yes"}
        acap.parameters.on_change("Interval")(seen.append)
        parameters.change("Interval", 6)
        acap.wait(0)
        acap.parameters.remove_handler(seen.append)
        assert seen == ["6"]
        with pytest.raises(KeyError):
            parameters.change("Inteval", 7)
