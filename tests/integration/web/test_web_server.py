"""The web server of virtual cameras on this computer: Debian's Apache with the camera's configuration and back end."""

from __future__ import annotations

import base64
import ctypes
import io
import json
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import av
import pytest

from incamera.axis_os.applications import Code
from incamera.errors import DeviceError, DeviceRefused
from incamera.vapix.application_errors import ApplicationError
from incamera.vapix.applications import list_applications, read_switch, set_switch, upload
from incamera.vapix.device_info import read_apis, read_device_info, read_system_ready
from incamera.vapix.params import read_params, set_params
from tests.unit.camera_service.conftest import Service
from tests.unit.vapix.packages import make_package
from tests.waiting import wait_until

from .conftest import VIDEO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .conftest import Served


@pytest.mark.parametrize("port", [443, 80])
def test_client_works_over_both_transports(served: Served, port: int, tmp_path: Path) -> None:
    client = served.client(port)
    assert read_device_info(client).version == served.camera.facts.version
    assert read_system_ready(client).is_ready
    assert "param-cgi" in {api.id for api in read_apis(client)}
    set_params(client, {"Image.I0.Name": "a&b=c d"})
    assert read_params(client, "Image.I0.Name") == {"Image.I0.Name": "a&b=c d"}
    set_switch(client, "AllowUnsigned", True)
    assert read_switch(client, "AllowUnsigned") is True
    package = make_package(tmp_path / "own.eap")
    upload(client, package, package.stat().st_size, name="own.eap")
    assert [app.name for app in list_applications(client)] == ["own_app"]


def test_upload_that_is_refused_before_it_is_read_gets_its_error_number(served: Served, tmp_path: Path) -> None:
    set_switch(served.client(), "AllowUnsigned", True)
    package = make_package(tmp_path / "own.eap")
    with served.camera._uploading, package.open("ab") as stream:
        stream.write(bytes(20 << 20))
        with pytest.raises(ApplicationError) as caught:
            upload(served.client(), package, package.stat().st_size, name="own.eap")
    assert caught.value.code == Code.busy


def test_upload_that_is_cut_off_makes_room_for_the_next(served: Served) -> None:
    login = base64.b64encode(b"root:pass").decode()
    head = (
        "POST /axis-cgi/applications/upload.cgi HTTP/1.1\r\nHost: x\r\nContent-Length: 20000000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nAuthorization: Basic {login}\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="f"; filename="a.eap"\r\n\r\n'
    )
    with socket.create_connection(("127.0.0.1", served.ports[443]), timeout=60) as plain:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = context.wrap_socket(plain)
        connection.sendall(head.encode() + bytes(4_000_000))
        wait_until(served.camera._uploading.locked, "it is being read")
        connection.close()
    wait_until(lambda: not served.camera._uploading.locked(), "the camera takes another upload", 30)


@pytest.mark.parametrize(
    ("port", "user", "password"), [(443, "root", "wrong"), (80, "root", "wrong"), (443, "guest", "pass")]
)
def test_wrong_password_and_wrong_role_are_refused(served: Served, port: int, user: str, password: str) -> None:
    with pytest.raises(DeviceRefused):
        list_applications(served.client(port, user, password))


@pytest.mark.parametrize(
    ("policy", "port", "is_let_in"), [("https", 80, False), ("https", 443, True), ("http", 443, False)]
)
def test_role_comes_over_the_transports_of_its_policy(served: Served, policy: str, port: int, is_let_in: bool) -> None:
    served.set_parameters({"root.System.BoaGroupPolicy.admin": policy})
    try:
        if is_let_in:
            list_applications(served.client(port))
        else:
            with pytest.raises(DeviceRefused):
                list_applications(served.client(port))
    finally:
        served.set_parameters({"root.System.BoaGroupPolicy.admin": "both"})


