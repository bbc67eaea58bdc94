"""The log of a run: what is written, what is kept, and reading it again."""

import json
import threading
import time
from pathlib import Path

import pytest

from incamera.errors import UsageError
from incamera.runlog import log as run_log
from incamera.runlog.log import Line, RunLog, list_runs, read_lines, require_run


def begin_run(folder: Path) -> RunLog:
    return RunLog(folder, command="python3 app.py", device="cam")


def texts(folder: Path, number: int | None = None) -> list[str]:
    return [line.text for line in read_lines(folder, require_run(folder, number))]


def test_log_has_whole_lines_without_escape_sequences_and_overprinted_text(tmp_path: Path) -> None:
    log = begin_run(tmp_path)
    for byte in "grün \x1b[31mrot\x1b[0m\r\n10%\r50%\r100%\nend".encode():
        log.feed("stdout", bytes([byte]))
    log.close(0)
    assert texts(tmp_path) == ["grün rot", "100%", "end"]
    run = require_run(tmp_path, None)
    assert (run.exit_code, run.running, run.command) == (0, False, "python3 app.py")


def test_line_has_its_time_and_stream(tmp_path: Path) -> None:
    log = begin_run(tmp_path)
    log.feed("stderr", b"WARNING:root:low light\n")
    log.close(0)
    run = require_run(tmp_path, None)
    (line,) = read_lines(tmp_path, run)
    assert line == Line(line.time, "stderr", "WARNING:root:low light")
    assert run.began <= line.time <= (run.ended or 0) + 0.001


def test_oldest_logs_are_removed_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "KEPT_RUNS", 3)
    for number in range(5):
        log = begin_run(tmp_path)
        log.feed("stdout", b"%d\n" % number)
        log.close(0)
    assert [run.number for run in list_runs(tmp_path)] == [5, 4, 3]
    assert texts(tmp_path, 4) == ["3"]
    with pytest.raises(UsageError, match="no log of run 1"):
        require_run(tmp_path, 1)


def test_log_of_limited_size_keeps_the_newest_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "_PART_BYTES", 1000)
    log = begin_run(tmp_path)
    for number in range(500):
        log.feed("stdout", b"line %d\n" % number)
    log.close(0)
    kept = texts(tmp_path)
    assert kept[-1] == "line 499"
    assert kept == [f"line {number}" for number in range(500 - len(kept), 500)]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jsonl")) < 2200
    assert len(kept) > 10


def test_runs_that_begin_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    logs: list[RunLog] = []
    threads = [threading.Thread(target=lambda: logs.append(begin_run(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(log.run.number for log in logs) == list(range(1, 9))
    for log in logs:
        log.close(0)


def test_following_yields_new_lines_until_the_run_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "_PART_BYTES", 300)
    log = begin_run(tmp_path)
    log.feed("stdout", b"first\n")
    lines = read_lines(tmp_path, log.run, follow=True)
    assert next(lines).text == "first"

    def print_more_and_end(_: float) -> None:
        log.feed("stdout", b"second\n" * 5)
        log.close(0)

    # The reader has read all lines when it pauses.
    monkeypatch.setattr(time, "sleep", print_more_and_end)
    assert [line.text for line in lines] == ["second"] * 5


def test_run_of_a_killed_incamera_process_is_not_running(tmp_path: Path) -> None:
    log = begin_run(tmp_path)
    log.feed("stdout", b"last words\nhalf")
    record = tmp_path / "1" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "pid": 2**22 + 1}))
    run = require_run(tmp_path, None)
    assert not run.running
    assert [line.text for line in read_lines(tmp_path, run, follow=True)] == ["last words"]
    log.close(None)


def test_binary_output_is_left_out_with_one_remark(tmp_path: Path) -> None:
    log = begin_run(tmp_path)
    log.feed("stdout", b"\0\1\2" * 1000)
    log.feed("stdout", b"\0\1\2" * 1000)
    log.close(0)
    (line,) = texts(tmp_path)
    assert "binary output" in line


def test_other_users_cannot_read_the_logs(tmp_path: Path) -> None:
    begin_run(tmp_path / "logs").close(0)
    assert (tmp_path / "logs").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "record",
    [
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        {"number": "1"},
        {"began": "yesterday"},
        {"began": 1e300},
        {"ended": []},
        {"exit_code": "0"},
        {"device": None},
        {"pid": 1.5},
        {"more": 1},
    ],
    ids=range(12),
)
def test_damaged_record_of_a_run_is_no_run(tmp_path: Path, record: bytes | dict[str, object]) -> None:
    log = RunLog(tmp_path, command="python3 app.py", device="cam")
    log.close(0)
    file = tmp_path / "1" / "run.json"
    file.write_bytes(
        record if isinstance(record, bytes) else json.dumps({**json.loads(file.read_text()), **record}).encode()
    )
    assert list_runs(tmp_path) == []


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    log = RunLog(tmp_path, command="python3 app.py", device="cam")
    odd = [
        b"[]",
        b'[1, "stdout"]',
        b'["1", "stdout", "x"]',
        b'[NaN, "stdout", "x"]',
        b'[1, 2, "x"]',
        b"[" * 100_000,
        b"\xff",
    ]
    (tmp_path / "1" / "1.jsonl").write_bytes(b"\n".join([*odd, b'[1.5, "stdout", "sound"]', b""]))
    log.close(0)
    assert [line.text for line in read_lines(tmp_path, log.run)] == ["sound"]
