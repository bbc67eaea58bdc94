"""The stream of events behind Apache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from incamera.virtual.services import render_event

from .stream_client import Refused, StreamClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Served

PATH = "/vapix/ws-data-stream?sources=events"
DOOR = "tnsaxis:CameraApplicationPlatform/lookout/Door"


@pytest.fixture
def opened(served: Served) -> Iterator[Callable[..., StreamClient]]:
    clients: list[StreamClient] = []

    def connect(target: str = PATH, login: str = "guest:pass") -> StreamClient:
        clients.append(StreamClient(served.ports[443], target, login))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def send(served: Served, opened: int) -> None:
    folder = served.folder / "events"
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("a") as log:
        log.write(render_event(DOOR, {"open": opened}, time=1.0, is_state=True))


def test_viewer_is_sent_the_events_that_it_asks_for(served: Served, opened: Callable[..., StreamClient]) -> None:
    send(served, 0)
    client = opened()
    assert client.configure({"topicFilter": "tns1:Device/tnsaxis:Status//."})["data"] == {}
    assert client.event() == ("tns1:Device/tnsaxis:Status/SystemReady", {}, {"ready": "1"})
    assert client.configure()["error"]["code"] == 2104
    client.configure({"topicFilter": "tnsaxis:CameraApplicationPlatform//."})
    send(served, 1)
    assert client.event() == (DOOR, {}, {"open": "1"})
    client.configure({"topicFilter": DOOR}, {"contentFilter": 'boolean(//SimpleItem[@Name="open" and @Value="7"])'})
    send(served, 7)
    # One for each filter.
    assert [client.event()[2], client.event()[2]] == [{"open": "7"}, {"open": "7"}]


def test_token_stands_for_a_login(served: Served, opened: Callable[..., StreamClient]) -> None:
    login = "Z3Vlc3Q6cGFzcw=="  # guest:pass
    request = f"GET /axis-cgi/wssession.cgi HTTP/1.0\r\nAuthorization: Basic {login}\r\n\r\n"
    token = served.send_encrypted(request.encode()).partition(b"\r\n\r\n")[2].decode().strip()
    client = opened(f"{PATH}&wssession={token}", login="")
    client.configure({"topicFilter": "tnsaxis:Storage/Disruption"})
    assert client.event()[1] == {"disk_id": "SD_DISK"}


@pytest.mark.parametrize("target", [PATH, f"{PATH}&wssession=1", f"{PATH}&wssession=", f"{PATH}&wssession=x"])
@pytest.mark.parametrize("login", ["", "guest:wrong"])
def test_nobody_is_let_in_without_a_login_or_a_token(
    opened: Callable[..., StreamClient], target: str, login: str
) -> None:
    with pytest.raises(Refused) as refused:
        opened(target, login)
    assert refused.value.status == 401


def test_more_streams_than_the_camera_has_are_refused_and_others_are_answered(
    served: Served, opened: Callable[..., StreamClient]
) -> None:
    for _ in range(8):
        opened()
    with pytest.raises(Refused) as refused:
        opened()
    assert refused.value.status == 503
    assert b"200 OK" in served.send_encrypted(b"GET /axis-cgi/systemready.cgi HTTP/1.0\r\n\r\n")


def test_request_for_no_websocket_is_refused(served: Served) -> None:
    request = f"GET {PATH} HTTP/1.0\r\nAuthorization: Basic Z3Vlc3Q6cGFzcw==\r\n\r\n"
    assert b" 400 " in served.send_encrypted(request.encode()).splitlines()[0]
