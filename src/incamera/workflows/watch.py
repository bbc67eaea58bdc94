"""run --watch: deploy, run the app, and reload it whenever its files change, until the user ends it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from incamera.connect.choose import find_virtual, virtual_device
from incamera.context import BriefReporter
from incamera.deployment.request import DeployRequest, local_owner
from incamera.device.signals import handling_signals
from incamera.device.streams import Streams, raw_terminal
from incamera.edit.changes import Inbox, is_below
from incamera.edit.edited_app import EditedApp
from incamera.edit.live_app import live_app
from incamera.edit.session import EditSession, Outcome
from incamera.edit.settings import SessionSettings
from incamera.errors import (
    AgentError,
    ConfigError,
    ConnectionLost,
    DeviceError,
    DeviceRefused,
    DeviceUnreachable,
    DeviceUnsuitable,
    InCameraError,
    SourceError,
)
from incamera.guard.supervise import GRACE_SECONDS, GUARD_TIMEOUT_SECONDS
from incamera.project.entry_check import checked_entry
from incamera.project.left_out import describe_exclusion
from incamera.project.local import relative_path
from incamera.project.preload import choose_preload
from incamera.project.reload import reload_project
from incamera.project.watching import concerns_app, watching
from incamera.runlog.crash import SentFiles, sent_files
from incamera.runlog.output import RunLabel, kept_output
from incamera.workflows.deploy import deploy_over, deployed
from incamera_agent.wire.protocol import ErrorKind, signal_exit_code

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.deployment.apply import Deployed
    from incamera.edit.live_app import LiveApp
    from incamera.project.settings import Project
    from incamera.transport.device import Device

# Between two attempts to reach a camera that does not answer.
_PAUSES = (1.0, 2.0, 4.0, 8.0)
# An agent that ends by itself within that time of its start will probably do so again.
_SOON_SECONDS = 10.0
_ATTEMPTS = 3


def watch_app(
    context: Context,
    project: Project,
    *,
    arguments: Sequence[str],
    request: DeployRequest | None = None,
    memory_limit: int | None = None,
) -> int:
    """Run the app, and again whenever its files change. Returns 0 when the user ends it, 128 + N after signal N."""
    checked_entry(project)
    inbox = Inbox()
    watched = Watched(project)
    with (
        watching(project.folder, inbox.put, context.reporter.warn, wanted=watched, recursive=watched.recursive),
        LocalWatch(inbox, context.reporter.warn) as local_watch,
    ):
        loop = _Loop(
            context, project, inbox, (watched, local_watch), arguments, request or DeployRequest(), memory_limit
        )
        return loop.run()


class LocalWatch:
    """Watches a project's local packages that lie outside of its folder."""

    def __init__(self, inbox: Inbox, warn: Callable[[str], None]) -> None:
        self._inbox = inbox
        self._warn = warn
        self._watched: tuple[Path, frozenset[Path]] | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def watch(self, project: Project) -> None:
        """Watch the local packages of *project*, and no longer those of an earlier call."""
        folder = project.folder
        outside = frozenset(path for path in project.local.values() if not path.is_relative_to(folder))
        if self._watched == (folder, outside):
            return
        self._stack.close()
        self._watched = folder, outside
        for path in outside:
            # A wheel is replaced by another file, which only its folder reports.
            place = path if path.is_dir() else path.parent
            self._stack.enter_context(watching(place, partial(self._put, folder, path, place), self._warn))

    def _put(self, folder: Path, package: Path, place: Path, changed: frozenset[str]) -> None:
        paths = [place / path for path in changed]
        self._inbox.put(relative_path(path, folder) for path in paths if path.is_relative_to(package))


class Watched:
    """Tells which paths of a project's folder matter to the app. It is called in the thread that watches."""

    def __init__(self, project: Project) -> None:
        # The folder of a script may be anyone's home. A module that is imported later is one of those beside it.
        self.recursive = project.script is None or any("/" in path for path in project.find_files())
        self.watch(project)

    def watch(self, project: Project) -> None:
        """Take the settings of *project* from now on."""
        self._project, self._files = project, project.app_files()

    def __call__(self, path: str) -> bool:
        project = self._project
        if project.script is not None:
            return (self.recursive or path.endswith(".py")) and path in project.find_files()
        if not concerns_app(path):
            return self._files.concerns(path)  # only a .gitignore
        # What asks for another runtime matters whatever git ignores.
        local = (relative_path(package, project.folder) for package in project.local.values())
        if path == "pyproject.toml" or path.startswith("pylock.") or is_below(path, local):
            return True
        try:
            return self._files.concerns(path)
        except ConfigError:  # the next look at the files reports it
            return True


