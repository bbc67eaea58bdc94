"""Logging in to a camera, and what its refusals become."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from tests.unit.vapix.conftest import LOGIN, KnownLogins, make_client
from tests.unit.vapix.fake_camera import REALM, FakeCamera, serving_camera
from tests.unit.vapix.packages import make_package

from incamera.errors import ConnectionLost, DeviceError, DeviceRefused, DeviceUnreachable
from incamera.http_auth import Login
from incamera.vapix.applications import list_applications, upload
from incamera.vapix.client import Call, NoSuchApi, UnknownCertificate
from incamera.vapix.device_info import read_device_info, read_system_ready

DIGESTS = [
    ("MD5", "auth"),
    ("MD5", None),
    (None, "auth"),
    (None, None),
    ("SHA-256", "auth"),
    ("SHA-256", "auth,auth-int"),
]


@pytest.mark.parametrize(("algorithm", "qop"), DIGESTS)
def test_digest_logs_in_over_http(plain_camera: FakeCamera, algorithm: str | None, qop: str | None) -> None:
    plain_camera.algorithm, plain_camera.qop = algorithm, qop
    client = make_client(plain_camera)
    for _ in range(3):
        assert read_device_info(client).number == "P3245-LVE"
    # One request without a login shows the challenge; from then on each is answered at once, over one connection.
    assert (len(plain_camera.requests), plain_camera.connections) == (4, 1)


def test_basic_is_sent_over_https_alone(camera: FakeCamera, certificate: Path, plain_camera: FakeCamera) -> None:
    assert read_device_info(make_client(camera, certificate)).version == "11.11.192"
    plain_camera.scheme = "basic"
    logins = KnownLogins()
    with pytest.raises(DeviceRefused, match="in the clear") as error:
        read_device_info(make_client(plain_camera, logins=logins))
    assert "https://127.0.0.1" in str(error.value.hint)
    assert (plain_camera.authorizations, logins.given) == ([], 0)


def test_digest_is_taken_where_one_header_offers_both(camera: FakeCamera, certificate: Path) -> None:
    camera.scheme, camera.nonces = "digest", {"n": 0}
    camera.challenges = [f'Negotiate, Basic realm="{REALM}", Digest realm="{REALM}", nonce="n", qop="auth"']
    assert read_device_info(make_client(camera, certificate)).number == "P3245-LVE"
    assert camera.authorizations[0].startswith("Digest ")


def test_stale_nonce_is_no_wrong_password(plain_camera: FakeCamera) -> None:
    plain_camera.nonce_uses = 2
    logins = KnownLogins()
    client = make_client(plain_camera, logins=logins)
    for _ in range(5):
        read_device_info(client)
    assert (logins.given, logins.was_accepted) == (1, 1)


def test_camera_that_forgot_its_nonces_is_logged_in_to_again(plain_camera: FakeCamera) -> None:
    client = make_client(plain_camera)
    read_device_info(client)
    plain_camera.challenges = plain_camera.challenge(stale=False)  # it does not say that the nonce is stale
    nonce = plain_camera.challenges[0].partition('nonce="')[2].partition('"')[0]
    plain_camera.nonces = {nonce: 0}
    assert read_device_info(client).number == "P3245-LVE"


def test_wrong_password_is_refused_and_the_next_one_tried(camera: FakeCamera, certificate: Path) -> None:
    wrong = Login("root", "wrong")
    logins = KnownLogins(wrong, LOGIN)
    assert read_device_info(make_client(camera, certificate, logins)).number == "P3245-LVE"
    assert (logins.given, logins.was_accepted) == (2, 1)
    logins = KnownLogins(wrong, wrong)
    with pytest.raises(DeviceRefused, match="does not accept the password of root") as error:
        read_device_info(make_client(camera, certificate, logins))
    assert "wrong" not in f"{error.value}{error.value.hint}"
    assert logins.was_accepted == 0


def test_state_is_read_without_a_login(camera: FakeCamera, certificate: Path) -> None:
    logins = KnownLogins()
    assert read_system_ready(make_client(camera, certificate, logins)).is_ready
    assert logins.given == 0


def test_unknown_and_changed_certificates_are_refused_before_anything_is_sent(
    camera: FakeCamera, certificate: Path
) -> None:
    with pytest.raises(UnknownCertificate, match="CN=test, signed by itself") as unknown:
        read_device_info(make_client(camera))
    assert unknown.value.certificate.is_self_signed
    client = make_client(camera)
    address = dataclasses.replace(client.device.address, certificate="0" * 64)
    with pytest.raises(DeviceRefused, match="another certificate than before"):
        read_device_info(type(client)(dataclasses.replace(client.device, address=address), KnownLogins()))
    assert camera.requests == []


@pytest.mark.parametrize(
    ("status", "error", "text"),
    [
        (301, DeviceRefused, "https://gate.example/x"),
        (403, DeviceRefused, "does not let root list its apps"),
        (404, NoSuchApi, "it has no axis-cgi/applications/list.cgi"),
        (429, DeviceError, "answers 429"),
        (500, DeviceError, "answers 500"),
        (503, DeviceError, "answers 503"),
    ],
)
def test_status_becomes_a_sentence(
    camera: FakeCamera, certificate: Path, status: int, error: type[DeviceError], text: str
) -> None:
    location = [("Location", "https://gate.example/x")]
    path = "/axis-cgi/applications/list.cgi"
    camera.pages[path] = lambda handler: handler.reply(status, b"<html>", headers=location)
    with pytest.raises(error, match=text) as found:
        list_applications(make_client(camera, certificate))
    # No redirection is followed. It asks what is open to everybody, to tell a refused user from a refused computer.
    asked = ["GET /axis-cgi/applications/list.cgi", *(["POST /axis-cgi/systemready.cgi"] if status == 403 else [])]
    assert camera.requests == asked
    assert found.value.exit_code == 4


@pytest.mark.parametrize(
    ("headers", "seconds"), [([], 10), ([("Retry-After", "33")], 33), ([("Retry-After", "x")], 10)]
)
def test_camera_that_refuses_even_what_is_open_has_blocked_this_computer(
    camera: FakeCamera, certificate: Path, headers: list[tuple[str, str]], seconds: int
) -> None:
    for name in ("applications/list", "systemready"):
        camera.pages[f"/axis-cgi/{name}.cgi"] = lambda handler: handler.reply(403, b"<html>", headers=headers)
    client = make_client(camera, certificate)
    for ask in (list_applications, read_system_ready):
        with pytest.raises(DeviceRefused, match="refuses all requests of this computer") as found:
            ask(client)
        assert (found.value.hint or "").startswith(f"wait {seconds} s")


def test_camera_that_has_too_much_to_do_says_when_to_ask_again(camera: FakeCamera, certificate: Path) -> None:
    path = "/axis-cgi/applications/list.cgi"
    camera.pages[path] = lambda handler: handler.reply(429, b"", headers=[("Retry-After", "7")])
    with pytest.raises(DeviceError) as found:
        list_applications(make_client(camera, certificate))
    assert "wait 7 s" in (found.value.hint or "")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (2002, r"\(error 2002\)"),
        ("2002", r"\(error 2002\)"),
        (None, "without a number"),
        ([1] * 900_000, "without a number"),
        ({"x": "y" * 900_000}, "without a number"),
        ("9" * 900_000, r"\(error 9{20}…\)"),
        (True, "without a number"),
    ],
    ids=["number", "text", "nothing", "list", "object", "long", "bool"],
)
def test_error_in_an_answer_becomes_a_short_sentence(
    camera: FakeCamera, certificate: Path, code: object, shown: str
) -> None:
    answer = json.dumps({"error": {"code": code, "message": "m" * 900_000}}).encode()
    camera.pages["/axis-cgi/basicdeviceinfo.cgi"] = lambda handler: handler.reply(200, answer)
    with pytest.raises(DeviceError, match=shown) as found:
        read_device_info(make_client(camera, certificate))
    assert len(str(found.value)) < 500


def test_reading_is_tried_again_when_the_connection_ends_and_changing_is_not(
    camera: FakeCamera, certificate: Path
) -> None:
    def hang_up(handler: object) -> None:
        camera.pages.clear()
        handler.close_connection = True  # type: ignore[attr-defined]

    path = "/axis-cgi/applications/list.cgi"
    camera.pages[path] = hang_up
    client = make_client(camera, certificate)
    assert list_applications(client) == ()
    camera.pages[path] = hang_up
    with pytest.raises(ConnectionLost, match="cannot do it"):
        client.call(Call(path=path[1:], what="do it", again=False))


def test_camera_that_is_off_is_unreachable(certificate: Path) -> None:
    with serving_camera(FakeCamera(), certificate) as camera:
        client = make_client(camera, certificate)
    with pytest.raises(DeviceUnreachable, match=r"cannot reach gate at https://127\.0\.0\.1"):
        read_device_info(client)


def test_package_is_sent_once_though_its_login_is_refused_first(plain_camera: FakeCamera, tmp_path: Path) -> None:
    package = make_package(tmp_path / "own.eap")
    sent: list[int] = []
    upload(make_client(plain_camera), package, package.stat().st_size, name="own.eap", advance=sent.append)
    assert plain_camera.uploads == [package.read_bytes()]
    assert "POST /axis-cgi/applications/upload.cgi (refused before its body)" in plain_camera.requests
    assert sum(sent) == package.stat().st_size
