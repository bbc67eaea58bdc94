"""The host's end of the conversation with an agent: frames, answers, ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from incamera.device.agent import Agent
from incamera.device.live_sync import ChangedMeanwhile, Refused, Sent, plan_changes, send_changes
from incamera.errors import AgentError, ConnectionLost
from incamera.project.watching import AppFile, Snapshots
from incamera_agent.wire.frames import MAXIMUM_JSON_BYTES, MAXIMUM_PAYLOAD_BYTES, Decoder, Frame, encode


class Peer:
    """A channel whose other end is the test: what the host writes is parsed, `answer` says what comes back."""

    def __init__(self, answer: Callable[[Frame], list[bytes]] = lambda frame: []) -> None:
        self.frames: list[Frame] = []
        self._answer = answer
        self._parser = Decoder()
        self._coming: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.errors: asyncio.Queue[bytes] = asyncio.Queue()

    def say(self, data: bytes | Exception) -> None:
        self._coming.put_nowait(data)

    def end(self, complaint: bytes = b"") -> None:
        if complaint:
            self.errors.put_nowait(complaint)
        self.errors.put_nowait(b"")
        self._coming.put_nowait(b"")

    async def read(self, limit: int) -> bytes:
        data = await self._coming.get()
        if isinstance(data, Exception):
            raise data
        return data

    async def read_error(self, limit: int) -> bytes:
        return await self.errors.get()

    async def read_line(self) -> bytes:
        raise NotImplementedError

    async def write(self, data: bytes) -> None:
        for frame in self._parser.feed(data):
            self.frames.append(frame)
            for answer in self._answer(frame):
                self.say(answer)

    async def write_eof(self) -> None: ...

    def resize(self, columns: int, rows: int) -> None: ...

    async def wait(self) -> int:
        return 0

    async def close(self) -> None: ...


def talk(peer: Peer, conversation: Callable[[Agent], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        agent = Agent(peer, **options)
        try:
            async with asyncio.timeout(10):
                await conversation(agent)
        finally:
            await agent.close()

    asyncio.run(main())


def answering(**fields: Any) -> Callable[[Frame], list[bytes]]:
    return lambda frame: [encode({"id": frame.message["id"], **fields})] if "id" in frame.message else []


@pytest.mark.parametrize(
    "noise",
    [
        b"Traceback (most recent call last):\n",
        encode({"kind": 1}),
        b"\0\0\0\2\0\0\0\0{]",
        (MAXIMUM_JSON_BYTES + 1).to_bytes(4, "big") + bytes(4),
        bytes(4) + (MAXIMUM_PAYLOAD_BYTES + 1).to_bytes(4, "big"),
    ],
)
def test_bytes_that_are_no_frame_end_the_connection_with_an_error(noise: bytes) -> None:
    peer = Peer(lambda frame: [noise])

    async def conversation(agent: Agent) -> None:
        with pytest.raises(AgentError, match="not in the agent's protocol") as caught:
            await agent.hello()
        assert caught.value.kind == "protocol"
        with pytest.raises(AgentError):  # and it stays over
            await agent.send("stop")

    talk(peer, conversation)


def test_request_too_long_for_the_agent_is_an_error_and_the_connection_goes_on() -> None:
    peer = Peer(answering(type="evaluated"))

    async def conversation(agent: Agent) -> None:
        with pytest.raises(AgentError, match="`eval` is too long") as caught:
            await agent.request("eval", source="x" * MAXIMUM_JSON_BYTES)
        assert caught.value.kind == "request"
        with pytest.raises(AgentError, match="`put` is too long"):
            await agent.send("put", bytes(MAXIMUM_PAYLOAD_BYTES + 1))
        assert (await agent.request("eval", source="x")).type == "evaluated"

    talk(peer, conversation)


def test_answers_go_to_their_requests_and_other_frames_to_on_frame() -> None:
    told: list[str] = []

    async def on_frame(frame: Frame) -> None:
        told.append(frame.type)

    peer = Peer()

    async def conversation(agent: Agent) -> None:
        first, second = asyncio.create_task(agent.request("one")), asyncio.create_task(agent.request("two"))
        while len(peer.frames) < 2:
            await asyncio.sleep(0)
        peer.say(encode({"type": "stdout", "run": "1"}))
        for frame in reversed(peer.frames):
            peer.say(encode({"type": f"{frame.type}-done", "id": frame.message["id"]}))
        assert [(await first).type, (await second).type] == ["one-done", "two-done"]

    talk(peer, conversation, on_frame=on_frame)
    assert told == ["stdout"]


def test_error_of_the_agent_is_raised_with_its_kind_and_owner() -> None:
    peer = Peer(
        answering(
            type="error", kind="busy", message="anna@desk is there", hint="--take-over", owner={"who": "anna@desk"}
        )
    )

    async def conversation(agent: Agent) -> None:
        with pytest.raises(AgentError, match="anna@desk is there") as caught:
            await agent.hello()
        assert (caught.value.kind, caught.value.hint, caught.value.owner) == (
            "busy",
            "--take-over",
            {"who": "anna@desk"},
        )

    talk(peer, conversation)


def test_error_for_an_agent_that_ended_has_its_last_output() -> None:
    peer = Peer()

    async def conversation(agent: Agent) -> None:
        asked = asyncio.create_task(agent.hello())
        await asyncio.sleep(0)
        peer.end(b"python3: No module named incamera_agent\n")
        with pytest.raises(AgentError, match="No module named incamera_agent") as caught:
            await asked
        assert caught.value.kind == "ended"
        assert agent.closed.done()

    talk(peer, conversation)


def test_lost_connection_ends_every_request() -> None:
    peer = Peer()

    async def conversation(agent: Agent) -> None:
        asked = asyncio.create_task(agent.hello())
        await asyncio.sleep(0)
        peer.say(ConnectionLost("gone"))
        with pytest.raises(ConnectionLost):
            await asked

    talk(peer, conversation)


def test_request_without_an_answer_is_an_error() -> None:
    async def conversation(agent: Agent) -> None:
        with pytest.raises(AgentError, match="did not answer `commit`"):
            await agent.request("commit", seconds=0.05)

    talk(Peer(), conversation)


# The live folder


@pytest.fixture
def app(tmp_path: Any) -> Any:
    (tmp_path / "app.py").write_text("print(1)\n")
    (tmp_path / "tool.sh").write_text("#!/bin/sh\n")
    (tmp_path / "tool.sh").chmod(0o755)
    (tmp_path / "model.bin").write_bytes(bytes(range(256)) * 10_000)
    return tmp_path


def test_only_differences_are_planned(app: Any) -> None:
    wanted = Snapshots(app).take()
    there = {"app.py": wanted["app.py"].sha256, "tool.sh": wanted["tool.sh"].sha256, "old.py": "0" * 64}
    changes = plan_changes(wanted, there)
    # tool.sh has the same bytes there, but is not executable.
    assert changes.put == ("model.bin", "tool.sh")
    assert changes.delete == ("old.py",)


def test_large_files_are_sent_in_pieces(app: Any) -> None:
    wanted = Snapshots(app).take()
    peer = Peer(answering(type="committed", changed=3, seconds=0.1))

    async def conversation(agent: Agent) -> None:
        sent = await send_changes(agent, wanted, plan_changes(wanted, {"gone.py": "1"}))
        assert isinstance(sent, Sent)

    talk(peer, conversation)
    puts = [frame for frame in peer.frames if frame.type == "put"]
    model = [frame for frame in puts if frame.message["path"] == "model.bin"]
    assert [frame.message["offset"] for frame in model] == [0, 1 << 20, 2 << 20]
    assert [frame.message["more"] for frame in model] == [True, True, False]
    assert b"".join(frame.payload for frame in model) == (app / "model.bin").read_bytes()
    assert {frame.message["path"]: frame.message["mode"] for frame in puts} == {
        "app.py": 0o644,
        "model.bin": 0o644,
        "tool.sh": 0o755,
    }
    assert peer.frames[0].type == "delete"
    assert peer.frames[-1].type == "commit"


def test_file_that_changes_while_it_is_sent_is_not_committed(app: Any) -> None:
    wanted = Snapshots(app).take()
    (app / "app.py").write_text("print(2)\n")
    peer = Peer(answering(type="committed", changed=1, seconds=0.1))

    async def conversation(agent: Agent) -> None:
        with pytest.raises(ChangedMeanwhile):
            await send_changes(agent, wanted, plan_changes(wanted, {}))

    talk(peer, conversation)
    assert "commit" not in [frame.type for frame in peer.frames]
    assert peer.frames[-1].type == "discard"


def test_refused_batch_says_which_file_and_line(app: Any) -> None:
    wanted = Snapshots(app).take()
    peer = Peer(
        answering(type="refused", path="app.py", line=1, column=3, text="print(1", message="'(' was never closed")
    )

    async def conversation(agent: Agent) -> None:
        refused = await send_changes(agent, wanted, plan_changes(wanted, {}))
        assert isinstance(refused, Refused)
        assert (refused.path, refused.line, refused.column) == ("app.py", 1, 3)

    talk(peer, conversation)


def test_snapshot_notices_a_change_that_keeps_size_and_time(app: Any) -> None:
    import os

    snapshots = Snapshots(app)
    before = snapshots.take()
    status = (app / "app.py").stat()
    (app / "app.py").write_text("print(7)\n")
    os.utime(app / "app.py", ns=(status.st_atime_ns, status.st_mtime_ns))
    after = snapshots.take()
    assert isinstance(after["app.py"], AppFile)
    assert after["app.py"].sha256 != before["app.py"].sha256
    assert after["model.bin"] == before["model.bin"]
