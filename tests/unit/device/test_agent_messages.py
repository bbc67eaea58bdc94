"""What an agent sends is checked once: no field of another type reaches the rest of the tool."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tests.unit.device.test_agent_client import Peer, answering, talk

from incamera.device.agent_messages import check_answer, check_message
from incamera.errors import AgentError
from incamera_agent.wire.frames import Frame

HUGE = 10**400
THREAD = {"name": "MainThread", "main": True, "frames": [{"file": "a.py", "line": 1, "function": "f"}]}
SOUND: list[dict[str, Any]] = [
    {"type": "hello", "protocol": 1, "agent": "0.1", "python": "3.11.2", "pid": 7},
    {"type": "error", "kind": "busy", "message": "x", "hint": None, "owner": {"user": "a", "command": "b", "since": 1}},
    {"type": "preloaded", "imports": {"numpy": 0.5}, "failed": {"cv2": "ImportError"}, "rss": 1},
    {"type": "opened", "folder": "/tmp/live", "files": {"app.py": "00" * 32}},
    {"type": "committed", "changed": 1, "seconds": 0.1},
    {"type": "refused", "path": "a.py", "line": 1, "column": 1, "text": "x\0", "message": "m"},
    {"type": "started", "run": "1", "pid": 7, "warm": True},
    {"type": "restarted", "run": "1", "pid": 7, "warm": False, "cold_reason": "no"},
    {"type": "reloaded", "run": "1", "kept": ["camera"]},
    {"type": "memory", "agent": 1, "fork_server": None, "run": 2, "free": 3, "peak": None},
    {"type": "attached", "session": 1, "run": "1", "pid": 7, "folder": "/tmp/live"},
    {"type": "evaluated", "more": False, "error": None, "session": 1},
    {"type": "completions", "matches": ["os"]},
    {"type": "stacks", "threads": [THREAD]},
    {"type": "stdout", "run": "1"},
    {"type": "output", "session": 1},
    {"type": "consumed", "run": "1", "size": 10},
    {"type": "exited", "run": "1", "code": None, "signal": 9, "seconds": 1.5, "peak": 1, "killed": 0, "reason": None},
    {"type": "log", "level": "warning", "text": "x\0"},
    {"type": "of a newer agent", "what": []},
]


@pytest.mark.parametrize("message", SOUND, ids=lambda message: message["type"])
def test_messages_of_an_agent_pass(message: dict[str, Any]) -> None:
    check_message(message)


@pytest.mark.parametrize(
    "message",
    [
        {"type": "hello", "protocol": "1"},
        {"type": "error", "message": []},
        {"type": "error", "owner": "anna"},
        {"type": "error", "owner": {"since": -1}},
        {"type": "preloaded", "imports": []},
        {"type": "preloaded", "failed": {"x": 1}},
        {"type": "preloaded", "rss": 1.5},
        {"type": "opened", "folder": "/a"},
        {"type": "opened", "folder": "/a\0b", "files": {}},
        {"type": "opened", "folder": "/a\ud800", "files": {}},
        {"type": "opened", "folder": "/a", "files": {"a": "../" * 21 + "x"}},
        {"type": "opened", "folder": "/a", "files": [["a", "00"]]},
        {"type": "refused", "message": "m"},
        {"type": "refused", "path": "a", "line": "1"},
        {"type": "refused", "path": "a", "column": HUGE},
        {"type": "restarted"},
        {"type": "reloaded", "kept": "camera"},
        {"type": "reloaded", "kept": [None]},
        {"type": "memory", "free": -1},
        {"type": "memory", "run": HUGE},
        {"type": "memory", "fork_server": True},
        {"type": "attached"},
        {"type": "attached", "session": "1"},
        {"type": "completions", "matches": [1]},
        {"type": "stacks"},
        {"type": "stacks", "threads": {}},
        {"type": "stacks", "threads": [{**THREAD, "frames": None}]},
        {"type": "stacks", "threads": [{**THREAD, "frames": [{"file": "a", "line": 1}]}]},
        {"type": "stacks", "threads": [{**THREAD, "frames": [{"file": "a", "line": -1, "function": "f"}]}]},
        {"type": "consumed"},
        {"type": "consumed", "size": -5},
        {"type": "consumed", "size": 1.0},
        {"type": "exited", "code": "0"},
        {"type": "exited", "seconds": math.nan},
        {"type": "exited", "seconds": math.inf},
        {"type": "exited", "signal": -9},
        {"type": "log", "text": 1},
    ],
    ids=str,
)
def test_message_with_a_field_of_another_type_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(AgentError, match="protocol") as error:
        check_message(message)
    assert error.value.kind == "protocol"


def test_answer_to_another_request_is_refused() -> None:
    check_answer("start", Frame({"type": "started"}))
    check_answer("start", Frame({"type": "error"}))
    with pytest.raises(AgentError, match="`start` with `evaluated`"):
        check_answer("start", Frame({"type": "evaluated"}))


@pytest.mark.parametrize("id", [None, [], {}, 1.0, True, "1", HUGE])
def test_frame_with_an_odd_id_answers_no_request(id: Any) -> None:
    """`True` is 1 for a dict, too."""
    peer = Peer(lambda frame: [answering(type="memory")(Frame({"id": id}))[0], *answering(type="memory", run=7)(frame)])

    async def conversation(agent: Any) -> None:
        assert (await agent.request("memory")).message["run"] == 7

    talk(peer, conversation)
