"""A fork of the agent that waits is, to the app, what a start of its own is: over a real server, with a real holder."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.device.agent_program import make_agent_program
from incamera.device.live_sync import Changes
from incamera.device.run import run_app
from incamera.edit.held_run import Edit, ForkedApp, HeldRun
from incamera.errors import ConnectionLost
from incamera.guard.program import Guard, ensure_guard
from incamera.holder.client import close_connections, list_connections, open_held
from incamera.holder.lease import keep_agent, lease_agent
from incamera.project.watching import AppFile, file_digest
from incamera.runlog.output import RunOutput
from incamera.transport.protocols import Program
from incamera.transport.session import Session

from ...waiting import wait_until
from ..line import Line
from ..reporter import QuietReporter
from ..telling import TELL

if TYPE_CHECKING:
    from incamera.holder.lease import LeasedAgent

    from ..ssh_server import SshServer
    from .conftest import Ends

WORDS = ["app.py", "x y"]
ROOT = Path(__file__).parents[3]
# What the bundle's launcher does, as far as it matters here.
PYTHON = f"""\
#!/bin/sh
unset INCAMERA_SUBREAPER
export PYTHONPATH={ROOT / "packages/incamera-agent/src"} PYTHONDONTWRITEBYTECODE=1
exec {sys.executable} "$@"
"""


class PlainFilter:
    has_pending = False

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder like a bundle on the device, with an app that tells all it sees. It is found behind a link, as there."""
    (tmp_path / "bundle/bin").mkdir(parents=True)
    (tmp_path / "bundle/app").mkdir()
    (tmp_path / "bundle/app/app.py").write_text(TELL)
    (tmp_path / "bundle/bin/python3").write_text(PYTHON)
    (tmp_path / "bundle/bin/python3").chmod(0o755)
    (tmp_path / "root").symlink_to("bundle")
    return tmp_path / "root"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "store").mkdir()
    yield tmp_path / "store"
    close_connections(tmp_path / "store")


@pytest.fixture
def open_session(server: SshServer, store: Path, environment: dict[str, str]) -> Iterator[Callable[[], Session]]:
    """Makes connections that the holder keeps."""
    device = server.device(host_key=server.host_key.export_public_key("openssh").decode().strip())
    sessions: list[Session] = []

    def connect() -> Session:
        known_hosts = store / "known_hosts"
        sessions.append(Session(lambda: open_held(store, device, known_hosts=known_hosts, environment=environment)))
        return sessions[-1]

    yield connect
    for session in sessions:
        session.close()


def start_agent(session: Session, guard: Guard, root: Path) -> LeasedAgent:
    path = ensure_guard(session, guard)
    program = make_agent_program(str(root), app="told", user="tests", command="incamera run", kept=True)
    asked = {"name": "told", "app": "told", "guard": path, "used_limit": 1 << 40, "free_limit": 0}
    leased = session.call(keep_agent(session.transport, program, asked))  # type: ignore[arg-type]
    assert leased is not None
    return leased


def run_forked(
    session: Session, leased: LeasedAgent, folder: Path, ends: Ends, *, greet: bool, edit: Edit | None = None
) -> int:
    run = HeldRun(leased, ends.streams, QuietReporter())
    session.call(run.begin(greet=greet))
    filters = RunOutput(stdout=PlainFilter(), stderr=PlainFilter(), paths=None)  # type: ignore[arg-type]
    where = None if edit else str(folder)
    app = ForkedApp(arguments=WORDS, folder=where, open_output=lambda: nullcontext(filters))
    session.call(run.start(app, edit))
    code = session.call(run.finish())
    session.call(run.give_back({}))
    return code


def take_told(ends: Ends) -> dict[str, Any]:
    wait_until(lambda: ends.out.endswith(b"exit functions run\n") or b"Traceback" in ends.err, "the app tells")
    assert not ends.err, ends.err.decode()
    told: dict[str, Any] = json.loads(ends.out.splitlines()[0])
    ends.out.clear()
    assert told["environment"].pop("INCAMERA_RUN")
    return told


def test_app_sees_no_difference(
    open_session: Callable[[], Session], guard: Guard, root: Path, store: Path, ends: Ends
) -> None:
    session = open_session()
    ends.close_input()
    path = ensure_guard(session, guard)
    program = Program((f"{root}/bin/python3", *WORDS), folder=f"{root}/app")
    assert run_app(session, path, program, streams=ends.streams) == 0
    cold = take_told(ends)
    assert run_forked(session, start_agent(session, guard, root), root / "app", ends, greet=True) == 0
    assert take_told(ends) == cold
    leased = session.call(lease_agent(store, session.device, "told"))
    assert leased is not None
    assert run_forked(session, leased, root / "app", ends, greet=False) == 0
    assert take_told(ends) == cold


def test_edited_app_sees_another_folder_and_no_other_difference(
    open_session: Callable[[], Session], guard: Guard, root: Path, ends: Ends
) -> None:
    session = open_session()
    ends.close_input()
    agent, edited = start_agent(session, guard, root), root / "live"
    shutil.copytree(root / "app", edited)
    path = ensure_guard(session, guard)
    program = Program((f"{root}/bin/python3", *WORDS), folder=str(edited))
    assert run_app(session, path, program, streams=ends.streams) == 0
    cold = take_told(ends)
    assert run_forked(session, agent, edited, ends, greet=True) == 0
    assert take_told(ends) == cold


def test_run_after_an_edit_takes_three_turns_at_most(
    server: SshServer, guard: Guard, root: Path, store: Path, ends: Ends, environment: dict[str, str], tmp_path: Path
) -> None:
    edited = tmp_path / "edited.py"
    edited.write_text("print('edited')\n")
    (root / "app/app.py").write_text("print('deployed')\n")
    with closing(Line(server.port, delay=0.2)) as line:  # so that what is sent together stays together
        host_key = server.host_key.export_public_key("openssh").decode().strip()
        device = server.device(port=line.port, host_key=host_key)
        known_hosts = store / "known_hosts"
        with Session(lambda: open_held(store, device, known_hosts=known_hosts, environment=environment)) as session:
            run_forked(session, start_agent(session, guard, root), root / "app", ends, greet=True)
            edit = Edit(
                source=f"{root}/app",
                wanted={"app.py": AppFile(edited, file_digest(edited), False)},
                changes=Changes(put=("app.py",), delete=()),
            )
            leased = session.call(lease_agent(store, device, "told"))
            assert leased is not None
            before = line.turns
            assert run_forked(session, leased, root / "app", ends, greet=False, edit=edit) == 0
            assert line.turns - before <= 3  # one of them may be a heartbeat
    wait_until(lambda: ends.out == b"deployed\nedited\n", "both runs have printed")


def test_killed_holder_costs_a_connection(
    open_session: Callable[[], Session], guard: Guard, root: Path, store: Path, ends: Ends
) -> None:
    session = open_session()
    ends.close_input()
    (root / "app/app.py").write_text("import os\nprint(os.getppid())\n")
    assert run_forked(session, start_agent(session, guard, root), root / "app", ends, greet=True) == 0
    wait_until(lambda: ends.out.endswith(b"\n"), "the app tells")
    fork_server = int(ends.out)
    number, _ = list_connections(store)
    assert number is not None
    os.kill(number, signal.SIGKILL)
    with pytest.raises(ConnectionLost):
        session.run(Program(("true",)))
    wait_until(lambda: not Path(f"/proc/{fork_server}").exists(), "the fork server ends")
    assert open_session().run(Program(("echo", "again"))).stdout == b"again\n"
    other, connections = list_connections(store)
    assert other not in (None, number)
    assert len(connections) == 1
