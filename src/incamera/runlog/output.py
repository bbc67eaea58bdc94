"""The output of a run on its way to the user: the device's paths become the host's, and the run's log gets it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.streams import Streams
from incamera.device.tracebacks import CrashTrimmer, FilterChain, PathRewriter, host_paths
from incamera.runlog.crash import PlaceNamer, SentFiles, Tail, sent_files
from incamera.runlog.log import RunLog, log_folder

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.apply import Deployed
    from incamera.device.run import RunEnd
    from incamera.device.tracebacks import HostPaths, OutputFilter
    from incamera.project.settings import Project
    from incamera.transport.protocols import Program


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLabel:
    """How `incamera logs --list` names a run: the *words* of its command line, and the *device* that it ran on."""

    words: Sequence[str]
    device: str


@dataclass(slots=True)
class RunOutput:
    """The filters for both streams of a run. Set `exit_code` when it is known: it goes into the run's log.

    *find_crash* returns where in C code the app has crashed, "" where it has not, or that is not known.
    """

    stdout: OutputFilter
    stderr: OutputFilter
    paths: HostPaths
    exit_code: int | None = None
    find_crash: Callable[[], str] = lambda: ""


@contextmanager
def kept_output(
    context: Context,
    project: Project,
    label: RunLabel | None,
    *,
    folders: Sequence[str],
    terminal: bool,
    rewrite_stdout: bool = False,
    sent: SentFiles | None = None,
) -> Iterator[RunOutput]:
    """Give the filters for a run's output, which write it into a log named *label* until the block ends.

    With *label* None there is no log. The filters also turn the device's paths in the output into the host's; *folders*
    are those on the device that hold the app's own files. Standard output may be data for a program, so the paths in
    it are changed only for a *terminal* and with *rewrite_stdout*. *sent* has what a crash was in. Warns when
    the log cannot be written.
    """
    paths = host_paths(project.folder, folders, has_build_system=project.has_build_system)
    log = _open_log(context, project, label) if label else None

    def make_rewriter() -> OutputFilter:
        rewriter = FilterChain(CrashTrimmer(), PathRewriter(paths))
        return FilterChain(PlaceNamer(sent, project.folder), rewriter) if sent else rewriter

    rewriter = make_rewriter() if terminal or rewrite_stdout else None
    tail = Tail()  # a terminal has one stream for both
    output = RunOutput(
        stdout=_LogFilter(log, "terminal" if terminal else "stdout", rewriter, tail if terminal else None),
        stderr=_LogFilter(log, "stderr", make_rewriter(), tail),
        paths=paths,
        find_crash=lambda: tail.describe_crash(sent, project.folder) if sent else "",
    )
    try:
        yield output
    finally:
        if log is not None:
            log.close(output.exit_code)


def _open_log(context: Context, project: Project, label: RunLabel) -> RunLog | None:
    try:
        return RunLog(project_logs(context, project), command=shlex.join(label.words), device=label.device)
    except OSError as error:  # the app can run without a log
        context.reporter.warn(f"no log is kept of this run: {error.filename}: {error.strerror}")
        return None


def run_shown(
    context: Context,
    project: Project,
    done: Deployed,
    program: Program,
    *,
    attach_as: str | None = None,
    keep: bool = True,
    rewrite_stdout: bool = False,
) -> RunEnd:
    """Run *program* in the deployment *done*, show its output with the host's paths, and return how it ended.

    With *attach_as* `incamera attach` finds the run by that name. Without *keep* the run gets no log.
    """
    from incamera.device.run import run_to_end  # lazy: an app that is forked is not started like this

    streams = Streams()
    with kept_output(
        context,
        project,
        RunLabel(words=["python3", *program.arguments[1:]], device=str(done.connection.device)) if keep else None,
        folders=[program.folder or "", *done.app_folders],
        terminal=streams.find_terminal() is not None,
        rewrite_stdout=rewrite_stdout,
        sent=sent_files(context.store.root, done.bundle.path),
    ) as output:
        end = run_to_end(
            done.session,
            done.guard.remote_path,
            program,
            attach_as=attach_as,
            streams=streams,
            filters=(output.stdout, output.stderr),
        )
        output.exit_code = end.code
        return replace(end, crash=output.find_crash())


def project_logs(context: Context, project: Project) -> Path:
    """Return the folder for the logs of *project*."""
    return log_folder(context.store.root, project.name, project.folder)


class _LogFilter:
    """Writes what passes through it into *log*, after *rewriter* has changed the paths in it. *tail* gets it before."""

    def __init__(self, log: RunLog | None, stream: str, rewriter: OutputFilter | None, tail: Tail | None) -> None:
        self._tail = tail
        self._log = log
        self._stream = stream
        self._rewriter = rewriter

    @property
    def has_pending(self) -> bool:
        return self._rewriter is not None and self._rewriter.has_pending

    def feed(self, data: bytes) -> bytes:
        if self._tail is not None:
            self._tail.feed(data)
        return self._log_output(self._rewriter.feed(data) if self._rewriter else data)

    def finish(self) -> bytes:
        return self._log_output(self._rewriter.finish() if self._rewriter else b"")

    def _log_output(self, data: bytes) -> bytes:
        if data and self._log is not None:
            self._log.feed(self._stream, data)
        return data
