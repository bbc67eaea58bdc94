"""Numbers that reach the guard are bounded: what is too large or no number is refused, and never taken for another."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

from incamera.runtime.launcher.protocol import ExitCode, Verb

pytestmark = pytest.mark.starts_processes

# Among them one that is 1 in 32 bits, one that is the largest in 64 bits, and one that fits in none.
NOT_NUMBERS = ["", "-1", "+1", " 1", "1x", "0x10", "99999999999999999999999", str(2**63 - 1)]


@pytest.mark.parametrize("number", NOT_NUMBERS)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param([Verb.end, "{}", "999999999"], id="end-grace"),
        pytest.param([Verb.processes, "every", "{}"], id="processes"),
        pytest.param([Verb.measure, "{folder}", "{}"], id="measure"),
        pytest.param([Verb.adopt, "{folder}", "app", "name", "looks", "{}"], id="adopt"),
        pytest.param([Verb.supervise, "{folder}/runs/1", "--timeout", "{}"], id="timeout"),
        pytest.param([Verb.supervise, "{folder}/runs/1", "--grace", "{}"], id="grace"),
        pytest.param([Verb.receive, "{folder}", "app", "name", "image", "a.squashfs", "{}"], id="image"),
    ],
)
def test_odd_number_is_a_usage_error(guard: Path, tmp_path: Path, words: list[str], number: str) -> None:
    program: list[str | Path] = [guard, *(word.format(number, folder=tmp_path) for word in words)]
    done = subprocess.run(program, input=b"", capture_output=True, timeout=60, check=False)
    assert done.returncode == ExitCode.usage, done.stderr
    assert b"not " in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {guard.name}


@pytest.mark.parametrize("number", [*NOT_NUMBERS, str(2**32), str(2**32 + 1), "1", "0"])
def test_end_refuses_what_is_no_process(guard: Path, number: str) -> None:
    done = subprocess.run([guard, Verb.end, "0", number], capture_output=True, timeout=60, check=False)
    assert done.returncode == ExitCode.usage
    assert b"not a process" in done.stderr


@pytest.mark.parametrize("size", ["", "x", "-1", "67108865", "99999999999999999999999", "9" * 30])
def test_size_of_a_listing_is_bounded(guard: Path, tmp_path: Path, size: str) -> None:
    done = subprocess.run(
        [guard, Verb.receive, tmp_path / "apps", "app", "name"],
        input=f"{size}\n".encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.usage
    assert b"size" in done.stderr


@pytest.mark.parametrize("size", ["", "x", "-1", str(2**63)])
def test_size_of_a_file_in_a_listing_is_bounded(guard: Path, tmp_path: Path, size: str) -> None:
    listing = f"f {size} {'0' * 64} app.py\0\0".encode()
    done = subprocess.run(
        [guard, Verb.receive, tmp_path / "apps", "app", "name"],
        input=f"{len(listing)}\n".encode() + listing,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.usage
    assert b"not a listing" in done.stderr


@pytest.mark.parametrize("since", ["x", "-9223372036854775808", "9" * 40])
def test_odd_lock_file_does_not_stop_a_deploy_that_waits(guard: Path, tmp_path: Path, since: str) -> None:
    app = tmp_path / "apps" / "app"
    app.mkdir(parents=True)
    listing = b""
    with (app / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{2**33} {since} somebody")
        lock.flush()
        with subprocess.Popen(
            [guard, Verb.receive, tmp_path / "apps", "app", "name", "take-over"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(f"{len(listing)}\n".encode() + listing)
            process.stdin.flush()
            answer = process.stdout.readline()
            process.stdin.close()
            process.wait(60)
    assert b"somebody" in answer
    assert b'"seconds":0' in answer.replace(b" ", b"")