@pytest.mark.parametrize(
    ("policy", "ways"),
    [
        ("basic", {80: b"Basic", 443: b"Basic"}),
        ("digest", {80: b"Digest", 443: b"Digest"}),
        ("basic_digest", {80: b"Digest", 443: b"Digest"}),
        ("recommended", {80: b"Digest", 443: b"Basic"}),
    ],
)
def test_each_transport_has_the_login_of_the_policy(served: Served, policy: str, ways: dict[int, bytes]) -> None:
    served.set_parameters({"root.Network.HTTP.AuthenticationPolicy": policy})
    request = b"GET /axis-cgi/param.cgi HTTP/1.0\r\n\r\n"
    answers = {80: served.send(request), 443: served.send_encrypted(request)}
    for port, way in ways.items():
        challenges = [line for line in answers[port].split(b"\r\n") if line.startswith(b"WWW-Authenticate: ")]
        assert [line.split()[1] for line in challenges] == [way]


def test_policy_that_does_not_exist_is_refused(served: Served) -> None:
    with pytest.raises(DeviceError, match="cannot set"):
        set_params(served.client(), {"Network.HTTP.AuthenticationPolicy": "none"})


def test_viewer_reads_parameters_and_cannot_say_that_it_is_another(served: Served) -> None:
    assert read_params(served.client(user="guest"), "Brand.Brand") == {"Brand.Brand": "AXIS"}
    request = b"GET /axis-cgi/systemready.cgi HTTP/1.0\r\nX-Axis-User: root\r\n\r\n"
    assert b"200 OK" in served.send(request)
    login = "Z3Vlc3Q6cGFzcw=="  # guest:pass
    head = f"GET /axis-cgi/param.cgi?action=update&Image.I0.Name=taken HTTP/1.0\r\nAuthorization: Basic {login}\r\n"
    answered = served.send_encrypted(head.encode() + b"X-Axis-User: root\r\nX-Axis-User : root\r\n\r\n")
    assert b"not authorized" in answered or b"400 Bad Request" in answered
    assert served.camera.parameters()["root.Image.I0.Name"] != "taken"


@pytest.mark.parametrize(
    ("path", "user", "status", "body"),
    [
        ("api/a?b=c", "guest", 200, b"/local/pages/api/a?b=c guest"),
        ("api", "", 401, b""),
        ("inner/x", "root", 200, b"/mcp/x root"),
        ("inner/x", "guest", 401, b""),
        ("open/x", "", 200, b"/local/pages/open/x "),
        ("socket/a?b=c", "guest", 200, b"/local/pages/socket/a?b=c guest"),
        ("socket", "", 401, b""),
        ("socket2/x", "", 200, b"/local/pages/socket2/x "),
        # The back end believes what Apache says of the user, and answers no app.
        ("steal/axis-cgi/usergroup.cgi", "", 404, b""),
        ("steal/../../../axis-cgi/usergroup.cgi", "", 401, b""),
        ("steal/%2e%2e/%2e%2e/%2e%2e/axis-cgi/usergroup.cgi", "", 401, b""),
        ("fast/x", "guest", 503, b""),
        ("down", "guest", 503, b""),
        ("down.cgi", "guest", 503, b""),
        ("index.html", "guest", 200, b"a page"),
        ("index.html", "", 401, b""),
        ("out/passwd", "guest", 403, b""),
        ("else", "root", 404, b""),
        ("x", "", 401, b""),
    ],
)
def test_pages_and_proxy_rules_of_an_app_have_their_access_level(
    path: str, user: str, status: int, body: bytes, served: Served
) -> None:
    login = base64.b64encode(f"{user}:pass".encode()).decode()
    head = f"GET /local/pages/{path} HTTP/1.0\r\nX-Axis-User: forged\r\n"
    head += f"Authorization: Basic {login}\r\n" if user else ""
    answered = served.send_encrypted(head.encode() + b"\r\n")
    assert int(answered.split()[1]) == status
    if status == 200:
        assert answered.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "path", ["/axis-cgi/param.cgi", "/axis-cgi//param.cgi", "/axis-cgi/nothing.cgi", "/", "/local/x/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_nothing_but_systemready_is_answered_without_a_login(served: Served, path: str, method: str) -> None:
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    assert served.send(head.encode()).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 50\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\x00\r\n",
        b" Content-Length: 5\r\n",
    ],
)
def test_second_request_is_not_smuggled_to_the_back_end(served: Served, head: bytes) -> None:
    """What one server takes for a body, and the other for a request, would be answered as its user."""
    body = (
        b"0\r\n\r\nGET /axis-cgi/param.cgi?action=update&Image.I0.Name=smuggled HTTP/1.1\r\nX-Axis-User: root\r\n\r\n"
    )
    document = json.dumps({"apiVersion": "1", "method": "systemready"}).encode()
    served.send(b"POST /axis-cgi/systemready.cgi HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n" + document[:5] + body)
    assert served.camera.parameters()["root.Image.I0.Name"] != "smuggled"


