"""run and python without a new connection and a new Python: by a fork of the agent that waits in the camera.

`run_held` uses an agent that an earlier command has left. `run_and_hold` starts one after a deploy. What they need to
know of each other is the agent's state, which the holder keeps with it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.choose import devices_folder, find_device
from incamera.deployment.request import DeployRequest, local_owner
from incamera.device.live_sync import Changes, plan_changes, state
from incamera.device.registry import known_hosts_file
from incamera.device.signals import handling_signals
from incamera.device.streams import Streams, raw_terminal
from incamera.edit.held_run import CannotFork, Edit, ForkedApp, HeldRun
from incamera.errors import DeviceError
from incamera.holder.client import connection_key, is_cold
from incamera.holder.lease import keep_agent, lease_agent
from incamera.project.watching import Snapshots
from incamera.runlog.crash import sent_files
from incamera.runlog.output import RunLabel, kept_output
from incamera.transport.session import LoopThread
from incamera.workflows.held_state import HeldState, digest_settings, make_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from incamera.context import Context
    from incamera.deployment.apply import Deployed
    from incamera.holder.lease import LeasedAgent
    from incamera.project.settings import Project
    from incamera.project.watching import AppFile
    from incamera.transport.device import Device

# What must stay free in the camera beside the agent, and how much it may take, in bytes.
_FREE_BYTES = 48 << 20
_USED_BYTES = 160 << 20
# A change of more than so many bytes is deployed: what the agent receives is kept in the camera's RAM.
_CHANGED_BYTES = 16 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """What is run: `python3 ARGUMENTS`; *keep* its output for `incamera logs`, and *preload* the slow packages."""

    arguments: Sequence[str]
    keep: bool = True
    preload: bool = True


def run_held(context: Context, project: Project, command: Command, request: DeployRequest) -> int | None:
    """Run *command* by the agent that waits for the project. Returns its exit code, None where a deploy is needed."""
    device = find_device(context, request.device, project=project) if _may_hold(context, request) else None
    if device is None:
        return None
    with LoopThread() as loop:
        try:
            leased = loop.call(lease_agent(context.store.root, device, _agent_name(context, project, request, device)))
        except DeviceError:  # it has just ended
            return None
        if leased is None:
            return None
        run = HeldRun(leased, Streams(), context.reporter)
        held = HeldState.parse(leased.state)
        loop.call(run.begin(greet=False))
        with _giving_back(loop, run, leased) as give_back:
            wanted = _read_app(context, project, held) if held else None
            if held is None or wanted is None:
                return None
            # Those of a wheel have not changed: it would be another bundle.
            changes = Changes((), ()) if project.has_build_system else plan_changes(wanted, held.files)
            if not _is_small(wanted, changes):
                return None
            _check_data(context, project, device)
            give_back(held)
            try:
                held = _preload(loop, run, held, command)
                app = _app(context, project, held, command, device)
                if changes:
                    with context.reporter.step("update") as step:
                        source = None if held.are_edited else held.bundle_folder
                        edit = Edit(source=source, wanted=wanted, changes=changes)
                        loop.call(run.start(replace(app, folder=None), edit))
                        files = {path: state(file) for path, file in wanted.items()}
                        held = replace(held, are_edited=True, files=files)
                        step.note(_describe(changes.paths))
                else:
                    loop.call(run.start(app))
                give_back(held)
                return _finish(context, loop, run)
            except (CannotFork, DeviceError):
                if not run.may_start_again:
                    raise
                give_back(None)
                return None


def run_and_hold(
    context: Context, project: Project, command: Command, request: DeployRequest, done: Deployed
) -> int | None:
    """Run *command* in the deployment *done* by an agent that waits afterwards. None where it must run without one."""
    from incamera.deployment.plan import spare_memory  # lazy: an app that is started by the agent needs none of these
    from incamera.device.agent_program import make_agent_program
    from incamera.holder.transport import HeldTransport
    from incamera.project.lockfile import find_lock, lock_path
    from incamera.project.preload import choose_preload
    from incamera.runtime.launcher.protocol import WORK_APP

    transport, loop, device = done.session.transport, done.session, done.connection.device
    lock, lockfile = find_lock(project, done.bundle.target), lock_path(project, done.bundle.target)
    if not isinstance(transport, HeldTransport) or lock is None or not _may_hold(context, request):
        return None
    if spare_memory(done.connection.facts) < _FREE_BYTES:
        return None
    root = done.result.root
    program = make_agent_program(
        root,
        app=project.name,
        user=local_owner(),
        command="incamera run",
        kept=True,
        environment=done.app_environment,
    )
    asked = {
        "name": _agent_name(context, project, request, device),
        "app": project.name,
        "guard": done.guard.remote_path,
        "used_limit": _USED_BYTES,
        "free_limit": _FREE_BYTES,
    }
    app = "app/"
    held = HeldState(
        root=root,
        destination=done.result.destination,
        bundle=str(done.bundle.path),
        work=f"{done.work}/{WORK_APP}" if done.work else "",
        live="",
        are_edited=False,
        target=str(done.bundle.target),
        lockfile=str(lockfile),
        settings=digest_settings(context, project, lock),
        stamp=make_stamp(context, project, lockfile),
        preload=tuple(choose_preload(project.preload, [item.name for item in lock.distributions])),
        imports=(),
        files={
            entry.path.removeprefix(app): str(entry.sha256) + ("x" if entry.executable else "")
            for entry in done.bundle.entries
            if entry.path.startswith(app) and entry.sha256 and not entry.path.endswith(".pyc")
        },
    )
    try:
        leased = loop.call(keep_agent(transport, program, asked))
    except DeviceError:
        return None
    if leased is None:
        return None
    run = HeldRun(leased, Streams(), context.reporter)
    with _giving_back(loop, run, leased) as give_back:
        try:
            held = replace(held, live=loop.call(run.begin(greet=True)))
            held = _preload(loop, run, held, command)
            give_back(held)
            loop.call(run.start(_app(context, project, held, command, device)))
            return _finish(context, loop, run)
        except (CannotFork, DeviceError):
            if not run.may_start_again:
                raise
            give_back(None)
            return None


@contextmanager
def _giving_back(loop: LoopThread, run: HeldRun, leased: LeasedAgent) -> Iterator[Callable[[HeldState | None], None]]:
    """Yield a function that sets the state with which the agent waits after the block.

    None ends the agent, as an error does.
    """
    last: HeldState | None = HeldState.parse(leased.state)

    def set_state(held: HeldState | None) -> None:
        nonlocal last
        last = held

    try:
        yield set_state
    except BaseException:
        last = None
        raise
    finally:
        with suppress(DeviceError):
            loop.call(run.close() if last is None else run.give_back(asdict(last)))


def _preload(loop: LoopThread, run: HeldRun, held: HeldState, command: Command) -> HeldState:
    """Have the fork server import what *command* needs, if it has not."""
    if not command.preload or held.preload == held.imports:
        return held
    loop.call(run.preload(held.preload))
    return replace(held, imports=held.preload)


def _app(context: Context, project: Project, held: HeldState, command: Command, device: Device) -> ForkedApp:
    terminal = Streams().find_terminal() is not None
    label = RunLabel(words=["python3", *command.arguments], device=str(device)) if command.keep else None
    return ForkedApp(
        arguments=command.arguments,
        folder=None if held.work or held.are_edited else held.bundle_folder,
        open_output=lambda: kept_output(
            context,
            project,
            label,
            folders=held.app_folders,
            terminal=terminal,
            sent=sent_files(context.store.root, Path(held.bundle)),
        ),
    )


def _finish(context: Context, loop: LoopThread, run: HeldRun) -> int:
    streams = Streams()
    terminal = streams.find_terminal() is not None
    with raw_terminal(streams.stdin) if terminal else nullcontext(), handling_signals(run.handle_signal):
        code = loop.call(run.finish())
    if run.killed:
        context.reporter.warn(run.killed)
    return code


def _check_data(context: Context, project: Project, device: Device) -> None:
    """Do what a deploy does about the app's data, where it may not grow without limit. Raises DeviceUnsuitable."""
    if project.data is None or project.data.limit is None:
        return
    from incamera.connect.connection import connected  # lazy: an app without a limit needs no other connection
    from incamera.deployment.data import plan_data

    with connected(context, device) as connection:
        plan_data(context.reporter, connection, project)


