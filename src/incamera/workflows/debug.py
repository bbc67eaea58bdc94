"""debug: run the app under debugpy in the camera, and forward a local port to it over the SSH connection."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.disk import write_atomic
from incamera.errors import ConfigError, DeviceError, DeviceRefused, StoreError, UsageError
from incamera.guard.verbs import copy_folder, remove_folder
from incamera.project.entry_check import checked_entry
from incamera.project.variant import plan_variant
from incamera.runlog.output import run_shown
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed
from incamera.workflows.lock import ensure_lock

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.request import DeployRequest
    from incamera.project.settings import Project
    from incamera.targets.target import Target
    from incamera.transport.protocols import Transport
    from incamera.transport.session import Session

DEFAULT_PORT = 5678  # debugpy's own
CONFIGURATION = "incamera: attach"
# debugpy starts that slowly in a virtual camera.
_READY_SECONDS = 120
# Between two checks whether debugpy listens.
_POLL_SECONDS = 0.5
_TABLE_BYTES = 1 << 20
# What /proc/net/tcp calls the state of a socket that waits for connections.
_LISTEN = "0A"
_SOCKET = re.compile(r"\s*\S+\s+[0-9A-F]+:([0-9A-F]{4})\s+\S+\s+([0-9A-F]{2})\s")
_PORTS = (20000, 32000)  # below the range from which the kernel chooses ports itself


def debug_app(
    context: Context,
    project: Project,
    *,
    arguments: Sequence[str],
    request: DeployRequest | None = None,
    port: int = DEFAULT_PORT,
    wait: bool = True,
    write_launch: bool = False,
) -> int:
    """Run the app under debugpy, reachable at *port* of this computer. Returns the app's exit code.

    With *wait*, the app starts when a debugger attaches. With *write_launch*, VS Code's launch.json is written first.
    """
    entry = checked_entry(project)
    require_free(port)
    if write_launch:
        configuration = launch_configuration(project, port)
        context.reporter.info(f"wrote {write_launch_file(project.folder, configuration)}")

    def with_debugger(project: Project, target: Target) -> Project:
        return plan_variant(project, ensure_lock(context, project, target), "debug", ["debugpy"])

    with deployed(context, project, request, transform=with_debugger, starts=True) as done:
        session, root = done.session, done.result.root
        remote_port = _find_free_port(session)

        async def until_ready() -> bool:
            return await _await_listener(session.transport, remote_port)

        words = ["-X", "frozen_modules=off", "-m", "debugpy", "--listen", f"127.0.0.1:{remote_port}"]
        if wait:
            words.append("--wait-for-client")
        with (
            _copied(session, done.guard.remote_path, f"{root}/app", remote_folder(project)) as folder,
            session.forwarded(remote_port, local_port=port, until_ready=until_ready),
        ):
            if folder != remote_folder(project):
                if write_launch:
                    write_launch_file(project.folder, launch_configuration(project, port, remote=folder))
                context.reporter.warn(
                    f"another user of {session.device} has taken {remote_folder(project)}, so the app is in {folder}"
                    + ("" if write_launch else "; --write-launch writes that into .vscode/launch.json")
                )
            program = Program(
                (f"{root}/bin/python3", *words, *entry.to_arguments(), *arguments),
                folder=folder,
                environment={
                    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **done.environment,
                },
            )
            context.reporter.info(
                f"attach a debugger to 127.0.0.1:{port}"
                + ("; the app starts then" if wait else "")
                + f" (in VS Code: F5, “{CONFIGURATION}”"
                + (")" if write_launch else ", which `incamera debug --write-launch` writes)")
            )
            return run_shown(context, project, done, program).code


@contextmanager
def _copied(session: Session, guard: str, app: str, folder: str) -> Iterator[str]:
    """Have the app in *folder* while the block runs, as hard links where the file system allows them.

    Yields the folder's path: another one where another user has taken it. The folder of a bundle changes with each
    edit. A debugger's path mapping names this one, which stays.
    """
    # Two debug sessions would share this folder: starting a second would delete the first's files.
    copy = copy_folder(session, guard, app, folder)
    if copy is None:
        raise DeviceRefused(
            f"this app is being debugged on {session.device} already",
            hint="end that session with Ctrl-C; `incamera ps` shows its processes",
        )
    try:
        yield copy
    finally:
        remove_folder(session, guard, copy)


def require_free(port: int) -> None:
    """Raises UsageError when *port* of this computer's loopback address cannot be used."""
    if not 0 < port < 65536:
        raise UsageError(f"{port} is not a port", hint="ports are numbers from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UsageError(
                f"port {port} on this computer cannot be used: {error.strerror}", hint="choose another with --port"
            ) from error


