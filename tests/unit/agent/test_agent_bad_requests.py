"""What is not in the protocol is refused, and the agent goes on: nothing that arrives may end it, or make it grow."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from tests.waiting import wait_until

from incamera_agent.wire.frames import HEAD_BYTES, encode

from .agent_process import FOREVER, AgentProcess

NAN, HUGE = float("nan"), 10**400
NONSENSE = [
    *(b"[]", b'{"type":"reloaded"}', b'{"type":"reloaded","number":[]}', b'{"type":"stacks","client":{}}'),
    *(b'{"type":"evaluated","session":[]}', b'{"type":"exited","session":1}', b"[" * 10_000),
]
START: dict[str, Any] = {"run": "r", "arguments": ["app.py"], "environment": {}, "terminal": None}
TERMINAL = {"kind": "vt100", "columns": 80, "rows": 24}

BAD_STARTS: list[dict[str, Any]] = [
    {"run": None},
    {"run": []},
    {"run": ""},
    {"run": "x" * 1000},
    {"arguments": None},
    {"arguments": "app.py"},
    {"arguments": [1]},
    {"arguments": ["a\0b"]},
    {"arguments": ["\ud800"]},
    {"environment": []},
    {"environment": "A=1"},
    {"environment": {"A": 1}},
    {"environment": {"A=B": "1"}},
    {"environment": {"": "1"}},
    {"environment": {"A": "\0"}},
    {"terminal": 1},
    {"terminal": "vt100"},
    {"terminal": {**TERMINAL, "columns": -1}},
    {"terminal": {**TERMINAL, "rows": HUGE}},
    {"terminal": {**TERMINAL, "rows": "24"}},
    {"terminal": {**TERMINAL, "kind": 1}},
    {"memory_limit": "200M"},
    {"memory_limit": -1},
    {"memory_limit": 1.5},
    {"memory_limit": HUGE},
    {"memory_limit": True},
    {"folder": 1},
    {"folder": "/a\0b"},
]
BAD_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("nonsense", {}),
    ("preload", {}),
    ("preload", {"imports": "json"}),
    ("preload", {"imports": [None]}),
    ("preload", {"imports": [], "environment": {"A": []}}),
    ("open", {}),
    ("open", {"from": 1}),
    ("open", {"from": "/nowhere", "folder": {}}),
    ("put", {}),
    ("put", {"path": ["app.py"]}),
    ("put", {"path": "app.py", "mode": HUGE}),
    ("put", {"path": "app.py", "mode": -1}),
    ("put", {"path": "app.py", "offset": -5}),
    ("put", {"path": "app.py", "offset": 1.5}),
    ("put", {"path": "app.py", "sha256": 1}),
    ("put", {"path": "\ud800"}),
    ("put", {"path": "\ud800.py"}),
    ("delete", {}),
    ("delete", {"path": "\ud800"}),
    ("delete", {"path": {}}),
    ("delete", {"path": "../../etc/passwd"}),
    ("stdin", {"run": {}}),
    ("resize", {"run": "r", "columns": -1, "rows": 24}),
    ("resize", {"run": "r", "columns": 80, "rows": 1 << 16}),
    ("resize", {"run": "r", "columns": None, "rows": [1]}),
    ("signal", {"run": "r"}),
    ("signal", {"run": "r", "name": ["KILL"]}),
    ("signal", {"run": "r", "name": "_DFL"}),
    ("stop", {"run": "r", "grace": "soon"}),
    ("stop", {"run": "r", "grace": -1}),
    ("stop", {"run": "r", "grace": HUGE}),
    ("stop", {"run": {}}),
    ("reload", {}),
    ("reload", {"run": "r", "grace": None}),
    ("reload", {"run": "r", "arguments": [1]}),
    ("reload", {"run": "r", "environment": [1]}),
    ("attach", {"run": 1}),
    ("detach", {}),
    ("detach", {"session": []}),
    ("eval", {"session": 99, "source": "1"}),
    ("complete", {"session": {}, "text": "a"}),
    ("interrupt", {}),
    ("stacks", {"run": []}),
    ("hello", {"protocol": HUGE}),
]


@pytest.mark.starts_processes
def test_requests_of_wrong_types_are_refused_and_the_app_runs_on(agent: AgentProcess) -> None:
    agent.run_until_on()
    requests = [("start", {**START, "run": "other", **bad}) for bad in BAD_STARTS] + BAD_REQUESTS
    for kind, fields in requests[:-1]:  # a hello of another protocol ends the connection, and is tried below
        agent.send(kind, id=kind, **fields)
        error = agent.wait_for("error")
        assert error["id"] == kind, (fields, error)
        assert error["kind"] in ("request", "no-run", "open", "put"), (fields, error)
    agent.send("memory", id={"deep": [1]})
    assert "id" not in agent.wait_for("memory")
    assert agent.ask("stacks", "stacks")["threads"]
    agent.send("commit")  # a bad piece breaks the batch that it is in, and no other
    assert agent.wait_for("error")["kind"] == "put"
    assert agent.stop()["reason"] == "stopped"
    assert agent.run("print('again')")["code"] == 0


@pytest.mark.starts_processes
def test_frames_that_are_no_messages_are_refused_and_the_agent_goes_on(agent: AgentProcess) -> None:
    deep = b'{"type":"memory","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    long = encode({"type": "eval", "source": "x" * (8 << 20)})
    for text in (
        b"",
        b"[]",
        b"\xff\xfe",
        b'{"type":"stop","grace":NaN}',
        b'{"type":"stop","grace":1e999}',
        b'{"type":"stop","type":"start"}',
        deep,
        long,
    ):
        data = text if text is long else len(text).to_bytes(4, "big") + bytes(HEAD_BYTES - 4) + text
        agent._write(data)
        assert agent.wait_for("error")["kind"] == "request"
    assert agent.run("print('again')")["code"] == 0


@pytest.mark.starts_processes
def test_floods_of_requests_do_not_make_the_agent_grow(agent: AgentProcess) -> None:
    # The app holds Python's lock, so that nothing in its process reads what the agent passes on.
    agent.run_until_on("print('on', flush=True)\nimport re\nre.match(r'(a+)+b', 'a' * 60)\n")
    client = agent.connect()
    before = agent.resident_bytes()
    client.ask("attach", "attached")
    source = "x" * 200_000
    for number in range(150):
        client.send("eval", session=1, source=source)
        agent.send("delete", path=f"{'d' * 200}/{number}")
        agent.send("delete", path=f"{number}{source}")
        client.send("stacks")
    for _ in range(40):
        client.send("attach")
    client.send("memory", id="last")
    wait_until(lambda: any(answer.get("id") == "last" for answer in client.received("memory")), "all is answered")
    kinds = {message["kind"] for message in client.received("error")}
    assert kinds == {"flood"}
    assert [agent.wait_for("error")["kind"] for _ in range(150)] == ["put"] * 150
    assert agent.resident_bytes() - before < 16 << 20
    agent.send("signal", run="r", name="KILL")
    assert agent.wait_for("exited")["signal"] == 9


@pytest.mark.starts_processes
def test_more_clients_than_the_agent_has_room_for_are_turned_away(agent: AgentProcess) -> None:
    clients = []
    for _ in range(40):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(agent.folder / "app" / "socket"))
        clients.append(client)
    for client in clients[16:]:
        assert client.recv(1) == b""
    for client in clients:
        client.close()
    assert agent.run("print('on')")["code"] == 0


@pytest.mark.starts_processes
def test_app_that_writes_nonsense_to_its_control_line_does_not_end_the_agent(agent: AgentProcess) -> None:
    agent.run_until_on(
        "import os, struct, time\n"
        "line = next(n for n in range(200, 260) if os.path.exists(f'/proc/self/fd/{n}')\n"
        "            and os.readlink(f'/proc/self/fd/{n}').startswith('socket:'))\n"
        "def send(text): os.write(line, struct.pack('>II', len(text), 0) + text)\n"
        f"for text in {NONSENSE!r}: send(text)\n"
        "print('on', flush=True)\n"
        "input()\n"
        "os.write(line, bytes([255] * 100))\n"
        "time.sleep(600)\n"
    )
    assert agent.ask("memory", "memory")["run"]
    # After bytes that are no frame, the line is closed, and what is left of the agent in the app ends the app.
    agent.send("stdin", b"\n", run="r")
    assert agent.wait_for("exited")["signal"] == 15
    assert agent.run("print('again')")["code"] == 0


@pytest.mark.starts_processes
def test_change_whose_name_no_file_can_have_does_not_hold_up_what_comes_after_it(agent: AgentProcess) -> None:
    agent.send("put", b"1", path="\ud800")
    agent.send("commit")
    assert [agent.wait_for("error")["kind"] for _ in range(2)] == ["put", "put"]
    agent.send_change({"app.py": "print('new')"})
    started = agent.start(after_commit=True)
    assert started["run"] == "r"
    agent.wait_for("committed")
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"new\n"


@pytest.mark.starts_processes
def test_answer_of_an_app_that_is_nested_as_deep_as_python_reads_does_not_end_the_agent(agent: AgentProcess) -> None:
    agent.run_until_on(
        "import os, struct\n"
        "line = next(n for n in range(200, 260) if os.path.exists(f'/proc/self/fd/{n}')\n"
        "            and os.readlink(f'/proc/self/fd/{n}').startswith('socket:'))\n"
        "print('on', flush=True)\n"
        "input()\n"
        "for depth in range(900, 1000):\n"
        "    nested = b'[' * depth + b']' * depth\n"
        '    text = b\'{"type":"output","session":1,"x":\' + nested + b\'}\'\n'
        "    os.write(line, struct.pack('>II', len(text), 0) + text)\n"
        "print('sent', flush=True)\n"
        "input()\n"
    )
    agent.ask("attach", "attached")
    agent.send("stdin", b"\n", run="r")
    agent.wait_for_output(b"sent")
    assert agent.ask("memory", "memory")["run"]
    assert agent.stop()["reason"] == "stopped"


@pytest.mark.starts_processes
def test_seventeenth_run_is_refused(agent: AgentProcess) -> None:
    agent.change({"app.py": FOREVER})
    for number in range(16):
        agent.start(run=f"r{number}")
    agent.send("start", b"", **{**START, "run": "one more"})
    assert agent.wait_for("error")["kind"] == "start"
