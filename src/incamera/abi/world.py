"""In which processes the files of a subject would be loaded, and in what order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from incamera.abi.checks.identity import is_for
from incamera.abi.checks.python import is_importable
from incamera.abi.loader_rule import LibraryFacts, describe_libraries, plan_loader
from incamera.abi.policy import Policy, load_runtime
from incamera.abi.process import Load, Place, Process
from incamera.abi.subject import Shape, Subject

if TYPE_CHECKING:
    from incamera.abi.objects import Object
    from incamera.targets.target import Target

_LIBRARY_NAMES = "etc/libraries.json"
_APP = "app/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """One file loaded into a process, at its start or later. `aside`: nothing says that this ever happens."""

    process: Process
    load: Load
    at_start: bool
    aside: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """`process` is the one that Python or the app runs in; `loader` says in words whose loader that is."""

    process: Process
    loader: str
    loads: tuple[Loaded, ...]


def make_world(subject: Subject, policy: Policy, target: Target) -> World:
    """Load everything on paper."""
    if subject.shape is Shape.package:
        return _camera_world(subject, policy)
    process, loader, newer = _python_process(subject, policy, target)
    loads = [Loaded(process=process, load=process.started, at_start=True)] if process.started else []
    libraries, programs = _sort(subject, policy)
    # Of those that the camera has newer, ours are not loaded.
    libraries = [item for item in libraries if item.folder not in subject.libraries or item.name not in newer]
    modules = [item for item in libraries if is_importable(item, target)]
    loads += _load_all(process, modules)
    for program in programs:
        if program is not process.program:
            alone = Process(subject, policy, program=program, places=(), name="in the camera, which starts it")
            if alone.started is not None:
                loads.append(
                    Loaded(process=alone, load=alone.started, at_start=True, aside=_is_aside(program, subject))
                )
    loads += _load_rest(process, libraries, loads)
    return World(process=process, loader=loader, loads=tuple(loads))


def _camera_world(subject: Subject, policy: Policy) -> World:
    name = "in the package, where the loader looks, or in the camera"
    libraries, programs = _sort(subject, policy)
    processes = [Process(subject, policy, program=program, places=(), name=name) for program in programs]
    process = processes[0] if processes else Process(subject, policy, program=None, places=(), name=name)
    loads = [Loaded(process=one, load=one.started, at_start=True) for one in processes if one.started]
    loads += _load_rest(process, libraries, loads)
    return World(process=process, loader=f"the camera's, {_glibc(process)}", loads=tuple(loads))


def _sort(subject: Subject, policy: Policy) -> tuple[list[Object], list[Object]]:
    """Return libraries and programs, without what no loader there would take."""
    sound = [item for item in subject.objects.values() if not item.damage and is_for(item.facts, policy.architecture)]
    return [item for item in sound if not item.facts.is_program], [item for item in sound if item.facts.is_program]


def _is_aside(program: Object, subject: Subject) -> bool:
    """May it never be started? What packages carry along may; the app's own, and what is looked at by itself, not."""
    if subject.shape is Shape.bundle:
        return not program.path.startswith(_APP)
    return subject.wheel is not None


def _load_all(process: Process, items: Iterable[Object]) -> Iterator[Loaded]:
    for item in items:
        yield Loaded(process=process, load=process.load(item), at_start=False)


def _load_rest(process: Process, libraries: Iterable[Object], loads: Iterable[Loaded]) -> list[Loaded]:
    """Load what none of *loads* brought along: first what nobody asks for, then, if need be, what others ask for."""
    reached = {item for loaded in loads for item in loaded.load.objects}
    rest = [item for item in libraries if item not in reached]
    asked_for = {name for item in rest for name in item.facts.needed}
    later: list[Loaded] = []
    for item in sorted(rest, key=lambda item: item.name in asked_for or item.facts.soname in asked_for):
        if item not in reached:
            later += _load_all(process, [item])
            reached.update(later[-1].load.objects)
    return later


def _python_process(subject: Subject, policy: Policy, target: Target) -> tuple[Process, str, Mapping[str, Object]]:
    """Return Python's process as the launcher starts it there, its loader in words, and what the camera has newer."""
    places: list[Place]
    if subject.shape is Shape.bundle:
        ours = _bundle_libraries(subject)
        program = subject.objects.get(subject.program or "")
        places = [Place(partial(subject.find, folder), folder) for folder in subject.libraries]
    else:
        runtime = load_runtime(target)
        ours = describe_libraries({name: item.facts for name, item in runtime.libraries.items()}, runtime.real_names)
        program = runtime.program
        places = [Place(runtime.libraries.get)]
    plan = plan_loader(
        ours,
        policy.facts(),
        bundle_folders=subject.libraries,
        device_folders=policy.folders,
        device_loader=policy.loader,
    )
    newer = {soname: policy.libraries[soname] for soname in plan.links}
    process = Process(
        subject, policy, program=program, places=[Place(newer.get), *places], name="in the bundle or the camera"
    )
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
        names = json.loads((subject.root / _LIBRARY_NAMES).read_bytes())
    except (OSError, ValueError):
        return {}
    return names if isinstance(names, dict) else {}