def remote_folder(project: Project) -> str:
    """Return the folder in the camera that has the app while it is debugged. It is the same for every bundle."""
    return f"/tmp/incamera-debug/{project.name}/app"


def launch_configuration(project: Project, port: int, *, remote: str | None = None) -> dict[str, Any]:
    """Return the configuration with which VS Code attaches to the app at *port* of this computer.

    *remote* is the app's folder in the camera, if it is not `remote_folder`.
    """
    remote = remote or remote_folder(project)
    mappings = [("${workspaceFolder}", remote)]
    source = project.folder / "src"
    if project.has_build_system and source.is_dir():
        # A wheel has the packages without the folder `src`. A debugger takes the first mapping that matches.
        packages = sorted(path.name for path in source.iterdir() if not path.name.endswith(".egg-info"))
        mappings = [*((f"${{workspaceFolder}}/src/{name}", f"{remote}/{name}") for name in packages), *mappings]
    return {
        "name": CONFIGURATION,
        "type": "debugpy",
        "request": "attach",
        "connect": {"host": "127.0.0.1", "port": port},
        "pathMappings": [{"localRoot": local, "remoteRoot": remote} for local, remote in mappings],
        "justMyCode": True,
    }


def write_launch_file(folder: Path, configuration: dict[str, Any]) -> Path:
    """Write *configuration* into .vscode/launch.json, in place of an older one of the same name. Returns the path.

    Raises ConfigError when the file is not plain JSON, StoreError when it cannot be written.
    """
    path = folder / ".vscode" / "launch.json"
    document: Any = {"version": "0.2.0", "configurations": []}
    try:
        document = json.loads(path.read_text("utf-8"))
        others = [item for item in document["configurations"] if item.get("name") != configuration["name"]]
        document["configurations"] = [*others, configuration]
    except FileNotFoundError:
        document["configurations"] = [configuration]
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # VS Code allows comments in this file. Rewriting it would lose them.
        raise ConfigError(
            f"{path} is not plain JSON, so it is left as it is",
            hint="add to its configurations: " + json.dumps(configuration),
        ) from error
    try:
        write_atomic(path, (json.dumps(document, indent=2) + "\n").encode())
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    return path


async def _await_listener(transport: Transport, port: int) -> bool:
    """Wait until a program on the device listens at *port*. Returns False when none does after _READY_SECONDS."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        table = await transport.get("/proc/net/tcp", limit=_TABLE_BYTES)
        if any(found.port == port and found.listens for found in parse_sockets(table.decode("ascii", "replace"))):
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


@dataclass(frozen=True, slots=True)
class TcpSocket:
    """A socket of the device: its own port, and whether it waits for connections."""

    port: int
    listens: bool


def parse_sockets(table: str) -> list[TcpSocket]:
    """Parse /proc/net/tcp: in each line, the second word is the local address and the fourth the state."""
    found = map(_SOCKET.match, table.splitlines()[1:])
    return [TcpSocket(int(match[1], 16), match[2] == _LISTEN) for match in found if match]


def _find_free_port(session: Session) -> int:
    """Return a port that no program on the device uses. Raises DeviceError."""
    table = session.get("/proc/net/tcp", limit=_TABLE_BYTES).decode("ascii", "replace")
    taken = {found.port for found in parse_sockets(table)}
    free = [port for port in random.sample(range(*_PORTS), 64) if port not in taken]
    if not free:
        raise DeviceError(f"{session.device} has no free port")
    return free[0]
