"""Taking over, across several sessions of one `run --watch`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from incamera.context import Context
from incamera.deployment.request import DeployRequest
from incamera.edit.session import Outcome
from incamera.errors import AgentError, ConnectionLost, DeviceUnreachable, SourceError
from incamera.project.loading import load_project
from incamera.store import Store
from incamera.targets.target import Target
from incamera.transport.device import Device, SshAddress
from incamera.workflows import watch
from incamera_agent.wire.protocol import ErrorKind

from .edit_loop import Told

if TYPE_CHECKING:
    from incamera.edit.edited_app import EditedApp
    from incamera.project.settings import Project

LOST = ConnectionLost("there was lost")
BUSY = AgentError("plain is in use", kind=ErrorKind.BUSY)


def run_sessions(
    outcomes: list[Exception | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    told: Told | None = None,
    unreachable: list[DeviceUnreachable] | None = None,
    wrong: SourceError | None = None,
) -> list[bool]:
    """Watch with sessions that end so, the second and later ones with an agent. Returns which were to take over.

    With *wrong*, the app cannot be deployed at first, until another version of it is saved.
    """
    taken: list[bool] = []
    settings = tmp_path / "project/pyproject.toml"
    device = Device(name="there", address=SshAddress(host="192.0.2.1"))

    class Session:
        last_signal = 2

        def __init__(
            self, transport: object, guard: str, edited: EditedApp, *others: object, **options: object
        ) -> None:
            taken.append(edited.take_over)
            self.owns_agent = len(taken) > 1

        def main(self) -> Outcome:
            if (error := outcomes[len(taken) - 1]) is not None:
                raise error
            return Outcome.ended

        def handle_signal(self, number: int) -> None: ...

    @contextmanager
    def deployed(context: Context, project: Project, request: DeployRequest, *, starts: bool) -> Iterator[Any]:
        if wrong is not None and project.version == "1":
            settings.write_text(settings.read_text().replace('"1"', '"2"'))
            raise wrong
        if taken and unreachable:
            raise unreachable.pop()
        assert request.take_over is (len(taken) < 2)
        yield SimpleNamespace(
            connection=SimpleNamespace(device=device),
            app_folders=[],
            app_environment={},
            session=SimpleNamespace(transport=None, call=lambda outcome: outcome),
            guard=SimpleNamespace(remote_path="guard"),
            bundle=SimpleNamespace(target=Target.parse("armv7hf-cp311"), path=tmp_path, distributions=[]),
            result=SimpleNamespace(root="/tmp/app"),
        )

    monkeypatch.setattr(watch, "EditSession", Session)
    monkeypatch.setattr(watch, "deployed", deployed)
    monkeypatch.setattr(watch, "_PAUSES", (0.0,))
    (tmp_path / "project").mkdir()
    settings.write_text('[project]\nname = "plain"\nversion = "1"\n')
    (tmp_path / "project/app.py").write_text("print('on')\n")
    context = Context(Store(tmp_path / "store"), told or Told())
    project = load_project(tmp_path / "project")
    request = DeployRequest(device=device, take_over=True)
    assert watch.watch_app(context, project, arguments=[], request=request) == 0
    return taken


def test_a_reconnect_does_not_take_over_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_sessions([LOST, LOST, None], tmp_path, monkeypatch) == [True, True, False]


def test_a_camera_that_is_gone_is_reported_once_with_the_time_and_what_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    refusals = [DeviceUnreachable("there does not answer")] * 3
    run_sessions([LOST, None], tmp_path, monkeypatch, told=told, unreachable=refusals)
    gone = [text for text in told.texts if "trying to connect" in text]
    assert len(gone) == 1
    assert re.search(r"there was lost \(since \d\d:\d\d:\d\d\): trying to connect to there again", gone[0])
    assert len([text for text in told.texts if text.startswith("there is back after ")]) == 1


def test_an_app_with_a_syntax_error_at_the_start_waits_for_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Told()
    assert run_sessions([None], tmp_path, monkeypatch, told=told, wrong=SourceError("app.py has a syntax error")) == [
        True
    ]
    assert told.texts[:2] == ["error: app.py has a syntax error", "waiting for changes"]


def test_a_reconnect_waits_until_the_camera_lets_go_of_the_lost_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(run_sessions([LOST, BUSY, BUSY, BUSY, BUSY, None], tmp_path, monkeypatch)) == 6


def test_an_app_that_another_uses_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentError, match="in use"):
        run_sessions([BUSY, None], tmp_path, monkeypatch)
