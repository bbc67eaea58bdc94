"""Whatever a device sends is a value that can be shown, or an error about the device; never another exception.

Each target runs with few examples each time, and with many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.device.test_agent_messages import SOUND
from tests.unit.device.test_probe import TOLD

from incamera.console import Console
from incamera.device.agent import make_error
from incamera.device.agent_messages import check_message
from incamera.device.facts import parse_facts
from incamera.device.live_sync import Refused
from incamera.device.probe import parse_probe, parse_sections
from incamera.device.tracebacks import HostPaths
from incamera.edit.messages import MemoryMessages, describe_end, describe_refusal, exit_code
from incamera.errors import AgentError, DeviceError
from incamera.guard.answers import parse_answer
from incamera.observe.processes import describe_sample
from incamera.observe.stacks import read_threads
from incamera.runtime.launcher import protocol
from incamera.vapix.documents import nodes, parse_xml
from incamera.workflows.debug import parse_sockets
from incamera.workflows.test import rewrite_coverage
from incamera_agent.server import requests
from incamera_agent.wire.connection import RequestError
from incamera_agent.wire.frames import Decoder, Frame, FrameError, MessageError, encode

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
odd_bytes = st.binary(max_size=8) | st.sampled_from(
    [b"\n", b" ", b"-1", b"9" * 400, b"NaN", b"null", b"[", b'"', b"\\ud800", b"\xff", b"<!--", b"&x;", b"== machine\n"]
)


@st.composite
def damaged(draw: st.DrawFn, sound: bytes) -> bytes:
    """Return *sound* with some of its bytes replaced, removed, or more between them."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(1, 5))):
        first = draw(st.integers(0, len(data)))
        last = draw(st.integers(first, min(len(data), first + 20)))
        data[first:last] = draw(odd_bytes)
    return bytes(data)


def check_probe(told: bytes) -> None:
    try:
        facts = parse_probe(parse_sections(told.decode("utf-8", "replace")))
    except DeviceError:
        return
    assert parse_facts(json.loads(json.dumps(facts.to_json()))) == facts
    assert 0 <= facts.memory < 1 << 64


PROCESS = {
    "pid": 1,
    "parent": 0,
    "run": "r",
    "arguments": ["/lib/ld-linux.so.3", "--argv0", "python3"],
    "folder": "/",
    "state": "S",
    "ticks": 1,
    "threads": 1,
    "began": 1,
    "resident": 1,
    "peak": None,
    "proportional": 1,
    "files": 3,
}
SAMPLE = json.dumps({"kind": "sample", "uptime": 5, "total": 9, "free": 3, "processes": [PROCESS]}).encode()


def check_answer(line: bytes) -> None:
    try:
        answer = parse_answer(line)
    except ValueError:
        return
    if isinstance(answer, protocol.Sample):
        sample = describe_sample(answer)
        assert len(sample.usage_since(sample)) <= len(answer.processes)
        assert all(isinstance(process.command, str) for process in sample.processes)


def check_frames(stream: bytes) -> None:
    decoder, data = Decoder(maximum_json=200, maximum_payload=200), stream
    while True:
        try:
            assert all(isinstance(frame.message["type"], str) for frame in decoder.feed(data))
            return
        except MessageError:
            data = b""
        except FrameError:
            return


@st.composite
def agent_messages(draw: st.DrawFn) -> dict[str, Any]:
    message = dict(draw(st.sampled_from(SOUND)))
    for name in draw(st.lists(st.sampled_from(sorted(message.keys() - {"type"}) or ["x"]), max_size=3)):
        message[name] = draw(json_values)
    return message


def check_agent_message(message: dict[str, Any]) -> None:
    try:
        check_message(message)
    except AgentError:
        return
    kind = message["type"]
    if kind == "exited":
        assert isinstance(exit_code(message), int)
        assert describe_end(message)
    elif kind == "memory":
        MemoryMessages(Console(messages=io.StringIO())).on_message(message)
    elif kind == "error":
        assert str(make_error(Frame(message)))
    elif kind == "stacks":
        read_threads(message["threads"])
    elif kind == "refused":
        fields = {name: message.get(name) for name in ("line", "column", "text")}
        assert len(describe_refusal(Refused(path=message["path"], message="m", **fields), {})) < 10_000


REQUEST_FIELDS = (
    *("run", "arguments", "environment", "terminal", "memory_limit", "folder", "grace", "imports", "from"),
    *("offset", "mode", "sha256", "columns", "rows", "kind"),
)


def check_request(fields: dict[str, Any]) -> None:
    message = {"type": "start", **fields}
    checks: tuple[Callable[[dict[str, Any]], object], ...] = (
        *(requests.parse_start, requests.parse_reload, requests.parse_preload, requests.parse_open),
        *(requests.parse_put, requests.parse_size, lambda message: requests.parse_grace(message, 1.0)),
    )
    for check in checks:
        try:
            json.dumps(check(message))
        except RequestError:
            continue


XML = b'<?xml version="1.0" encoding="utf-8"?><a:r xmlns:a="u"><job jobid="1" result="OK">x</job><e/></a:r>'


def check_xml(data: bytes) -> None:
    try:
        root = parse_xml(data)
    except ValueError:
        return
    assert all(isinstance(node.get("jobid", ""), str) for node in nodes(root, "job"))


TABLE = (
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    b"   0: 0100007F:5BA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0\n"
)


def check_sockets(table: bytes) -> None:
    assert all(0 <= socket.port < 1 << 16 for socket in parse_sockets(table.decode("ascii", "replace")))


def make_coverage() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder, "data"))
        connection.execute("CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT, UNIQUE (path))")
        connection.executemany("INSERT INTO file (path) VALUES (?)", [(f"/r/app/{n}.py",) for n in range(50)])
        connection.commit()
        connection.close()
        return Path(folder, "data").read_bytes()


def check_coverage(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, ".coverage")
        file.write_bytes(data)
        Path(folder, "1.py").touch()
        try:
            rewrite_coverage(file, HostPaths(folders=("/r/app",), sources=(Path(folder),)))
        except DeviceError:
            return


FRAMES = encode({"type": "start", "run": "r"}) + encode({"type": "stdin"}, b"abc") + encode({"type": "stop"})
TARGETS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None], int]] = {
    "probe": (damaged(TOLD.encode()), check_probe, 40),
    "guard": (damaged(SAMPLE), check_answer, 60),
    "frames": (damaged(FRAMES), check_frames, 60),
    "agent messages": (agent_messages(), check_agent_message, 60),
    "agent requests": (st.dictionaries(st.sampled_from(REQUEST_FIELDS), json_values), check_request, 40),
    "xml": (damaged(XML), check_xml, 60),
    "sockets": (damaged(TABLE), check_sockets, 40),
    "coverage": (damaged(make_coverage()), check_coverage, 15),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(100, marks=pytest.mark.matrix)])
def test_any_answer_is_a_value_or_a_device_error(target: str, times: int) -> None:
    answers, check, examples = TARGETS[target]
    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples * times,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(answers)(check))()
