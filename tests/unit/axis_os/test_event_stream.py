"""The stream of events: what clients may ask for, what they are sent, and the frames of a WebSocket."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from incamera.axis_os.event_filters import BadFilter, Filter, parse_filters
from incamera.axis_os.event_stream import Tokens, configure, notification
from incamera.axis_os.events import Event, Feed
from incamera.axis_os.websocket import MOST_BYTES, Ended, WebSocket, accept_key
from incamera.virtual.services import render_event

PORT = Event(
    1639385866.198,
    "camera-1",
    "tns1:Device/tnsaxis:IO/VirtualPort",
    True,
    {"port": 1, "tnsaxis:state": False, "who": None, "level": "a"},
    frozenset(["port"]),
    frozenset(["level"]),
)


def one(**table: str) -> Filter:
    (found,) = parse_filters([table])
    return found


@pytest.mark.parametrize(
    ("topic", "takes"),
    [
        ("tns1:Device/tnsaxis:IO/VirtualPort", True),
        ("onvif:Device/axis:IO/VirtualPort", True),
        ("tns1:Device/tnsaxis:IO/tnsaxis:VirtualPort", True),
        ("tns1:Device//.", True),
        ("tns1:Device/tnsaxis:IO//.", True),
        ("tnsaxis:Storage/Alert | tns1:Device//.", True),
        ("tns1:Device/tnsaxis:IO/*", True),
        ("tns1:Device", False),
        ("tns1:Device/tnsaxis:IO", False),
        ("tnsaxis:Device//.", False),
        ("tns1:Device/tns1:IO//.", False),
        ("tns1:Device/tnsaxis:IO/VirtualPort/more//.", False),
    ],
)
def test_topic_is_one_or_all_below_it(topic: str, takes: bool) -> None:
    assert one(topicFilter=topic).takes(PORT) is takes


def item(name: str, value: str) -> str:
    return f'boolean(//SimpleItem[@Name="{name}" and @Value="{value}"])'


@pytest.mark.parametrize(
    ("content", "takes"),
    [
        (item("port", "1"), True),
        (f"{item('port', '1')} and {item('state', '0')}", True),
        (f"{item('port', '1')} and {item('state', '1')}", False),
        (f"{item('port', '2')} or {item('state', '0')}", True),
        (item("none", "").replace('"', "'"), False),
    ],
)
def test_content_is_of_equal_values(content: str, takes: bool) -> None:
    assert one(contentFilter=content).takes(PORT) is takes
    assert one(contentFilter=content, topicFilter="tns1:Device//.").takes(PORT) is takes
    assert not one(contentFilter=content, topicFilter="tns1:Else//.").takes(PORT)


@pytest.mark.parametrize(
    "filters",
    [None, [], {}, ["x"], [{}], [{"topicFilter": 1}], [{"else": "x"}], [{"topicFilter": "//."}],
     [{"topicFilter": "a//b"}], [{"contentFilter": "count(//SimpleItem) > 1"}], [{"topicFilter": "x" * 5000}],
     [{"topicFilter": "a"}] * 101],
)  # fmt: skip
def test_what_is_no_filter_is_refused(filters: object) -> None:
    with pytest.raises(BadFilter):
        parse_filters(filters)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 2101), ("[]", 2101), ("{}", 2103), ('{"method": "events:configure", "apiVersion": "2.0"}', 2100),
        ('{"method": "events:else"}', 2102), ('{"method": "events:configure"}', 2104),
        ('{"method": "events:configure", "params": {"eventFilterList": []}}', 2104),
    ],
)  # fmt: skip
def test_request_that_is_wrong_gets_its_error_number(text: str, code: int) -> None:
    answer, filters = configure(text)
    assert (answer["error"]["code"], filters) == (code, ())


def test_request_is_answered_with_its_context() -> None:
    request = {"apiVersion": "1", "context": "c", "method": "events:configure"}
    answer, filters = configure(json.dumps({**request, "params": {"eventFilterList": [{"topicFilter": "tns1:A"}]}}))
    assert answer == {"apiVersion": "1.0", "context": "c", "method": "events:configure", "data": {}}
    assert len(filters) == 1


def test_event_is_told_as_documented() -> None:
    assert notification(PORT) == {
        "apiVersion": "1.0",
        "method": "events:notify",
        "params": {
            "notification": {
                "timestamp": 1639385866198,
                "topic": "tns1:Device/tnsaxis:IO/VirtualPort",
                "message": {"source": {"port": "1"}, "key": {"level": "a"}, "data": {"state": "0", "who": ""}},
            }
        },
    }


class Files:
    """The files of the stand-in of axevent, and the list of mounted disks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.mounts = folder / "events", folder / "mounts"
        (self.folder / "declared").mkdir(parents=True)
        self.mounts.write_text("/dev/vdb /var/spool/storage/SD_DISK vfat rw 0 0\n")

    def log(self, text: str, name: str = "log") -> None:
        with (self.folder / name).open("a") as stream:
            stream.write(text)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def feed(files: Files) -> Iterator[Feed]:
    files.log(line("old"))
    found = Feed(files.folder, files.mounts)
    yield found
    found.close()


