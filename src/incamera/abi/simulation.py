"""Which processes would load the files of a subject, and in what order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from incamera.abi.checks.identity import is_for
from incamera.abi.checks.python import is_for_another_python, is_importable
from incamera.abi.launch_scripts import NO_SCRIPTS, LaunchScripts, read_launch_scripts
from incamera.abi.loader_rule import LibraryFacts, describe_libraries, plan_loader
from incamera.abi.policy import Policy, load_runtime
from incamera.abi.process import Load, Process, SearchFolder
from incamera.abi.subject import Shape, Subject

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.targets.target import Target

_LIBRARY_NAMES = "etc/libraries.json"
_MAX_NAMES_BYTES = 1_000_000
_APP = "app/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """One file loaded into a process, at its start or later. `optional`: it may never be loaded."""

    process: Process
    load: Load
    at_start: bool
    optional: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """All files loaded. `process` is that of Python or of the app; `loader` is text that names its loader."""

    process: Process
    loader: str
    loads: tuple[Loaded, ...]


def simulate_loading(subject: Subject, policy: Policy, target: Target) -> Simulation:
    """Return what each process loads, by simulating the loader."""
    if subject.shape is Shape.package:
        return _simulate_package(subject, policy)
    process, loader, newer = _python_process(subject, policy, target)
    loads = [Loaded(process=process, load=process.started, at_start=True)] if process.started else []
    libraries, programs = _sort(subject, policy)
    # A library that the camera has in a newer version is not loaded from the bundle.
    libraries = [item for item in libraries if item.folder not in subject.libraries or item.name not in newer]
    modules = [item for item in libraries if is_importable(item, target)]
    loads += _load_all(process, modules)
    for program in programs:
        if program is not process.program:
            own = Process(subject, policy, program=program, library_path=(), name="in the camera, which starts it")
            if own.started is not None:
                optional = _is_optional(program, subject)
                loads.append(Loaded(process=own, load=own.started, at_start=True, optional=optional))
    # No Python here looks for these. Nothing but a program that knows their names would load them.
    foreign = [item for item in libraries if is_for_another_python(item, target)]
    loads += _load_rest([process], [item for item in libraries if item not in foreign], loads)
    loads += _load_rest([process], foreign, loads, optional=True)
    return Simulation(process=process, loader=loader, loads=tuple(loads))


def _simulate_package(subject: Subject, policy: Policy) -> Simulation:
    name = "in the folders of the package that the loader searches, or in the camera"
    libraries, programs = _sort(subject, policy)
    scripts = read_launch_scripts(subject)
    processes = [_start_program(subject, policy, program, name, scripts) for program in programs]
    process = processes[0] if processes else Process(subject, policy, program=None, library_path=(), name=name)
    loads = [Loaded(process=one, load=one.started, at_start=True) for one in processes if one.started]
    # No file tells which program opens these: it is taken to be one that has what they need.
    loads += _load_rest([process, *processes[1:]], libraries, loads)
    return Simulation(process=process, loader=f"the camera's, {_glibc(process)}", loads=tuple(loads))


def _start_program(subject: Subject, policy: Policy, program: Object, name: str, scripts: LaunchScripts) -> Process:
    """Return the process of a package's *program*. The camera starts the app itself; scripts may start the others."""
    by_camera = program.path == subject.app
    return Process(
        subject,
        policy,
        program=program,
        library_path=(),
        name=name,
        scripts=NO_SCRIPTS if by_camera else scripts,
    )


def _sort(subject: Subject, policy: Policy) -> tuple[list[Object], list[Object]]:
    """Return the libraries and the programs of *subject*, without damaged files and those for another machine."""
    valid = [item for item in subject.objects.values() if not item.damage and is_for(item.facts, policy.architecture)]
    return [item for item in valid if not item.facts.is_program], [item for item in valid if item.facts.is_program]


