"""The agent in virtual cameras: started by the guard, reached over SSH."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.deployment.request import DeployRequest
from incamera.device.agent import Agent
from incamera.device.agent_program import make_agent_program
from incamera.errors import AgentError, ConnectionLost
from incamera.guard.supervise import SupervisedRun
from incamera.project.loading import load_project
from incamera.transport.protocols import Program
from incamera.workflows.deploy import deployed

from ...waiting import wait_until
from ..cameras import OPENSSH_PROFILE, inside, on
from ..project import write_project

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.deployment.apply import Deployed
    from incamera.virtual.camera import VirtualCamera
    from incamera_agent.wire.frames import Frame

pytestmark = on("axis-os-11-armv7hf", matrix=["axis-os-11-aarch64", OPENSSH_PROFILE])

MEBIBYTE = 1 << 20
OURS = "ps | grep -c '[i]ncamera_agent'; ls -d /tmp/incamera-agent /tmp/incamera-run-* 2>/dev/null"

EATER = """\
import os, time
print("on", flush=True)
pieces = []
while True:
    pieces.append(b"x" * (1 << 20))
"""

STUBBORN = """\
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        with open("/tmp/stubborn.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("/tmp/stubborn.new", "/tmp/stubborn")
        time.sleep(600)
    os._exit(0)
while not os.path.exists("/tmp/stubborn"):
    time.sleep(0.02)
os.fork()
print("on", flush=True)
time.sleep(600)
"""

CAREFUL = """\
import time, numpy
from incamera_agent import keep, reloading
stream = keep("stream", object)
print("@WORD@", id(stream), int(numpy.arange(5).sum()), flush=True)
while not reloading():
    time.sleep(0.01)
"""


class Client:
    """A connection to an agent, for tests that are not coroutines. `frames` holds what it sends."""

    def __init__(self, done: Deployed, app: str, *words: str) -> None:
        self._session = done.session
        self.root = done.result.root
        self.frames: list[Frame] = []
        program = make_agent_program(self.root, app=app, user="test@host", command="test")
        held = replace(program, arguments=(*program.arguments, *words))
        self._guard = done.guard.remote_path
        self._session.call(self._begin(held))

    async def _begin(self, command: Program) -> None:
        self.run = SupervisedRun(self._session.transport, self._guard, command)
        self.agent = Agent(await self.run.start(), self._hear)

    async def _hear(self, frame: Frame) -> None:
        self.frames.append(frame)

    def hello(self) -> Frame:
        return self._session.call(self.agent.hello())

    def ask(self, type: str, **fields: Any) -> dict[str, Any]:
        return dict(self._session.call(self.agent.request(type, **fields)).message)

    def send(self, type: str, payload: bytes = b"", **fields: Any) -> None:
        self._session.call(self.agent.send(type, payload, **fields))

    def change(self, **files: str) -> None:
        for name, text in files.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.send("put", text.encode(), path=f"{name}.py", mode=0o644, sha256=digest, offset=0, more=False)
        self.ask("commit")

    def start(self, **fields: Any) -> dict[str, Any]:
        self.frames.clear()
        return self.ask("start", run="r", arguments=["app.py"], line_buffered=True, **fields)

    @property
    def output(self) -> str:
        return b"".join(frame.payload for frame in self.frames if frame.type == "stdout").decode()

    def await_output(self, text: str) -> str:
        wait_until(lambda: text in self.output, f"{text!r} is printed, not {self.frames}")
        return self.output

    def await_exit(self) -> dict[str, Any]:
        wait_until(lambda: any(frame.type == "exited" for frame in self.frames), f"it exits: {self.frames}")
        return dict(next(frame.message for frame in self.frames if frame.type == "exited"))

    def stop(self) -> dict[str, Any]:
        self.send("stop", run="r", grace=1)
        return self.await_exit()

    def close(self) -> None:
        async def close() -> None:
            with contextlib.suppress(AgentError, ConnectionLost):
                await self.agent.send("goodbye")
                await asyncio.wait({self.agent.closed}, timeout=10)
            await self.agent.close()
            await self.run.end()

        self._session.call(close())


@pytest.fixture(scope="module")
def deployed_numpy(
    camera: VirtualCamera, context: Context, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """A project with numpy, deployed to the camera."""
    folder = write_project(tmp_path_factory.mktemp("agent") / "app", name="agent-test", dependencies='["numpy"]')
    with deployed(context, load_project(folder), DeployRequest(device=camera.name)) as done:
        yield done


@pytest.fixture
def start_agent(deployed_numpy: Deployed, camera: VirtualCamera) -> Iterator[Callable[..., Client]]:
    """Starts an agent; it ends with the test, which then checks that nothing of it is left."""
    clients: list[Client] = []

    def start_one(*words: str) -> Client:
        clients.append(Client(deployed_numpy, "agent-test", *words))
        return clients[-1]

    yield start_one
    for client in clients:
        client.close()
    assert inside(camera, OURS).split() == ["0"]


@pytest.fixture
def client(start_agent: Callable[..., Client]) -> Client:
    """An agent with a fork server and a live folder."""
    client = start_agent()
    client.hello()
    client.ask("preload", imports=["numpy"])
    client.ask("open", **{"folder": None, "from": f"{client.root}/app"})
    return client


def test_edit_reloads_the_app_keeps_its_objects_and_needs_little_memory(client: Client) -> None:
    assert client.ask("memory")["agent"] <= 12 * MEBIBYTE
    client.change(app=CAREFUL.replace("@WORD@", "one"))
    assert client.start()["warm"] is True
    first = client.await_output(" 10\n").split()
    client.change(app=CAREFUL.replace("@WORD@", "two"))
    assert client.ask("reload", run="r")["kept"] == ["stream"]
    second = client.await_output("two").split()[3:]
    assert (first[0], second[0], first[1]) == ("one", "two", second[1])
    memory = client.ask("memory")
    assert memory["agent"] <= 12 * MEBIBYTE
    # A fork shares what the fork server has imported, if the kernel reports it.
    assert 0 < memory["run"] < memory["peak"]
    assert client.stop()["reason"] == "stopped"
    assert client.ask("memory")["agent"] <= 12 * MEBIBYTE


def test_edit_that_is_not_python_is_refused_and_the_app_goes_on(client: Client) -> None:
    client.change(app=CAREFUL.replace("@WORD@", "one"))
    client.start()
    client.await_output("one")
    client.send("put", b"print('new'\n", path="app.py", mode=0o644, sha256=None, offset=0, more=False)
    refused = client.ask("commit")
    assert (refused["type"], refused["path"], refused["line"]) == ("refused", "app.py", 1)
    assert client.ask("memory")["run"] is not None
    assert client.stop()["reason"] == "stopped"


@pytest.mark.matrix
def test_app_that_takes_all_memory_ends_alone_with_the_reason(client: Client, camera: VirtualCamera) -> None:
    client.change(app=EATER)
    client.start()
    end = client.await_exit()
    assert (end["reason"], end["signal"]) == ("out-of-memory", 9)
    # Agent, fork server and camera are as they were.
    assert client.ask("memory")["fork_server"] is not None
    client.change(app="import numpy; print('well', numpy.ones(3).sum())")
    assert client.start()["warm"] is True
    assert client.await_exit()["code"] == 0
    assert "well 3.0" in client.output
    assert inside(camera, "echo on").strip() == "on"


@pytest.mark.matrix
def test_memory_limit_ends_the_app(client: Client) -> None:
    client.change(app=EATER)
    client.start(memory_limit=80 * MEBIBYTE)
    end = client.await_exit()
    assert end["reason"] == "memory-limit"
    assert end["peak"] < 250 * MEBIBYTE


def test_stop_ends_forks_daemons_and_processes_that_ignore_sigterm(client: Client, camera: VirtualCamera) -> None:
    client.change(app=STUBBORN)
    client.start()
    client.await_output("on")
    daemon = inside(camera, "cat /tmp/stubborn; rm /tmp/stubborn").strip()
    assert inside(camera, f"test -d /proc/{daemon} && echo there").strip() == "there"
    end = client.stop()
    assert (end["reason"], end["signal"]) == ("stopped", 9)
    assert inside(camera, f"test -d /proc/{daemon} && echo there").strip() == ""


def test_second_host_is_refused_unless_it_takes_over(start_agent: Callable[..., Client]) -> None:
    first = start_agent()
    first.hello()
    second = start_agent()
    with pytest.raises(AgentError) as refused:
        second.hello()
    assert refused.value.kind == "busy"
    assert "test@host" in str(refused.value)
    third = start_agent("--take-over")
    third.hello()
    wait_until(
        lambda: any(frame.message.get("kind") == "taken-over" for frame in first.frames), "the first gets an error"
    )
    assert third.ask("memory")["agent"]


def test_console_evaluates_in_the_app(client: Client, deployed_numpy: Deployed) -> None:
    client.change(app="import time\nanswer = 42\nprint('on', flush=True)\ntime.sleep(600)\n")
    client.start()
    client.await_output("on")
    frames: list[Frame] = []

    async def on_frame(frame: Frame) -> None:
        frames.append(frame)

    async def look() -> tuple[Frame, Frame]:
        transport = deployed_numpy.session.transport
        guard = deployed_numpy.guard.remote_path
        channel = await transport.start(Program((guard, "connect", "/tmp/incamera-agent/agent-test/socket")))
        agent = Agent(channel, on_frame)
        await agent.hello()
        session = (await agent.request("attach")).message["session"]
        evaluated = await agent.request("eval", session=session, source="answer + 1")
        stacks = await agent.request("stacks")
        await agent.close()
        await channel.close()
        return evaluated, stacks

    evaluated, stacks = deployed_numpy.session.call(look())
    assert evaluated.message["error"] is None
    assert b"".join(frame.payload for frame in frames if frame.type == "output") == b"43\n"
    assert stacks.message["threads"][0]["frames"][-1]["line"] == 4
    assert client.stop()["reason"] == "stopped"


def test_lost_connection_leaves_no_process(
    camera: VirtualCamera, context: Context, deployed_numpy: Deployed, tmp_path: Path
) -> None:
    folder = write_project(tmp_path / "app", name="agent-test", dependencies='["numpy"]')
    with deployed(context, load_project(folder), DeployRequest(device=camera.name)) as done:
        client = Client(done, "agent-test")
        client.hello()
        client.ask("open", **{"folder": None, "from": f"{client.root}/app"})
        client.change(app=STUBBORN)
        client.start()
        client.await_output("on")
        done.session.call(done.session.transport.close())
        wait_until(lambda: inside(camera, OURS).split() == ["0"], "nothing of the agent is left")
        client.close()
        daemon = inside(camera, "cat /tmp/stubborn; rm /tmp/stubborn").strip()
        assert inside(camera, f"test -d /proc/{daemon} && echo there").strip() == ""