def line(name: str, **data: int) -> str:
    return render_event(f"tnsaxis:CameraApplicationPlatform/app/{name}", data, time=5.0, is_state=True)


def names(events: Iterator[Event]) -> list[str]:
    return [event.topic.rpartition("/")[2] for event in events]


def test_feed_has_the_events_from_now_on_also_over_a_change_of_the_log(files: Files, feed: Feed) -> None:
    assert names(feed.read()) == []
    files.log(line("a") + line("b")[:9])
    assert names(feed.read()) == ["a"]
    files.log(line("b")[9:] + "next\t1\n")
    (files.folder / "log").rename(files.folder / "log.1")
    files.log(line("c"))
    assert names(feed.read()) == ["b", "c"]
    files.log("damaged\n\t\t\n" + line("d"))
    assert names(feed.read()) == ["d"]


def test_log_that_is_a_link_is_not_followed(files: Files, tmp_path: Path) -> None:
    (tmp_path / "else").write_text("")
    (files.folder / "log").symlink_to(tmp_path / "else")
    feed = Feed(files.folder, files.mounts)
    (tmp_path / "else").write_text(line("a"))
    assert names(feed.read()) == []


def test_states_are_those_of_programs_that_run_and_of_the_camera(files: Files, feed: Feed) -> None:
    (files.folder / f"declared/{os.getpid()}.1").write_text(line("mine", level=3))
    (files.folder / "declared/camera-1").write_text(line("cameras"))
    (files.folder / "declared/999999999.1").write_text(line("left"))
    (files.folder / f"declared/{os.getpid()}.2").write_text(line("pulse").replace("\tstate\t", "\tpulse\t"))
    states = feed.states()
    assert [event.topic for event in states[:3]] == [
        "tns1:Device/tnsaxis:Status/SystemReady", "tnsaxis:Storage/Disruption", "tnsaxis:Storage/Disruption"
    ]  # fmt: skip
    disks = {event.data["disk_id"]: event.data["disruption"] for event in states[1:3]}
    assert disks == {"SD_DISK": False, "NetworkShare": True}
    assert names(iter(states[3:])) == ["mine", "cameras"]


def test_disk_that_comes_or_goes_is_told(files: Files, feed: Feed) -> None:
    files.mounts.write_text("//10.0.2.100/share /var/spool/storage/NetworkShare cifs rw 0 0\n")
    told = {event.data["disk_id"]: event.data["disruption"] for event in feed.read()}
    assert told == {"SD_DISK": True, "NetworkShare": False}
    assert list(feed.read()) == []


def test_token_is_valid_for_a_short_time() -> None:
    seconds = [0.0]
    tokens = Tokens(lambda: seconds[0])
    token = tokens.make()
    assert (token.isdecimal(), tokens.takes(token), tokens.takes(""), tokens.takes("1")) == (True, True, False, False)
    seconds[0] = 15.1
    assert not tokens.takes(token)


def test_key_is_answered_as_the_standard_says() -> None:
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def frame(kind: int, data: bytes, *, final: bool = True) -> bytes:
    size = bytes([128 | len(data)]) if len(data) < 126 else bytes([254]) + len(data).to_bytes(2, "big")
    mask = b"\1\2\3\4"
    return (
        bytes([kind | (128 if final else 0)]) + size + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(data))
    )


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, WebSocket]]:
    ours, other = socket.socketpair()
    with ours, other:
        yield ours, WebSocket(other)


def receive(web: WebSocket) -> list[Any]:
    return list(web.receive(1.0))


def test_messages_come_whole_whatever_their_frames_and_packets(ends: tuple[socket.socket, WebSocket]) -> None:
    ours, web = ends
    data = frame(1, b"one") + frame(1, b"t", final=False) + frame(9, b"hi") + frame(0, b"wo") + frame(1, b"x" * 300)
    ours.sendall(data[:-5])
    assert receive(web) == ["one", "two"]
    assert ours.recv(99) == b"\x8a\x02hi"
    ours.sendall(data[-5:])
    assert receive(web) == ["x" * 300]
    assert list(web.receive(0.0)) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x03one", 1002),
        (b"\xc1\x80\0\0\0\0", 1002),
        (b"\x83\x80\0\0\0\0", 1002),
        (b"\x81\xff" + bytes(12), 1009),
        (frame(1, bytes(60000), final=False) + frame(0, bytes(60000)), 1009),
        (frame(8, b""), 1000),
    ],
)
def test_connection_ends_with_what_no_client_sends(
    data: bytes, code: int, ends: tuple[socket.socket, WebSocket]
) -> None:
    ours, web = ends
    ours.sendall(data)
    with pytest.raises(Ended):
        [receive(web) for _ in range(len(data) // MOST_BYTES + 2)]
    assert ours.recv(99) == b"\x88\x02" + code.to_bytes(2, "big")


def test_connection_that_was_closed_has_ended(ends: tuple[socket.socket, WebSocket]) -> None:
    ours, web = ends
    ours.close()
    with pytest.raises(Ended):
        receive(web)
