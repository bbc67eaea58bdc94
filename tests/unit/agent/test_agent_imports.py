"""Which package of the agent may import which, and which modules are loaded when."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from incamera.runtime.launcher import protocol as launcher_protocol
from incamera_agent import data
from incamera_agent.wire import protocol

from .agent_process import SOURCE, plain_environment

if TYPE_CHECKING:
    from .agent_process import AgentProcess

HOST = SOURCE.parents[2] / "src" / "incamera"

# A package or module may import those in its list, which are all above it. Imports in functions and for types count.
ALLOWED: Mapping[str, list[str]] = {
    "processes": [],
    "reload": [],
    "data": [],
    "incamera_agent": ["data", "reload"],  # __init__.py: the version, and what apps import
    "wire": ["incamera_agent"],
    "inapp": ["wire"],
    "forkserver": ["processes", "reload", "wire", "inapp"],
    "server": ["processes", "wire", "forkserver"],
    "__main__": ["server"],
}

LOADED_BY_THE_AGENT = [
    "incamera_agent",
    "incamera_agent.processes",
    "incamera_agent.wire",
    "incamera_agent.wire.protocol",
    "incamera_agent.wire.frames",
    "incamera_agent.wire.loop",
    "incamera_agent.wire.connection",
    "incamera_agent.wire.packets",
    "incamera_agent.forkserver",
    "incamera_agent.forkserver.become",
    "incamera_agent.forkserver.modules",
    "incamera_agent.forkserver.spec",
    "incamera_agent.forkserver.title",
    "incamera_agent.server",
    "incamera_agent.server.main",
    "incamera_agent.server.agent",
    "incamera_agent.server.compile_check",
    "incamera_agent.server.consoles",
    "incamera_agent.server.folder",
    "incamera_agent.server.forkserver",
    "incamera_agent.server.live",
    "incamera_agent.server.places",
    "incamera_agent.server.requests",
    "incamera_agent.server.run",
    "incamera_agent.server.streams",
    "incamera_agent.server.supervisor",
    "incamera_agent.server.work",
]
LOADED_BY_A_FORK = [
    "incamera_agent.reload",
    "incamera_agent.inapp",
    "incamera_agent.inapp.listener",
    "incamera_agent.inapp.inspector",
    "incamera_agent.forkserver.process",
    "incamera_agent.forkserver.child",
    "incamera_agent.forkserver.control",
    "incamera_agent.forkserver.ending",
]
# Each would cost the agent memory, or every start of an app time.
AVOIDED = [
    "argparse",
    "asyncio",
    "contextlib",
    "dataclasses",
    "hashlib",
    "importlib.util",
    "inspect",
    "logging",
    "pathlib",
    "shutil",
    "socket",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "traceback",
    "typing",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}


def package_of(module: str) -> str:
    return [*module.split("."), ""][1] or "incamera_agent"


def imports_of(path: Path) -> Iterator[str]:
    """Yield what a module imports anywhere in it, as `module` or `module.name`."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the whole name of what is imported"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """Return the agent's modules that *module* imports."""
    found = {name if name in MODULES else name.rpartition(".")[0] for name in imports_of(MODULES[module])}
    return {name for name in found if name in MODULES}


def loaded(statement: str) -> list[str]:
    """Return the modules that *statement* loads in a Python that has loaded no others."""
    code = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    environment = plain_environment()
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def own(modules: list[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "incamera_agent"}


def test_table_has_every_package_in_an_order_without_cycles() -> None:
    assert set(ALLOWED) == {package_of(module) for module in MODULES}
    above: set[str] = set()
    for package, imported in ALLOWED.items():
        assert set(imported) <= above, f"{package} may import only what is above it"
        above.add(package)


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_exactly_what_its_line_allows(package: str) -> None:
    inside = [module for module in MODULES if package_of(module) == package]
    imported = {package_of(name) for module in inside for name in own_imports(module)} - {package}
    assert imported == set(ALLOWED[package])


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter({module: own_imports(module) - {module} for module in MODULES}).prepare()


def test_packages_have_empty_init_files() -> None:
    for package in ("wire", "inapp", "forkserver", "server"):
        assert MODULES[f"incamera_agent.{package}"].read_bytes() == b""


def test_host_imports_the_wire_and_nothing_else_of_the_agent() -> None:
    wire = ("incamera_agent.wire.frames.", "incamera_agent.wire.protocol.")
    for path in HOST.rglob("*.py"):
        if "template" in path.parts:  # an app
            continue
        found = [name for name in imports_of(path) if name.partition(".")[0] == "incamera_agent"]
        if path == HOST / "runtime" / "agent.py":  # which copies the package
            found.remove("incamera_agent")
        assert all(f"{name}.".startswith(wire) for name in found), f"{path} imports {found}"


def test_agent_and_launcher_use_the_same_names() -> None:
    assert protocol.RUN_VARIABLE == launcher_protocol.RUN_VARIABLE
    assert data.DATA_VARIABLE == launcher_protocol.DATA_VARIABLE
    assert (protocol.WORK_FILES, protocol.WORK_APP) == (launcher_protocol.WORK_FILES, launcher_protocol.WORK_APP)


# What is loaded when


@pytest.mark.starts_processes
def test_agent_loads_these_modules_at_its_start() -> None:
    modules = loaded("import incamera_agent.server.main")
    assert own(modules) == set(LOADED_BY_THE_AGENT)
    assert not set(modules) & set(AVOIDED)


@pytest.mark.starts_processes
def test_attachable_app_loads_one_module_at_its_start() -> None:
    modules = loaded("import incamera_agent.inapp.listener")
    assert own(modules) == {"incamera_agent", "incamera_agent.inapp", "incamera_agent.inapp.listener"}
    assert not set(modules) & {*AVOIDED, "signal", "json"}


@pytest.mark.starts_processes
def test_app_that_imports_keep_loads_one_module_more() -> None:
    assert own(loaded("from incamera_agent import keep, reloading")) == {"incamera_agent", "incamera_agent.reload"}


@pytest.mark.starts_processes
def test_forked_run_has_no_modules_that_only_a_console_needs(agent: AgentProcess) -> None:
    agent.run("import json, sys; print(json.dumps(list(sys.modules)))")
    assert own(json.loads(agent.output["stdout"])) == {*LOADED_BY_THE_AGENT, *LOADED_BY_A_FORK}
