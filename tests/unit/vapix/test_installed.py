"""Apps in a camera: following a log over rotation and a restart, error numbers, uploads that break off."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.unit.vapix.conftest import make_client
from tests.unit.vapix.fake_camera import App, FakeCamera, Handler, serving_camera
from tests.unit.vapix.packages import make_package
from tests.unit.vapix.test_passwords import Asked, make_context

from incamera import http_connection
from incamera.errors import ConnectionLost, UsageError
from incamera.vapix.application_errors import ApplicationError
from incamera.vapix.applications import control, upload
from incamera.workflows import installed
from incamera.workflows.installed import read_app_log, require_application, restart_installed


def lines(*numbers: int) -> list[str]:
    return [f"2026-05-01T10:00:{number:02}.000+00:00 axis [ INFO    ] own_app[7]: {number}" for number in numbers]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed, "_POLL_SECONDS", 0.01)


def test_followed_log_has_each_line_once_over_rotation(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    camera.apps["own_app"] = App("own_app")
    camera.log = lines(1, 2, 3)
    reporter = Asked()
    parts = read_app_log(make_context(tmp_path, reporter), make_client(camera, certificate), "own_app", follow=True)
    assert [entry.text for entry in next(parts).entries] == ["1", "2", "3"]
    camera.log = lines(3, 4, 5)
    assert [entry.text for entry in next(parts).entries] == ["4", "5"]
    camera.log = lines(5, 6)
    assert [entry.text for entry in next(parts).entries] == ["6"]
    camera.log = lines(9)
    part = next(parts)
    assert (part.has_gap, [entry.text for entry in part.entries]) == (True, ["9"])


def test_followed_log_goes_on_after_the_camera_was_away(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    camera.apps["own_app"] = App("own_app")
    camera.log = lines(1)
    reporter = Asked()
    parts = read_app_log(make_context(tmp_path, reporter), make_client(camera, certificate), "own_app", follow=True)
    assert [entry.text for entry in next(parts).entries] == ["1"]
    away = 4

    def hang_up(handler: Handler) -> None:
        nonlocal away
        away -= 1
        handler.close_connection = True
        if not away:
            camera.pages.clear()

    camera.pages["/axis-cgi/admin/systemlog.cgi"] = hang_up
    camera.log = lines(1, 2)
    assert [entry.text for entry in next(parts).entries] == ["2"]
    assert len(reporter.warnings) == 1
    assert "trying again" in reporter.warnings[0]


def test_followed_log_tells_of_a_silent_camera_in_time_and_goes_on(
    camera: FakeCamera, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed._FOLLOW_SECONDS + http_connection._CONNECT_SECONDS + 1 < 20
    monkeypatch.setattr(installed, "_FOLLOW_SECONDS", 0.5)
    camera.apps["own_app"] = App("own_app")
    camera.log = lines(1)
    reporter = Asked()
    parts = read_app_log(make_context(tmp_path, reporter), make_client(camera, certificate), "own_app", follow=True)
    next(parts)
    lost = threading.Event()
    silent = 2  # the client asks once more over a new connection

    def say_nothing(handler: Handler) -> None:
        nonlocal silent
        silent -= 1
        if not silent:
            camera.pages.clear()
        lost.wait(30)
        handler.close_connection = True

    camera.pages["/axis-cgi/admin/systemlog.cgi"] = say_nothing
    camera.log = lines(1, 2)
    assert [entry.text for entry in next(parts).entries] == ["2"]
    lost.set()
    assert len(reporter.warnings) == 1
    assert "trying again" in reporter.warnings[0]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (1, "not a package"),
        (2, "signature"),
        (3, "no room"),
        (5, "not for this camera"),
        (10, "no reason"),
        (12, "another upload"),
        (13, "user or a group"),
        (14, "capital letters"),
        (15, "too long"),
        (27, "vendor ID"),
        (29, "manifest.json"),
        (99, "no known meaning"),
    ],
)
def test_each_error_number_of_an_upload_has_a_sentence_and_a_remedy(
    camera: FakeCamera, certificate: Path, tmp_path: Path, code: int, text: str
) -> None:
    camera.upload_result = f"Error: {code}\n"
    package = make_package(tmp_path / "own.eap")
    with pytest.raises(ApplicationError, match=text) as error:
        upload(make_client(camera, certificate), package, package.stat().st_size, name="own.eap")
    assert error.value.code == code
    assert error.value.hint
    assert f"(error {code})" in str(error.value)


@pytest.mark.parametrize(
    ("code", "text"), [(1, "invalid"), (4, "no such app"), (8, "could not be started"), (9, "many")]
)
def test_each_error_number_of_a_control_has_a_sentence_and_a_remedy(
    camera: FakeCamera, certificate: Path, code: int, text: str
) -> None:
    camera.control_result = f"Error: {code}"
    with pytest.raises(ApplicationError, match=text) as error:
        control(make_client(camera, certificate), "start", "own_app")
    assert error.value.hint


def test_upload_that_breaks_off_is_not_repeated(camera: FakeCamera, certificate: Path, tmp_path: Path) -> None:
    def hang_up(handler: Handler) -> None:
        handler.close_connection = True

    camera.pages["/axis-cgi/applications/upload.cgi"] = hang_up
    package = make_package(tmp_path / "own.eap")
    with pytest.raises(ConnectionLost, match=r"cannot install own\.eap") as error:
        upload(make_client(camera, certificate), package, package.stat().st_size, name="own.eap")
    assert "may have done so nevertheless" in str(error.value.hint)
    assert [request for request in camera.requests if "upload" in request] == [
        "POST /axis-cgi/applications/upload.cgi (refused before its body)",
        "POST /axis-cgi/applications/upload.cgi",
    ]


def test_package_that_shrinks_while_it_is_sent_is_an_error(
    camera: FakeCamera, certificate: Path, tmp_path: Path
) -> None:
    package = make_package(tmp_path / "own.eap")
    with pytest.raises(UsageError, match="became shorter"):
        upload(make_client(camera, certificate), package, package.stat().st_size + 1, name="own.eap")
    assert camera.uploads == []


def test_restart_starts_an_app_that_is_stopped(camera: FakeCamera, certificate: Path) -> None:
    camera.apps["own_app"] = App("own_app")
    restart_installed(make_client(camera, certificate), "own_app")
    assert camera.apps["own_app"].state == "Running"


def test_app_that_is_not_installed_is_named_with_those_that_are(certificate: Path) -> None:
    with serving_camera(FakeCamera(apps={"own_app": App("own_app")}), certificate) as camera:
        client = make_client(camera, certificate)
        with pytest.raises(UsageError, match="owm_app is not installed on gate") as error:
            require_application(client, "owm_app")
        client.close()
    assert "own_app" in str(error.value.hint)


def test_message_is_short_however_many_apps_a_camera_names(camera: FakeCamera, certificate: Path) -> None:
    apps = "".join(f'<application Name="{"x" * 500}{number}" />' for number in range(2000))
    page = f'<reply result="ok">{apps}</reply>'.encode()
    camera.pages["/axis-cgi/applications/list.cgi"] = lambda handler: handler.reply(200, page)
    with pytest.raises(UsageError, match="lost is not installed") as error:
        require_application(make_client(camera, certificate), "lost")
    assert "name one with --app" in str(error.value.hint)
    assert len(str(error.value.hint)) < 1500
