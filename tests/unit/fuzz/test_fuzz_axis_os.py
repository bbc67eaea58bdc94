"""Whatever a client, a package or an app sends to the back end of a virtual camera's web server, it answers, and soon.

Each target has few examples each time, and many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.axis_os.test_axis_os_answers import make_camera
from tests.unit.fuzz.documents import NASTY_TEXTS, VALUES, damaged_bytes

from incamera.axis_os.accounts import login_files
from incamera.axis_os.answers import ROUTES, answer
from incamera.axis_os.apache import render_apps
from incamera.axis_os.applications import Installed, Page, Proxy, list_apps
from incamera.axis_os.exchange import Reply, Request, parse_request
from incamera.axis_os.facts import Facts
from incamera.axis_os.multipart import BadUpload, save_file
from incamera.axis_os.parameters import parse_parameters, render_parameters

if TYPE_CHECKING:
    from incamera.axis_os.camera import Camera

# One example may take so long on a busy computer; a reader that goes back and forth takes minutes.
_MOST_SECONDS = 5.0

nasty = st.sampled_from(NASTY_TEXTS) | st.text(max_size=40)
PARTS = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.eap"\r\n\r\n',
    b"data\r\n--x--\r\n",
)
FIELDS = (
    *("action", "group", "user", "pwd", "sgrp", "name", "value", "package", "appname", "root.Image.I0.Name"),
    *("Network.HTTP.AuthenticationPolicy", "root.Brand.Brand"),
)
WORDS = (
    *("list", "listdefinitions", "update", "get", "set", "add", "remove", "start", "stop", "AllowUnsigned", "true"),
    *("root", "*", "*.*.*.*", "root.*" * 20, "admin:viewer", "Image.I0.Name,Brand", "alice", "own_app"),
)


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Camera:
    return make_camera(tmp_path_factory.mktemp("camera"))


def check_upload(value: tuple[bytes, str, int]) -> None:
    body, content_type, more = value
    kept = io.BytesIO()
    try:
        save_file(io.BytesIO(body), max(0, len(body) + more), content_type, kept)
    except BadUpload:
        return
    assert kept.getvalue() in body


def check_apps(apps: list[Installed]) -> None:
    text = render_apps(apps, Path("/packages"), Path("/sockets"))
    allowed = re.compile(
        r'Alias "/local/own/" "/packages/own/html/"|</?Location(?: "/local/own/[^"\\\s]*")?>|'
        r"Require (?:all granted|group (?:admin|operator|viewer))|"
        r'ProxyPass "/local/own/[^"\\\s]*" "(?:unix:/sockets/own\.sock\|fcgi://localhost/local/own/[^"\\\s]*"|'
        r'http://127\.0\.0\.1:[0-9]{1,5}/[^"\\\s]*" upgrade=websocket)'
    )
    assert [line for line in text.splitlines() if not allowed.fullmatch(line)] == []
    listed = list_apps(
        Facts(version="12.9.57", architecture="armv7hf", serial="00408C000001"), [(a, True) for a in apps]
    )
    assert len(ET.fromstring(listed.encode("utf-8", "replace"))) == len(apps)


def check_parameters(text: str) -> None:
    found = parse_parameters("own", text)
    assert parse_parameters("own", render_parameters(found)) == found


apps = st.lists(
    st.builds(
        Installed,
        name=st.just("own"),
        title=nasty,
        vendor=nasty,
        version=nasty,
        uid=st.just(2000),
        app_id=nasty,
        page=nasty,
        license=nasty,
        ranges=st.lists(st.tuples(nasty, nasty), max_size=2).map(tuple),
        proxies=st.lists(st.builds(Proxy, path=nasty, target=nasty | st.just("http://localhost:80"), access=nasty)).map(
            tuple
        ),
        pages=st.lists(st.builds(Page, name=nasty, access=nasty)).map(tuple),
    ),
    max_size=3,
)
TARGETS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None], int]] = {
    "uploads": (
        st.tuples(
            damaged_bytes(b"".join(PARTS)) | st.lists(st.sampled_from([*PARTS, b"\r\n", b"x" * 999])).map(b"".join),
            st.sampled_from(["multipart/form-data; boundary=x", "multipart/form-data", "text/plain"]) | nasty,
            st.integers(-3, 3),
        ),
        check_upload,
        60,
    ),
    "apps": (apps, check_apps, 40),
    "parameters": (st.text() | st.lists(st.sampled_from(['A="', 'b" type="', '"\n', "%4", "=", "é"])).map("".join),
                   check_parameters, 60),
}  # fmt: skip


def settled(examples: int) -> settings:
    return settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples,
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.matrix)])
def test_whatever_comes_in_is_read_or_refused(target: str, times: int) -> None:
    strategy, check, examples = TARGETS[target]

    def timed(value: object) -> None:
        began = time.process_time()
        check(value)
        assert time.process_time() - began < _MOST_SECONDS

    settled(examples * times)(given(strategy)(timed))()


requests = st.builds(
    Request,
    method=st.sampled_from(["GET", "POST", "PUT", "X"]),
    path=st.sampled_from([*(path for path, route in ROUTES.items() if not route.is_upload), "/axis-cgi/none.cgi"]),
    fields=st.dictionaries(st.sampled_from(FIELDS) | nasty, st.sampled_from(WORDS) | nasty, max_size=4),
    body=st.binary(max_size=50) | VALUES.map(lambda value: repr(value).encode("utf-8", "replace")),
    user=st.sampled_from(["root", "guest", "", "nobody"]),
)


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.matrix)])
def test_each_request_has_a_reply_and_leaves_a_camera_that_can_be_used(camera: Camera, times: int) -> None:
    def check(request: Request) -> None:
        began = time.process_time()
        reply = answer(camera, request)
        assert time.process_time() - began < _MOST_SECONDS
        assert isinstance(reply, Reply)
        assert reply.content_type.isprintable()
        assert "root" in camera.kept.accounts or camera.kept.was_set_back
        for name, text in login_files(camera.kept.accounts, camera.facts.realm, camera.parameters()).items():
            users = len(camera.kept.accounts)
            assert len(text.splitlines()) == (users if name in ("passwords", "digests") else 4), name

    settled(150 * times)(given(requests)(check))()


@given(target=st.text(max_size=200) | nasty, body=st.binary(max_size=100), kind=nasty)
@settings(derandomize=True, database=None, deadline=None)
def test_any_target_is_a_request_or_refused(target: str, body: bytes, kind: str) -> None:
    try:
        request = parse_request("POST", target, body=body, content_type=kind)
    except ValueError:
        return
    assert "?" not in request.path
