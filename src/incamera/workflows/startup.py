"""run --profile-startup: measure the time from the command to the app's first output, phase by phase."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from incamera.context import ForwardingReporter
from incamera.device.run import run_to_end
from incamera.device.streams import Streams
from incamera.observe.startup import BOOT, Startup, StartupFilter
from incamera.project.entry_check import checked_entry
from incamera.runlog.output import RunLabel, kept_output
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed

if TYPE_CHECKING:
    from incamera.context import Context, Reporter, Step
    from incamera.deployment.request import DeployRequest
    from incamera.observe.startup import Import
    from incamera.project.settings import Project


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A part of the start. *inside* is the part of *seconds* that the camera measured, if it did."""

    name: str
    seconds: float
    inside: float | None = None
    what: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The phases of a start, in order, and the app's imports."""

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
    """Run the app, and return how long each phase until its first output took.

    With *quiet_output*, the app's standard output goes to standard error.
    """
    entry = checked_entry(project)
    reporter = _Timing(context.reporter)
    began = time.monotonic()
    with deployed(context.reporting_to(reporter), project, request, starts=True) as done:
        before = time.monotonic() - began
        root = done.result.root
        words = [*entry.to_arguments(), *arguments]
        arguments = (f"{root}/bin/python3", "-X", "importtime", "-c", BOOT, *words)
        program = Program(arguments, folder=f"{root}/app", environment=done.app_environment)
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
            filters = (
                StartupFilter(startup, output.stdout, is_output=True),
                StartupFilter(startup, output.stderr, is_output=False),
            )
            code = run_to_end(done.session, done.guard.remote_path, program, streams=streams, filters=filters).code
            output.exit_code = code
        ended = time.monotonic()
    startup.finish()
    # The time outside the steps was spent connecting and reading facts about the device.
    steps = [Phase(name=name, seconds=seconds) for name, seconds in reporter.steps]
    connect = Phase(name="connect", seconds=max(0.0, before - sum(step.seconds for step in steps)))
    return Profile(
        phases=(connect, *steps, *plan_phases(startup, ended)), imports=tuple(startup.imports), exit_code=code
    )


def plan_phases(startup: Startup, ended: float) -> list[Phase]:
    """Return the phases after the deploy: start of the interpreter, imports, and the app until its first output."""
    if startup.ready is None:
        return [Phase(name="start", seconds=ended - startup.opened, what="the interpreter did not start")]
    sites = sum(item.seconds for item in startup.interpreter)
    imports = sum(item.seconds for item in startup.imports)
    shown = startup.first_output if startup.first_output is not None else ended
    what = "until its first output" if startup.first_output is not None else "until its end, without output"
    return [
        Phase(
            name="start",
            seconds=startup.ready - startup.opened,
            inside=startup.age,
            what=f"guard, loader and interpreter, {sites:.2f} s of it Python's own imports",
        ),
        Phase(name="imports", seconds=imports, what="by the camera's clock"),
        Phase(name="app", seconds=max(0.0, shown - startup.ready - imports), what=what),
    ]


def describe_imports(imports: Sequence[Import], *, least: float) -> Iterator[tuple[int, Import]]:
    """Yield the imports that took *least* seconds or more, each with its depth in the tree of imports."""
    for item in imports:
        if item.seconds >= least:
            yield 0, item
            yield from ((depth + 1, child) for depth, child in describe_imports(item.children, least=least))


class _Timing(ForwardingReporter):
    """Passes everything on, and records how long each step took."""

    def __init__(self, inner: Reporter) -> None:
        super().__init__(inner)
        self.steps: list[tuple[str, float]] = []

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        began = time.monotonic()
        with self._inner.step(name) as step:
            yield step
        self.steps.append((name, time.monotonic() - began))
