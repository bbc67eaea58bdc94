"""What a run prints: shown with the host's paths, and kept for `incamera logs`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.tracebacks import PathRewriter, Tap, host_paths
from incamera.runlog.log import RunLog, log_folder

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.holding import AppCommand
    from incamera.device.tracebacks import HostPaths
    from incamera.project.settings import Project
    from incamera.workflows.deploy import Deployed


@dataclass(slots=True)
class RunOutput:
    """The taps for both streams of a run; `exit_code` is written down when it is set before the block ends."""

    stdout: Tap
    stderr: Tap
    paths: HostPaths
    exit_code: int | None = None


@contextmanager
def kept_output(
    context: Context,
    project: Project,
    *,
    words: Sequence[str],
    device: str,
    folders: Sequence[str],
    terminal: bool,
    rewrite_stdout: bool = False,
    keep: bool = True,
) -> Iterator[RunOutput]:
    """Keep what a run prints for as long as the block lasts; without *keep*, only show it with the host's paths.

    *words* is what the user had run, *folders* are those on the device in which the app's own files lie. Standard
    output is data, so its paths are left alone, unless it is a *terminal* or *rewrite_stdout* says that it is for eyes.
    """
    paths = host_paths(project.folder, folders, has_build_system=project.has_build_system)
    log = _open_log(context, project, words, device) if keep else None
    rewriter = PathRewriter(paths) if terminal or rewrite_stdout else None
    output = RunOutput(
        stdout=_KeepingTap(log, "terminal" if terminal else "stdout", rewriter),
        stderr=_KeepingTap(log, "stderr", PathRewriter(paths)),
        paths=paths,
    )
    try:
        yield output
    finally:
        if log is not None:
            log.close(output.exit_code)


def _open_log(context: Context, project: Project, words: Sequence[str], device: str) -> RunLog | None:
    try:
        return RunLog(project_logs(context, project), command=shlex.join(words), device=device)
    except OSError as error:  # a full disk is no reason not to run
        context.reporter.warn(f"what this run prints is not kept: {error.strerror}")
        return None


def run_shown(
    context: Context,
    project: Project,
    done: Deployed,
    command: AppCommand,
    *,
    keep: bool = True,
    rewrite_stdout: bool = False,
) -> int:
    """Run *command* in what was deployed, its output shown with the host's paths. Returns its exit code."""
    from incamera.device.run import Streams, run_app

    streams = Streams()
    with kept_output(
        context,
        project,
        words=["python3", *command.words[1:]],
        device=str(done.device),
        folders=[command.folder or "", *app_folders(done)],
        terminal=streams.find_terminal() is not None,
        rewrite_stdout=rewrite_stdout,
        keep=keep,
    ) as output:
        output.exit_code = run_app(
            done.session,
            done.guard.remote_path,
            command,
            streams=streams,
            taps=(output.stdout, output.stderr),
        )
        return output.exit_code


def app_folders(done: Deployed) -> list[str]:
    """Return the folders on the device by which Python may know the app's files."""
    return [f"{done.result.root}/app", f"{done.result.destination}/app"]


def project_logs(context: Context, project: Project) -> Path:
    return log_folder(context.store.root, project.name, project.folder)


class _KeepingTap:
    def __init__(self, log: RunLog | None, stream: str, rewriter: PathRewriter | None) -> None:
        self._log = log
        self._stream = stream
        self._rewriter = rewriter

    @property
    def is_holding(self) -> bool:
        return self._rewriter is not None and self._rewriter.is_holding

    def feed(self, data: bytes) -> bytes:
        return self._keep(self._rewriter.feed(data) if self._rewriter else data)

    def finish(self) -> bytes:
        return self._keep(self._rewriter.finish() if self._rewriter else b"")

    def _keep(self, data: bytes) -> bytes:
        if data and self._log is not None:
            self._log.feed(self._stream, data)
        return data
