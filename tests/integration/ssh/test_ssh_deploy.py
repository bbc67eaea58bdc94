"""Deploying over SSH, and the faults that a network has."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.deployment.deploy import deploy
from incamera.errors import ConnectionLost, DeviceError, DeviceUnsuitable
from incamera.guard.program import Guard, ensure_guard
from incamera.guard.sync import Shipment, plan_shipment
from incamera.guard.upload import Observer
from incamera.tree import list_tree

from ...waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from incamera.transport.session import Session

    from ..line import Line
    from ..ssh_server import SshServer


# Deploying


def test_only_changes_are_sent(session: Session, guard: Guard, shipment: Shipment) -> None:
    progress: list[tuple[int, int]] = []
    observer = Observer(on_progress=lambda done, total: progress.append((done, total)))
    first = deploy(session, shipment, guard, observer=observer)
    assert (first.files_sent, first.files_unchanged) == (51, 0)
    assert progress[-1] == (first.bytes_sent, first.bytes_sent)
    assert list_tree(Path(first.destination), {})[1:] == sorted(shipment.entries, key=lambda e: e.path.encode())
    again = deploy(session, shipment, guard)
    assert (again.files_sent, again.bytes_sent, again.files_unchanged) == (0, 0, 51)
    changed = plan_shipment("doorbell", shipment.root, list_tree(shipment.root), extra_files={"app.py": b"print()"})
    assert deploy(session, changed, guard).files_sent == 1


def test_unchanged_bundle_takes_one_round_trip(
    session: Session, server: SshServer, guard: Guard, shipment: Shipment
) -> None:
    deploy(session, shipment, guard)
    before = len(server.commands)
    deploy(session, shipment, guard)
    assert len(server.commands) == before + 1


def test_error_has_the_devices_own_message(session: Session, guard: Guard, shipment: Shipment) -> None:
    ensure_guard(session, guard)
    in_the_way = Path(guard.place) / "incamera" / "doorbell"
    in_the_way.write_text("a file where the app's folder shall be")
    with pytest.raises(DeviceError, match=r"[Nn]ot a directory|File exists"):
        deploy(session, shipment, guard)
    assert in_the_way.read_text() == "a file where the app's folder shall be"


def test_interrupted_deploy_is_resumed(
    server: SshServer, line: Line, opened: Callable[..., Any], guard: Guard, shipment: Shipment
) -> None:
    with opened(server.device()) as session:
        ensure_guard(session, guard)
        old = deploy(session, plan_shipment("doorbell", shipment.root, [], extra_files={"old": b"old"}), guard)
    with opened(server.device(port=line.port)) as session:
        line.cut_after(1_200_000)
        with pytest.raises(ConnectionLost):
            deploy(session, shipment, guard)
    current = Path(old.destination).parent / "current"
    assert current.resolve() == Path(old.destination)
    with opened(server.device()) as session:
        rest = deploy(session, shipment, guard)
    assert 0 < rest.files_sent < 51
    assert current.resolve() == Path(rest.destination)


def test_simultaneous_deploys_wait_for_each_other(
    server: SshServer, opened: Callable[..., Any], guard: Guard, shipment: Shipment
) -> None:
    results = []

    def one() -> None:
        with opened(server.device()) as session:
            results.append(deploy(session, shipment, guard))

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(result.files_sent for result in results) == [0, 0, 51]
    assert len({result.destination for result in results}) == 1


def test_missing_space_is_an_error_before_anything_is_sent(session: Session, guard: Guard, shipment: Shipment) -> None:
    huge = replace(shipment, entries=(shipment.entries[0]._replace(path="huge", size=1 << 60), *shipment.entries))
    with pytest.raises(DeviceUnsuitable, match=r"MB free, the bundle needs .* MB more"):
        deploy(session, huge, guard)


def test_bundle_that_changes_while_it_is_sent_is_refused(session: Session, guard: Guard, shipment: Shipment) -> None:
    (shipment.root / "lib" / "3.py").write_bytes(os.urandom(40_000))
    with pytest.raises(DeviceError, match="did not arrive complete"):
        deploy(session, shipment, guard)


def test_place_that_cannot_be_written_is_an_error(session: Session, guard: Guard, shipment: Shipment) -> None:
    with pytest.raises(DeviceError, match="cannot write"):
        deploy(session, shipment, replace(guard, place="/proc/nowhere"))