def test_slow_clients_do_not_keep_others_waiting(served: Served) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.ports[80]), timeout=60) for _ in range(24)]
    try:
        for one in idle:
            one.sendall(b"POST /axis-cgi/systemready.cgi HTTP/1.1\r\nHost: x\r\n")
        assert read_system_ready(served.client(80)).is_ready
    finally:
        for one in idle:
            one.close()


def test_picture_has_the_size_that_was_asked_for(served: Served) -> None:
    for query, size in (("", (1280, 720)), ("?resolution=640x360", (640, 360))):
        head, picture = ask_for_pictures(served, f"jpg/image.cgi{query}")
        assert b"Content-Type: image/jpeg" in head
        assert picture_size(picture) == size


def test_stream_of_pictures_has_as_many_as_were_asked_for_and_they_differ(served: Served) -> None:
    head, body = ask_for_pictures(served, "mjpg/video.cgi?nbrofframes=3&fps=20&resolution=640x360")
    assert b"Content-Type: multipart/x-mixed-replace; boundary=myboundary" in head
    pictures = []
    for part in body.split(b"--myboundary")[1:-1]:
        header, _, data = part.partition(b"\r\n\r\n")
        length = int(header.partition(b"Content-Length: ")[2])
        pictures.append(data[:length])
        assert data[length:] == b"\r\n"
    assert body.endswith(b"--myboundary--\r\n")
    assert [picture_size(picture) for picture in pictures] == [(640, 360)] * 3
    assert len(set(pictures)) == 3


def test_pictures_have_the_boxes_of_an_app(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the camera's service draws for all programs; the app is a program in C but for its language."""
    service = Service(tmp_path)
    try:
        monkeypatch.setenv("INCAMERA_CAMERA_SERVICE", str(service.path))
        before = picture_row(served)
        bbox = ctypes.CDLL(str(VIDEO.with_name("libbbox.so.1")))
        bbox.bbox_view_new.restype = ctypes.c_void_p
        box = ctypes.c_void_p(bbox.bbox_view_new(1))
        bbox.bbox_thickness_thick(box)
        bbox.bbox_color(box, ctypes.c_uint32(0xFF00FF00))  # the bytes of red, green, blue, opacity
        bbox.bbox_rectangle(box, *map(ctypes.c_float, (0.25, 0.25, 0.75, 0.75)))
        assert bbox.bbox_commit(box, ctypes.c_int64(0))
        shown = picture_row(served)
        bbox.bbox_destroy(box)
        after = picture_row(served)
    finally:
        service.kill()
    green = [(row[:, 1] > row[:, 0] + 60).all() for row in (before, shown, after)]
    assert green == [False, True, False]


def picture_row(served: Served) -> NDArray[np.int_]:
    """Return the pixels of a picture where the box's upper edge is."""
    _, picture = ask_for_pictures(served, "jpg/image.cgi?resolution=640x360")
    with av.open(io.BytesIO(picture), "r", format="mjpeg") as opened:
        return next(opened.decode(video=0)).to_ndarray(format="rgb24").astype(int)[91, 180:460]


def ask_for_pictures(served: Served, target: str) -> tuple[bytes, bytes]:
    """Return the head and the body of the answer to a viewer."""
    login = base64.b64encode(b"guest:pass").decode()
    request = f"GET /axis-cgi/{target} HTTP/1.0\r\nAuthorization: Basic {login}\r\n\r\n"
    head, _, body = served.send_encrypted(request.encode()).partition(b"\r\n\r\n")
    return head, body


def picture_size(jpeg: bytes) -> tuple[int, int]:
    """Return width and height, which FFmpeg finds when it decodes *jpeg*."""
    with av.open(io.BytesIO(jpeg), "r", format="mjpeg") as opened:
        frame = next(opened.decode(video=0))
        return frame.width, frame.height