def _is_optional(program: Object, subject: Subject) -> bool:
    """Return whether it is possible that nothing starts *program*: true for a package's program, not for the app's."""
    if subject.shape is Shape.bundle:
        return not program.path.startswith(_APP)
    return subject.wheel is not None


def _load_all(process: Process, items: Iterable[Object]) -> Iterator[Loaded]:
    for item in items:
        yield Loaded(process=process, load=process.load(item), at_start=False)


def _load_rest(
    processes: Sequence[Process], libraries: Iterable[Object], loads: Iterable[Loaded], *, optional: bool = False
) -> list[Loaded]:
    """Load the *libraries* that are in none of *loads*: first those that no other one needs, then the rest.

    Each is loaded into the first of *processes* that has all it needs; into the first one where none has.
    """
    done = {item for loaded in loads for item in loaded.load.objects}
    rest = [item for item in libraries if item not in done]
    needed = {name for item in rest for name in item.facts.needed}
    later: list[Loaded] = []
    for item in sorted(rest, key=lambda item: item.name in needed or item.facts.soname in needed):
        if item not in done:
            process, load = _choose_process(processes, item)
            later.append(Loaded(process=process, load=load, at_start=False, optional=optional))
            done.update(load.objects)
    return later


def _choose_process(processes: Sequence[Process], item: Object) -> tuple[Process, Load]:
    for process in processes if len(processes) > 1 else ():
        load = process.load(item)
        if load.complete and not process.undefined_symbols(load).missing:
            return process, load
    return processes[0], processes[0].load(item)


def _python_process(subject: Subject, policy: Policy, target: Target) -> tuple[Process, str, Mapping[str, Object]]:
    """Return Python's process as the launcher starts it, its loader as text, and the camera's newer libraries."""
    folders: list[SearchFolder]
    if subject.shape is Shape.bundle:
        ours = _bundle_libraries(subject)
        program = subject.objects.get(subject.program or "")
        folders = [SearchFolder(partial(subject.find, folder), folder) for folder in subject.libraries]
    else:
        runtime = load_runtime(target)
        libraries = {**runtime.libraries, **(runtime.wheel_libraries if subject.wheel is not None else {})}
        ours = describe_libraries({name: item.facts for name, item in libraries.items()}, runtime.real_names)
        program = runtime.program
        folders = [SearchFolder(libraries.get)]
    # Deploying compares the bundle's libraries with the camera's. What starts a package compares nothing.
    plan = plan_loader(
        ours,
        {} if subject.is_packed else policy.facts(),
        bundle_folders=subject.libraries,
        device_folders=policy.folders,
        device_loader=policy.loader,
    )
    newer = {soname: policy.libraries[soname] for soname in plan.links}
    process = Process(
        subject,
        policy,
        program=program,
        library_path=[SearchFolder(newer.get), *folders],
        name="in the bundle or the camera",
        library_names=ours,
    )
    if subject.is_packed:
        return process, f"the package's own, {_glibc(process)}, on every camera", newer
    whose, other = ("the camera's", "the bundle's") if plan.loader else ("the bundle's", "the camera's")
    return process, f"{whose}, {_glibc(process)}, since {other} is not newer", newer


def _glibc(process: Process) -> str:
    return "glibc " + ".".join(map(str, process.glibc))


def _bundle_libraries(subject: Subject) -> dict[str, LibraryFacts]:
    found: dict[str, Object] = {}
    for folder in subject.libraries:
        for path in (*subject.objects, *subject.links):
            parent, _, name = path.rpartition("/")
            item = subject.find(folder, name) if parent == folder else None
            if item is not None and not item.damage:
                found.setdefault(name, item)
    names = {name: item.name for name, item in found.items()} | _real_names(subject)
    return describe_libraries({name: item.facts for name, item in found.items()}, names)


def _real_names(subject: Subject) -> dict[str, str]:
    try:
        names = json.loads(subject.read(_LIBRARY_NAMES, limit=_MAX_NAMES_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(names, dict):
        return {}
    return {name: real for name, real in names.items() if isinstance(real, str)}
