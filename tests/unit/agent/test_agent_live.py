"""The live folder: a batch is applied as a whole or not at all, and old byte-code is never used for new source."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera_agent.server.live import LiveFolder, Refused
from incamera_agent.wire.loop import EventLoop

if TYPE_CHECKING:
    from .agent_process import AgentProcess

FILES = {"app.py": "import helper\nprint(helper.WORD)\n", "helper.py": "WORD = 'old'\n", "data/list.txt": "x"}


def digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    app = tmp_path / "bundle" / "app"
    for path, text in FILES.items():
        (app / path).parent.mkdir(parents=True, exist_ok=True)
        (app / path).write_text(text)
    return app


@pytest.fixture
def live(tmp_path: Path, bundle: Path) -> LiveFolder:
    """A live folder without an agent. Changes of `.py` files need an agent: a child of it checks them."""
    live = LiveFolder(EventLoop(), str(tmp_path / "live"), str(tmp_path / "live.new"))
    live.fill(str(bundle), hashed=True)
    return live


def put(live: LiveFolder, path: str, text: str, **more: Any) -> None:
    live.put({"path": path, "mode": 0o644, "sha256": digest(text), **more}, text.encode())


def commit(live: LiveFolder) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    live.commit(answers.append)
    return answers[0]


def test_live_folder_is_a_copy_of_the_bundles_and_its_files_are_listed(tmp_path: Path, bundle: Path) -> None:
    (bundle / "__pycache__").mkdir()
    (bundle / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"code")
    live = LiveFolder(EventLoop(), str(tmp_path / "live"), str(tmp_path / "live.new"))
    assert live.fill(str(bundle), hashed=True) == {path: digest(text) for path, text in FILES.items()}
    assert live.fill(str(bundle), hashed=False) == dict.fromkeys(FILES)
    for path, text in FILES.items():
        assert (tmp_path / "live" / path).read_text() == text
    assert (tmp_path / "live" / "__pycache__" / "app.cpython-311.pyc").exists()


def test_changes_leave_the_bundle_as_it_is(live: LiveFolder, tmp_path: Path, bundle: Path) -> None:
    put(live, "data/list.txt", "new")
    live.delete("helper.py")
    commit(live)
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "new"
    assert not (tmp_path / "live" / "helper.py").exists()
    assert {path: (bundle / path).read_text() for path in FILES} == FILES


def test_without_hard_links_small_files_are_copied_and_large_ones_linked(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_link(*args: Any, **more: Any) -> None:
        raise OSError(errno.EXDEV, "other file system")

    (bundle / "model.bin").write_bytes(bytes(1 << 20))
    (bundle / "tool").write_text("#!/bin/sh\n")
    (bundle / "tool").chmod(0o755)
    monkeypatch.setattr(os, "link", no_link)
    LiveFolder(EventLoop(), str(tmp_path / "live"), str(tmp_path / "live.new")).fill(str(bundle), hashed=False)
    assert (tmp_path / "live" / "model.bin").readlink() == bundle / "model.bin"
    assert not (tmp_path / "live" / "app.py").is_symlink()
    assert os.access(tmp_path / "live" / "tool", os.X_OK)


def test_batch_is_invisible_until_it_is_committed(live: LiveFolder, tmp_path: Path) -> None:
    put(live, "data/list.txt", "new")
    put(live, "data/more.txt", "more")
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "x"
    assert not (tmp_path / "live" / "data" / "more.txt").exists()
    assert commit(live)["changed"] == 2
    assert (tmp_path / "live" / "data" / "more.txt").read_text() == "more"
    assert not list((tmp_path / "live.new").iterdir())


def test_file_may_arrive_in_pieces(live: LiveFolder, tmp_path: Path) -> None:
    live.put({"path": "big", "mode": 0o755, "sha256": digest("onetwo"), "more": True}, b"one")
    live.put({"path": "big", "mode": 0o755, "sha256": digest("onetwo"), "offset": 3}, b"two")
    commit(live)
    assert (tmp_path / "live" / "big").read_text() == "onetwo"
    assert os.access(tmp_path / "live" / "big", os.X_OK)


@pytest.mark.parametrize(
    "pieces",
    [
        [{"offset": 0, "more": True}],
        [{"offset": 0, "more": True}, {"offset": 5}],
        [{"offset": 3}],
        [{"offset": 0, "sha256": digest("other")}],
    ],
    ids=["no end", "a gap", "no beginning", "other bytes"],
)
def test_batch_with_a_damaged_file_is_not_applied(
    live: LiveFolder, tmp_path: Path, pieces: list[dict[str, Any]]
) -> None:
    put(live, "data/list.txt", "new")
    for piece in pieces:
        try:
            live.put({"path": "big", "mode": 0o644, "sha256": digest("one"), **piece}, b"one")
        except Refused as error:
            live.break_batch(None, str(error))
    answer = commit(live)
    assert (answer["type"], answer["kind"]) == ("error", "put")
    assert "big" in answer["message"]
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "x"
    assert not list((tmp_path / "live.new").iterdir())
    put(live, "data/list.txt", "newer")
    assert commit(live)["type"] == "committed"


def test_batch_that_fails_half_way_leaves_nothing_staged(
    live: LiveFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(live, "a.txt", "first")
    put(live, "b.txt", "second")
    replace = os.replace

    def fail(source: str, target: str) -> None:
        if target.endswith("b.txt"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    # Not `put`: some of it is applied, so the host sends all of it again.
    assert commit(live)["kind"] == "commit"
    assert (tmp_path / "live" / "a.txt").exists()
    assert not list((tmp_path / "live.new").iterdir())


def test_batch_that_cannot_be_checked_is_not_applied(
    live: LiveFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", fail)
    before = len(list(Path("/proc/self/fd").iterdir()))
    put(live, "app.py", "print('new')\n")
    assert commit(live)["kind"] == "put"
    assert "helper" in (tmp_path / "live" / "app.py").read_text()
    assert not list((tmp_path / "live.new").iterdir())
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_discarded_batch_is_not_applied(live: LiveFolder, tmp_path: Path) -> None:
    put(live, "data/list.txt", "new")
    live.delete("app.py")
    live.discard()
    assert commit(live)["changed"] == 0
    assert (tmp_path / "live" / "app.py").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a//b", "a\0b", "__pycache__/app.pyc", "."])
def test_path_outside_the_folder_is_refused(live: LiveFolder, path: str) -> None:
    with pytest.raises(Refused):
        put(live, path, "x")
    with pytest.raises(Refused):
        live.delete(path)


def test_link_made_by_the_app_is_replaced_and_not_followed(live: LiveFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (tmp_path / "live" / "link").symlink_to(outside)
    put(live, "link/file", "ours")
    commit(live)
    assert (outside / "file").read_text() == "theirs"
    assert (tmp_path / "live" / "link" / "file").read_text() == "ours"


def test_file_may_replace_a_folder_and_the_other_way_round(live: LiveFolder, tmp_path: Path) -> None:
    live.delete("data/list.txt")
    put(live, "data", "a file now")
    put(live, "helper.py.d/inner", "a folder now")
    commit(live)
    assert (tmp_path / "live" / "data").read_text() == "a file now"
    live.delete("helper.py.d/inner")
    put(live, "data/list.txt", "a folder again")
    commit(live)
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "a folder again"
    assert not (tmp_path / "live" / "helper.py.d").exists()


@pytest.mark.starts_processes
def test_edits_of_the_same_size_within_a_second_are_all_run(agent: AgentProcess) -> None:
    agent.change({"app.py": FILES["app.py"], "helper.py": "WORD = 'one'\n"})
    for word in ("one", "two", "six", "ten"):
        agent.change({"helper.py": f"WORD = '{word}'\n"})
        agent.start(environment={"PYTHONUNBUFFERED": ""})
        agent.wait_for("exited")
    assert agent.output["stdout"] == b"one\ntwo\nsix\nten\n"


@pytest.mark.starts_processes
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nprint('new'\n", 2, "SyntaxError"),
        ("if True:\nprint(1)\n", 2, "IndentationError"),
        ("x = '\0'\n", None, "null bytes"),
        ("# coding: nonsense\n", None, "SyntaxError"),
        (b"x = '\xff'\n", 1, "SyntaxError"),
    ],
    ids=["syntax", "indentation", "null", "coding", "encoding"],
)
def test_invalid_python_is_refused_and_the_old_app_stays(
    agent: AgentProcess, text: str | bytes, line: int | None, message: str
) -> None:
    before = (agent.live / "app.py").read_text()
    agent.send_change({"other.py": "pass", "app.py": text})
    refused = agent.wait_for("refused")
    assert (refused["path"], message in refused["message"]) == ("app.py", True), refused
    if line is not None:
        assert refused["line"] == line
        assert refused["text"].strip() in (text if isinstance(text, str) else text.decode("utf-8", "replace"))
    assert (agent.live / "app.py").read_text() == before
    assert not (agent.live / "other.py").exists()
    assert agent.run("print('on')")["code"] == 0


@pytest.mark.starts_processes
def test_agent_answers_while_many_files_are_checked(agent: AgentProcess) -> None:
    files: dict[str, str | bytes | None] = {f"part{number}.py": f"x = {list(range(300))}\n" for number in range(300)}
    agent.send_change(files)
    assert agent.ask("memory", "memory")["free"]
    assert agent.wait_for("committed")["changed"] == 300


@pytest.mark.starts_processes
def test_agent_does_not_grow_by_compiling(agent: AgentProcess) -> None:
    before = agent.ask("memory", "memory")["agent"]
    agent.change({"app.py": "".join(f"def f{number}(a, b=[1, 2]): return a + {number}\n" for number in range(5000))})
    assert agent.ask("memory", "memory")["agent"] - before < 3 << 20


@pytest.mark.starts_processes
def test_unfinished_file_of_a_host_that_leaves_changes_nothing(start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent()
    agent.begin()
    before = {path.name: path.read_bytes() for path in agent.live.iterdir()}
    agent.send("put", b"print(", path="app.py", mode=0o644, more=True)
    agent.ask("memory", "memory")
    assert {path.name: path.read_bytes() for path in agent.live.iterdir()} == before
    assert agent.close() == 0
    assert not agent.folder.exists()


# Requests that the host sends behind a commit, without waiting for its answer


def send_behind_change(agent: AgentProcess, files: dict[str, str | bytes | None]) -> None:
    agent.send_change(files)
    agent.send("start", run="r", id=7, arguments=["app.py"], environment={}, terminal=None, after_commit=True)
    agent.send("stdin", b"typed", run="r")
    agent.send("stdin", run="r")


@pytest.mark.starts_processes
def test_start_behind_a_commit_runs_the_new_code_and_gets_the_input_behind_it(agent: AgentProcess) -> None:
    agent.begin()
    send_behind_change(agent, {"app.py": "import sys\nprint('new', sys.stdin.read())\n"})
    assert agent.wait_for("committed")["changed"] == 1
    assert agent.wait_for("exited")["code"] == 0
    assert agent.output["stdout"] == b"new typed\n"


@pytest.mark.starts_processes
@pytest.mark.parametrize("change", [{"app.py": "print(\n"}, {"app.py": "print('new')\n", "../outside": "x"}])
def test_start_behind_a_commit_that_fails_is_refused(
    agent: AgentProcess, change: dict[str, str | bytes | None]
) -> None:
    agent.begin()
    agent.change({"app.py": "print('old')\n"})
    send_behind_change(agent, change)
    while (error := agent.wait_for("error")).get("id") != 7:
        pass
    assert (error["kind"], error["message"]) == ("start", "the change before it was not applied")
    agent.start()
    agent.wait_for("exited")
    assert agent.output["stdout"] == b"old\n"


@pytest.mark.starts_processes
def test_large_file_behind_a_start_that_waits_arrives_and_takes_little_memory(agent: AgentProcess) -> None:
    agent.begin()
    before = peak_bytes(agent)
    agent.send_change({f"module{number}.py": "NUMBER = 1\n" * 5000 for number in range(40)})
    agent.send("start", run="r", arguments=["app.py"], environment={}, terminal=None, after_commit=True)
    pieces, piece = 200, bytes(1 << 17)
    for number in range(pieces):
        more = number < pieces - 1
        agent.send("put", piece, path="large", mode=0o644, offset=number * len(piece), more=more, sha256=None)
    agent.wait_for("committed")
    agent.wait_for("started")
    agent.ask("commit", "committed")
    assert (agent.live / "large").stat().st_size == pieces * len(piece)
    assert peak_bytes(agent) - before < 6 << 20


def peak_bytes(agent: AgentProcess) -> int:
    """Return the most memory that the agent has had at a time."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{agent.process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10