class _Loop:
    def __init__(
        self,
        context: Context,
        project: Project,
        inbox: Inbox,
        watches: tuple[Watched, LocalWatch],
        arguments: Sequence[str],
        request: DeployRequest,
        memory_limit: int | None,
    ) -> None:
        self._context = context
        self._project = project
        self._inbox = inbox
        self._watches = watches
        self._arguments = arguments
        self._request = request
        self._memory_limit = memory_limit
        self._device: Device | None = None
        self._has_begun = False
        self._is_deployed = False
        self._failures = 0
        self._lost = False
        # Until then, the camera may not know yet that an earlier connection is lost, and keep the app for it.
        self._released_at = 0.0

    def run(self) -> int:
        while True:
            try:
                code = self._run_once(self._look_up(self._device) if self._device else self._request.device)
            except (ConnectionLost, DeviceUnreachable) as error:
                if self._device is None:
                    raise
                if not self._await_camera(error):
                    return 0
            except AgentError as error:
                if error.kind == ErrorKind.BUSY and time.monotonic() < self._released_at:
                    if not _uninterrupted(lambda: time.sleep(_PAUSES[0])):
                        return 0
                    continue
                self._failures += 1
                if error.kind == ErrorKind.BUSY:
                    raise explain_busy(error) from error
                if error.kind != "ended" or self._failures >= _ATTEMPTS:
                    raise
                self._context.reporter.warn(f"{error}: starting it again")
            except BrokenPipeError:
                # The reader of the output, `head` for example, has ended: end as a local program would.
                return signal_exit_code(signal.SIGPIPE)
            except InCameraError as error:
                if isinstance(error, DeviceRefused) or (self._device is None and not isinstance(error, SourceError)):
                    raise
                if self._lost and isinstance(error, DeviceError) and not isinstance(error, DeviceUnsuitable):
                    if not self._await_camera(error):  # it may still be starting
                        return 0
                    continue
                self._context.reporter.error(error)
                if not self._await_change():
                    return 0
            else:
                if code is not None:
                    return code

    def _run_once(self, device: str | Device | None) -> int | None:
        """Deploy and run. Returns the exit code when the user ends it, None when a change needs a new deploy."""
        context = self._context
        if self._is_deployed:  # what has nothing to do now was reported then
            context = context.reporting_to(BriefReporter(context.reporter))
        self._is_deployed = False
        # Changes from here on may be missing in the bundle that is built now.
        self._inbox.take()
        if self._has_begun:
            self._project = reload_project(self._project)
        self._has_begun = True
        for watch in self._watches:
            watch.watch(self._project)
        with (
            deployed(context, self._project, replace(self._request, device=device), starts=True) as done,
            live_app(context, self._project, done.bundle.target, done.bundle.path / "app") as live,
        ):
            if self._lost:
                gone = time.monotonic() - self._lost_at
                context.reporter.info(f"{done.connection.device} is back after {gone:.0f} s")
            self._device, self._lost = done.connection.device, False
            streams = Streams()
            began = time.monotonic()
            session = EditSession(
                done.session.transport,
                done.guard.remote_path,
                self._edited(done, live, terminal=streams.find_terminal() is not None),
                self._inbox,
                streams,
                reporter=context.reporter,
            )
            raw = (
                raw_terminal(streams.stdin, keep_interrupt=True)
                if streams.find_terminal()
                else contextlib.nullcontext()
            )
            try:
                with raw, handling_signals(session.handle_signal):
                    outcome = done.session.call(session.main())
            finally:
                if time.monotonic() - began > _SOON_SECONDS:
                    self._failures = 0
                if session.owns_agent:
                    # Another session may take over later. After a lost connection, this one must not take over again.
                    self._request = replace(self._request, take_over=False)
            if outcome is Outcome.stale:
                return None
            return 0 if session.last_signal == signal.SIGINT else signal_exit_code(session.last_signal)

    def _edited(self, done: Deployed, live: LiveApp, *, terminal: bool) -> EditedApp:
        context, project = self._context, self._project
        names = [item["name"] for item in done.bundle.distributions]
        deployed = sent_files(context.store.root, done.bundle.path)
        settings = SessionSettings(project, done.bundle.target, context.environment)
        return EditedApp(
            app=project.name,
            root=done.result.root,
            project=project.folder,
            live=live,
            imports=tuple(choose_preload(project.preload, names)),
            arguments=lambda: [*settings.project.require_entry().to_arguments(), *self._arguments],
            local=tuple(relative_path(path, project.folder) for path in project.local.values()),
            find_staleness=settings.find_staleness,
            make_replacement=partial(self._make_replacement, done),
            leave_out=partial(describe_leaving_out, project),
            open_output=lambda folder: kept_output(
                context,
                project,
                RunLabel(
                    words=["python3", *settings.project.require_entry().to_arguments(), *self._arguments],
                    device=str(done.connection.device),
                ),
                folders=[folder, *done.app_folders],
                terminal=terminal,
                sent=SentFiles(
                    find=lambda path: live.find(path) or deployed.find(path),
                    find_debug=lambda: [*live.debug_folders, *deployed.find_debug()],
                ),
            ),
            memory_limit=self._memory_limit if self._memory_limit is not None else project.memory_limit,
            user=local_owner(),
            command="incamera run --watch",
            script=project.script,
            environment=done.app_environment,
            take_over=self._request.take_over,
        )

    def _make_replacement(self, done: Deployed) -> None:
        deploy_over(self._context, reload_project(self._project), done.connection, self._request)
        self._is_deployed = True

    def _look_up(self, device: Device) -> Device:
        """Return *device* with its present address: a restarted virtual camera has another port."""
        camera = find_virtual(self._context, device.name)
        return virtual_device(camera) if camera else device

    def _await_camera(self, error: DeviceError) -> bool:
        """Report *error* once, and wait before the next attempt. Returns False when the user presses Ctrl-C."""
        if not self._lost:
            since = time.strftime("%H:%M:%S")
            self._context.reporter.warn(
                f"{error} (since {since}): trying to connect to {self._device} again, after {_PAUSES[0]:.0f} s first "
                f"and every {_PAUSES[-1]:.0f} s later, until it answers; Ctrl-C ends this"
            )
            self._lost, self._attempt = True, 0
            self._lost_at = time.monotonic()
            self._released_at = self._lost_at + GUARD_TIMEOUT_SECONDS + 2 * GRACE_SECONDS
        pause = _PAUSES[min(self._attempt, len(_PAUSES) - 1)]
        self._attempt += 1
        return _uninterrupted(lambda: time.sleep(pause))

    _attempt = 0
    _lost_at = 0.0

    def _await_change(self) -> bool:
        self._context.reporter.info("waiting for changes")
        changed = threading.Event()
        self._inbox.attach(changed.set)
        if self._inbox.is_full:
            changed.set()

        def wait() -> None:
            while not changed.wait(0.2):
                pass
            time.sleep(0.3)  # an editor may save in several steps

        return _uninterrupted(wait)


def describe_leaving_out(project: Project, path: str) -> str:
    """Return what to do to not have the file *path* of the app in the camera."""
    if project.script is not None:
        return "move it out of the folder of the package that the script imports"
    return describe_exclusion(path, is_built=project.has_build_system)


def explain_busy(error: AgentError) -> AgentError:
    """Return *error* with the time when the other session began, if the agent reports it."""
    since = (error.owner or {}).get("since")
    if since is None:
        return error
    try:
        text = time.strftime("%H:%M on %d %B", time.localtime(since))
    except (OverflowError, ValueError, OSError):  # no calendar has that year
        return error
    return AgentError(f"{error}, since {text}", kind=error.kind, hint=error.hint, owner=error.owner)


def _uninterrupted(wait: Callable[[], None]) -> bool:
    try:
        wait()
    except KeyboardInterrupt:
        return False
    return True
