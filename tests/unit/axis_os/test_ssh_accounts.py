"""The accounts for SSH, held against recorded answers of devices with AXIS OS 11.11 and 12.9."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.axis_os.test_axis_os_answers import make_camera

from incamera.axis_os.answers import answer, find_route
from incamera.axis_os.camera import Camera
from incamera.axis_os.exchange import parse_request
from incamera.axis_os.store import load_kept

if TYPE_CHECKING:
    from pathlib import Path

USERS = "/config/rest/ssh/v1/users"
# As recorded.
DALLIARD = {"comment": "Good morning", "password": "Good morning", "username": "dalliard"}


@pytest.fixture
def camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Camera:
    monkeypatch.setattr(Camera, "hash_password", staticmethod(lambda password: f"$6${len(password)}"))
    return make_camera(tmp_path)


def ask(
    camera: Camera, method: str, path: str, data: object = None, content_type: str = "application/json"
) -> tuple[int, Any]:
    body = b"" if data is None else json.dumps({"data": data}).encode()
    reply = answer(camera, parse_request(method, path, body=body, content_type=content_type))
    return reply.status, json.loads(reply.body)


def test_account_is_made_changed_and_removed_as_recorded(camera: Camera) -> None:
    made = {"status": "success", "data": {"comment": "Good morning", "username": "dalliard"}}
    assert ask(camera, "POST", USERS, DALLIARD) == (201, made)
    assert load_kept(camera.places.kept).ssh_users["dalliard"].secret == "$6$12"
    assert ask(camera, "PATCH", f"{USERS}/dalliard", {"comment": "When's the day?"}) == (200, {"status": "success"})
    assert camera.kept.ssh_users["dalliard"].comment == "When's the day?"
    assert ask(camera, "DELETE", f"{USERS}/dalliard") == (200, {"status": "success"})
    assert load_kept(camera.places.kept).ssh_users == {}


@pytest.mark.parametrize(
    ("method", "path", "data", "status", "code"),
    [
        ("POST", USERS, {**DALLIARD, "username": "joe"}, 409, 6),
        ("POST", USERS, {**DALLIARD, "username": "root"}, 409, 6),
        ("POST", USERS, {**DALLIARD, "username": "acap-x"}, 409, 6),
        ("POST", USERS, {**DALLIARD, "username": "a:b"}, 400, 5),
        ("POST", USERS, {**DALLIARD, "username": "a\nroot::0:0"}, 400, 5),
        ("POST", USERS, {**DALLIARD, "username": "x" * 33}, 400, 5),
        ("POST", USERS, {**DALLIARD, "comment": "a:b"}, 400, 5),
        ("POST", USERS, {**DALLIARD, "password": ""}, 400, 5),
        ("POST", USERS, {**DALLIARD, "password": "a\nb"}, 400, 5),
        ("POST", USERS, ["joe"], 400, 5),
        ("PATCH", f"{USERS}/nobody", {}, 404, 2),
        ("DELETE", f"{USERS}/nobody", None, 404, 2),
        ("DELETE", USERS, None, 404, 1),
    ],
)
def test_wrong_request_changes_nothing(
    method: str, path: str, data: object, status: int, code: int, camera: Camera
) -> None:
    ask(camera, "POST", USERS, {**DALLIARD, "username": "joe"})
    before = dict(camera.kept.ssh_users)
    answered, document = ask(camera, method, path, data)
    assert (answered, document["status"], document["error"]["code"]) == (status, "error", code)
    assert camera.kept.ssh_users == before


def test_other_content_type_is_refused(camera: Camera) -> None:
    assert ask(camera, "POST", USERS, DALLIARD, "text/plain")[1]["error"]["code"] == 11


def test_each_account_has_a_user_number_of_its_own_and_none_is_root(camera: Camera) -> None:
    for name in ("a", "b", "c"):
        assert ask(camera, "POST", USERS, {**DALLIARD, "username": name})[0] == 201
    ask(camera, "DELETE", f"{USERS}/b")
    ask(camera, "POST", USERS, {**DALLIARD, "username": "d"})
    numbers = [user.uid for user in camera.kept.ssh_users.values()]
    assert len(set(numbers)) == 3
    assert all(1500 <= number < 2000 for number in numbers)
    assert ask(camera, "GET", USERS)[1]["data"][0] == {"comment": "Good morning", "username": "a"}


def test_ssh_is_off_until_its_parameter_is_set(camera: Camera, tmp_path: Path) -> None:
    assert not camera.lets_ssh_in
    camera.set_parameters({"root.Network.SSH.Enabled": "yes"})
    assert camera.lets_ssh_in
    older = make_camera(tmp_path / "11", "11.11.192")
    assert not older.has_ssh_users
    assert answer(older, parse_request("GET", USERS)).status == 404


def test_accounts_are_for_administrators_and_no_other_path_is_answered() -> None:
    for path in (USERS, f"{USERS}/joe"):
        route = find_route(path)
        assert route is not None
        assert route.role == "admin"
    for path in (f"{USERS}/joe/x", "/config/rest/ssh/v1", "/config/rest/ssh/v3/users", "/axis-cgi/param.cgi/x"):
        assert find_route(path) is None