def _may_hold(context: Context, request: DeployRequest) -> bool:
    return not is_cold(context.environment) and not request.take_over and not request.verify


def _agent_name(context: Context, project: Project, request: DeployRequest, device: Device) -> str:
    """Return what names the agent: the device and how it is reached, the project, and what was asked of the deploy."""
    known_hosts = known_hosts_file(devices_folder(context))
    what = [
        connection_key(device, known_hosts=known_hosts, environment=context.environment),
        [str(project.folder), project.name, str(project.script)],
        [request.target, request.audit, request.place, request.form],
    ]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _read_app(context: Context, project: Project, held: HeldState) -> Mapping[str, AppFile] | None:
    """Return the app's files, None where the deployed bundle does not fit the project any more."""
    if not held.fits(context, project):
        return None
    if project.has_build_system:
        return {}  # they have not changed
    return Snapshots(project.folder, project.find_files).take()


def _is_small(wanted: Mapping[str, AppFile], changes: Changes) -> bool:
    """Return whether a change can be sent to the agent: no machine code, which is audited, and not very large."""
    size = 0
    for path in changes.put:
        with suppress(OSError), wanted[path].source.open("rb") as stream:
            if stream.read(4) == b"\x7fELF":
                return False
            size += wanted[path].source.stat().st_size
    return size <= _CHANGED_BYTES


def _describe(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
