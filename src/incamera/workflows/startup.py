"""run --profile-startup: where the time goes between the command and the app's first word."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from incamera.device.run import run_app
from incamera.device.streams import Streams
from incamera.observe.startup import BOOT, Startup, StartupTap
from incamera.runlog.output import RunLabel, kept_output
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed

if TYPE_CHECKING:
    from incamera.context import Context, Reporter, Step
    from incamera.deployment.request import DeployRequest
    from incamera.errors import InCameraError
    from incamera.observe.startup import Import
    from incamera.project.settings import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """*inside* are the seconds of it that the camera itself counted, None where it doesn't."""

    name: str
    seconds: float
    inside: float | None = None
    what: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """How a run began, in order. *imports* are the app's."""

    phases: tuple[Phase, ...]
    imports: tuple[Import, ...]
    exit_code: int

    @property
    def seconds(self) -> float:
        return sum(phase.seconds for phase in self.phases)


def profile_startup(
    context: Context,
    project: Project,
    *,
    arguments: Sequence[str],
    request: DeployRequest | None = None,
    quiet_output: bool = False,
) -> Profile:
    """Run the app, and say where the time went until its first output. *quiet_output*: it goes to standard error."""
    reporter = _Timing(context.reporter)
    began = time.monotonic()
    with deployed(replace(context, reporter=reporter), project, request) as done:
        before = time.monotonic() - began
        root = done.result.root
        words = [*project.entry.to_arguments(), *arguments]
        program = Program((f"{root}/bin/python3", "-X", "importtime", "-c", BOOT, *words), folder=f"{root}/app")
        streams = Streams(stdout=2) if quiet_output else Streams()
        terminal = streams.find_terminal() is not None
        startup = Startup(opened=time.monotonic())
        with kept_output(
            context,
            project,
            RunLabel(words=["python3", *words], device=str(done.connection.device)),
            folders=done.app_folders,
            terminal=terminal,
        ) as output:
            taps = (
                StartupTap(startup, output.stdout, is_output=True),
                StartupTap(startup, output.stderr, is_output=False),
            )
            code = run_app(done.session, done.guard.remote_path, program, streams=streams, taps=taps)
            output.exit_code = code
        ended = time.monotonic()
    startup.finish()
    # What is no step is the connection and what was asked over it.
    steps = [Phase(name=name, seconds=seconds) for name, seconds in reporter.steps]
    connect = Phase(name="connect", seconds=max(0.0, before - sum(step.seconds for step in steps)))
    return Profile(
        phases=(connect, *steps, *plan_phases(startup, ended)), imports=tuple(startup.imports), exit_code=code
    )


def plan_phases(startup: Startup, ended: float) -> list[Phase]:
    """Return what came after the deploy: the interpreter, the imports, and the rest until the first output."""
    if startup.ready is None:
        return [Phase(name="start", seconds=ended - startup.opened, what="the interpreter never stood")]
    sites = sum(item.seconds for item in startup.interpreter)
    imports = sum(item.seconds for item in startup.imports)
    shown = startup.first_output if startup.first_output is not None else ended
    what = "until its first output" if startup.first_output is not None else "until its end, without output"
    return [
        Phase(
            name="start",
            seconds=startup.ready - startup.opened,
            inside=startup.age,
            what=f"guard, loader and interpreter, {sites:.2f} s of it its own imports",
        ),
        Phase(name="imports", seconds=imports, what="by the camera's clock"),
        Phase(name="app", seconds=max(0.0, shown - startup.ready - imports), what=what),
    ]


def describe_imports(imports: Sequence[Import], *, least: float) -> Iterator[tuple[int, Import]]:
    """Yield the imports that took so many seconds at least, each with its depth, as a tree is printed."""
    for item in imports:
        if item.seconds >= least:
            yield 0, item
            yield from ((depth + 1, child) for depth, child in describe_imports(item.children, least=least))


class _Timing:
    """Passes everything on, and keeps how long each step took."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner
        self.steps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        began = time.monotonic()
        with self._inner.step(name) as step:
            yield step
        self.steps.append((name, time.monotonic() - began))

    def info(self, text: str) -> None:
        self._inner.info(text)

    def warn(self, text: str) -> None:
        self._inner.warn(text)

    def error(self, error: InCameraError) -> None:
        self._inner.error(error)

    def confirm(self, question: str) -> bool:
        return self._inner.confirm(question)
