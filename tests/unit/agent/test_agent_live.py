"""The live folder: all of a batch or nothing of it, and never what is old taken for what is new."""

from __future__ import annotations

import errno
import hashlib
import os
import time
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
    """A live folder, without an agent: what is checked by a child isn't Python."""
    live = LiveFolder(EventLoop(), str(tmp_path / "live"), str(tmp_path / "live.new"))
    live.fill(str(bundle), hashed=True)
    return live


def put(live: LiveFolder, path: str, text: str, **more: Any) -> None:
    live.put({"path": path, "mode": 0o644, "sha256": digest(text), **more}, text.encode())


def commit(live: LiveFolder) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    live.commit(answers.append)
    return answers[0]


def test_it_begins_as_the_bundles_app_and_says_what_it_has(tmp_path: Path, bundle: Path) -> None:
    (bundle / "__pycache__").mkdir()
    (bundle / "__pycache__" / "app.cpython-311.pyc").write_bytes(b"code")
    live = LiveFolder(EventLoop(), str(tmp_path / "live"), str(tmp_path / "live.new"))
    assert live.fill(str(bundle), hashed=True) == {path: digest(text) for path, text in FILES.items()}
    assert live.fill(str(bundle), hashed=False) == dict.fromkeys(FILES)
    for path, text in FILES.items():
        assert (tmp_path / "live" / path).read_text() == text
    assert (tmp_path / "live" / "__pycache__" / "app.cpython-311.pyc").exists()


def test_the_bundle_is_never_written_to(live: LiveFolder, tmp_path: Path, bundle: Path) -> None:
    put(live, "data/list.txt", "new")
    live.delete("helper.py")
    commit(live)
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "new"
    assert not (tmp_path / "live" / "helper.py").exists()
    assert {path: (bundle / path).read_text() for path in FILES} == FILES


def test_where_links_cannot_be_small_files_are_copied_and_large_ones_stay(
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


def test_nothing_is_seen_before_the_batch_is_whole(live: LiveFolder, tmp_path: Path) -> None:
    put(live, "data/list.txt", "new")
    put(live, "data/more.txt", "more")
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "x"
    assert not (tmp_path / "live" / "data" / "more.txt").exists()
    assert commit(live)["changed"] == 2
    assert (tmp_path / "live" / "data" / "more.txt").read_text() == "more"
    assert not list((tmp_path / "live.new").iterdir())


def test_a_file_may_come_in_pieces(live: LiveFolder, tmp_path: Path) -> None:
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
def test_a_batch_with_a_damaged_file_is_dropped(live: LiveFolder, tmp_path: Path, pieces: list[dict[str, Any]]) -> None:
    put(live, "data/list.txt", "new")
    for piece in pieces:
        try:
            live.put({"path": "big", "mode": 0o644, "sha256": digest("one"), **piece}, b"one")
        except Refused as error:
            live.break_batch(str(error))
    answer = commit(live)
    assert (answer["type"], answer["kind"]) == ("error", "put")
    assert "big" in answer["message"]
    assert (tmp_path / "live" / "data" / "list.txt").read_text() == "x"
    assert not list((tmp_path / "live.new").iterdir())
    put(live, "data/list.txt", "newer")
    assert commit(live)["type"] == "committed"


def test_of_a_batch_that_fails_half_way_nothing_is_left_over(
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
    # Not as where nothing of it is there: whoever sent it has to send all of it again.
    assert commit(live)["kind"] == "commit"
    assert (tmp_path / "live" / "a.txt").exists()
    assert not list((tmp_path / "live.new").iterdir())


def test_a_batch_that_cannot_be_checked_is_dropped(
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


def test_a_batch_can_be_forgotten(live: LiveFolder, tmp_path: Path) -> None:
    put(live, "data/list.txt", "new")
    live.delete("app.py")
    live.discard()
    assert commit(live)["changed"] == 0
    assert (tmp_path / "live" / "app.py").exists()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a//b", "a\0b", "__pycache__/app.pyc", "."])
def test_nothing_is_written_outside(live: LiveFolder, path: str) -> None:
    with pytest.raises(Refused):
        put(live, path, "x")
    with pytest.raises(Refused):
        live.delete(path)


def test_a_link_that_the_app_has_made_leads_nowhere(live: LiveFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("theirs")
    (tmp_path / "live" / "link").symlink_to(outside)
    put(live, "link/file", "ours")
    commit(live)
    assert (outside / "file").read_text() == "theirs"
    assert (tmp_path / "live" / "link" / "file").read_text() == "ours"


def test_files_and_folders_may_change_places(live: LiveFolder, tmp_path: Path) -> None:
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
def test_two_edits_within_a_second_and_of_one_size_are_two(agent: AgentProcess) -> None:
    agent.change({"app.py": FILES["app.py"], "helper.py": "WORD = 'one'\n"})
    for word in ("one", "two", "six", "ten"):
        agent.change({"helper.py": f"WORD = '{word}'\n"})
        agent.start(environment={"PYTHONUNBUFFERED": ""})
        agent.wait("exited")
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
def test_what_is_not_python_is_refused_and_the_old_app_goes_on(
    agent: AgentProcess, text: str | bytes, line: int | None, message: str
) -> None:
    before = (agent.live / "app.py").read_text()
    agent.send_change({"other.py": "pass", "app.py": text})
    refused = agent.wait("refused")
    assert (refused["path"], message in refused["message"]) == ("app.py", True), refused
    if line is not None:
        assert refused["line"] == line
        assert refused["text"].strip() in (text if isinstance(text, str) else text.decode("utf-8", "replace"))
    assert (agent.live / "app.py").read_text() == before
    assert not (agent.live / "other.py").exists()
    assert agent.run("print('on')")["code"] == 0


@pytest.mark.starts_processes
def test_many_files_are_checked_while_the_agent_hears(agent: AgentProcess) -> None:
    files: dict[str, str | bytes | None] = {f"part{number}.py": f"x = {list(range(300))}\n" for number in range(300)}
    agent.send_change(files)
    assert agent.ask("memory", "memory")["free"]
    assert agent.wait("committed")["changed"] == 300


@pytest.mark.starts_processes
def test_the_agent_does_not_grow_by_compiling(agent: AgentProcess) -> None:
    before = agent.ask("memory", "memory")["agent"]
    agent.change({"app.py": "".join(f"def f{number}(a, b=[1, 2]): return a + {number}\n" for number in range(5000))})
    assert agent.ask("memory", "memory")["agent"] - before < 3 << 20


@pytest.mark.starts_processes
def test_half_a_connection_changes_nothing(start_agent: Callable[..., AgentProcess]) -> None:
    agent = start_agent()
    agent.begin()
    before = {path.name: path.read_bytes() for path in agent.live.iterdir()}
    agent.send("put", b"print(", path="app.py", mode=0o644, more=True)
    agent.ask("memory", "memory")
    assert {path.name: path.read_bytes() for path in agent.live.iterdir()} == before
    assert agent.close() == 0
    deadline = time.monotonic() + 10
    while agent.folder.exists():
        assert time.monotonic() < deadline
