"""Login shells that print, that are none, and that read commands otherwise than sh does."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from tests.integration.ssh_server import SshServer

from incamera.errors import DeviceError
from incamera.transport import login_shell, ssh_transport
from incamera.transport.login_shell import MarkedReader, Marker, NotStarted
from incamera.transport.protocols import Program, Terminal
from incamera.transport.ssh import connect

from .contract import read_line

if TYPE_CHECKING:
    from incamera.transport.session import Session

pytestmark = pytest.mark.starts_processes

NOISE = {
    "line": "echo Welcome",
    "no-final-newline": "printf 'Last login: today'",
    "prompt": r"printf '\033]0;camera\007\033[1;32mcamera\033[0m# \r\0'",
    "standard-error": "echo 'mesg: ttyname failed' >&2; printf 'stty: not a tty' >&2",
    "traced": "set -x",
    "much": "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2",
    "half-a-marker": "printf incamera-; printf incamera- >&2",
    "reads": "read -r line <&- || :; exec 3<&0",
    "no-standard-error": "exec 2>/dev/null",
    "more-than-a-greeting": "head -c 1200000 /dev/zero; head -c 1200000 /dev/zero >&2",
    "one-output": "echo Welcome; exec 2>&1",
    "ends-of-markers": "printf '@incamera-0123456789abcdef:3:'; printf '@incamera+' >&2",
}
# What only some shells take literally in single quotes.
ODD = ("", "it's", "hi!!", "a\\'b\\\\", "two\nlines", "50% of %s", "\t\x1b", "ü", "\udcff")


@contextmanager
def served(folder: Path, shell: str) -> Iterator[Session]:
    """Connect to a server whose login shell is *shell*."""
    host_key, client_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = SshServer(folder, host_key, client_key, login_shell=shell)
    server.start()
    device = server.device(host_key=host_key.export_public_key("openssh").decode())
    try:
        with connect(device, known_hosts=folder / "known_hosts", environment={"HOME": str(folder)}) as session:
            yield session
    finally:
        server.stop()


def write_shell(folder: Path, script: str) -> str:
    """Write a login shell that runs *script*, and return its path."""
    shell = folder / "shell"
    shell.write_text(f"#!/bin/sh\n{script}\n")
    shell.chmod(0o755)
    return str(shell)


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_what_a_login_shell_prints_is_not_the_programs(noise: str, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    with served(tmp_path, write_shell(tmp_path, f'{noise}\neval "$2"')) as session:
        result = session.run(Program(("sh", "-c", "cat; echo problem >&2; exit 5")), input=data)
        output, errors = (data, "") if "2>/dev" in noise else (data, "problem")
        if "2>&1" in noise:
            output, errors = data + b"problem\n", ""
        assert (result.exit_code, result.stdout, result.error_text) == (5, output, errors)
        session.put(f"{tmp_path}/it's", data)
        assert session.get(f"{tmp_path}/it's", limit=1 << 20) == data
        assert session.get_all([f"{tmp_path}/it's"], limit=1 << 20) == {f"{tmp_path}/it's": data}

        async def greet() -> tuple[bytes, bytes, int]:
            program = Program(("sh", "-c", "read -r name; echo hello $name"))
            channel = await session.transport.start(program, terminal=Terminal("xterm", 80, 24))
            await channel.write(b"you\n")
            return await read_line(channel), await read_line(channel), await channel.wait()

        assert session.call(greet()) == (b"you\r\n", b"hello you\r\n", 0)


# What wraps each command, as a ForceCommand does: it prints behind the program too, or ends in a way of its own.
WRAPPERS = {
    "prints-behind": 'echo before; sh -c "$2"; code=$?; echo behind; echo behind >&2; exit $code',
    "loses-the-code": 'sh -c "$2"; exit 0',
    "prints-much-behind": 'sh -c "$2"; head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2',
    "leaves-a-process": 'sleep 1000 & eval "$2"',
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_what_comes_behind_a_program_is_not_the_programs(wrapper: str, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    with served(tmp_path, write_shell(tmp_path, wrapper)) as session:
        for code in (5, 137, 0):
            result = session.run(Program(("sh", "-c", f"cat; echo problem >&2; exit {code}")), input=data)
            assert (result.exit_code, result.stdout, result.error_text) == (code, data, "problem")
        result = session.run(Program(("sh", "-c", "printf @incamera-; kill -9 $$")))
        assert (result.exit_code, result.stdout, result.stderr) == (137, b"@incamera-", b"")
        session.put(f"{tmp_path}/file", data)
        assert session.get(f"{tmp_path}/file", limit=1 << 20) == data
        with pytest.raises(DeviceError, match="there is no /nowhere"):
            session.get("/nowhere", limit=10)


def test_shell_stays_only_until_it_is_known_to_end_well(tmp_path: Path) -> None:
    program = Program(("sh", "-c", 'cat "/proc/$PPID/cmdline"; exit 3'))
    with served(tmp_path, "/bin/sh") as session:
        first, second = session.run(program), session.run(program)
    assert (first.exit_code, second.exit_code) == (3, 3)
    assert b"@incamera-" in first.stdout
    assert b"@incamera-" not in second.stdout


@pytest.mark.parametrize(
    ("printed", "read"),
    [
        (b"one@two", b"one@two"),
        (b"one@incamera-", b"one@incamera-"),
        (b"one@incamera-TOKEN:17:", b"one"),
        (b"one@incamera-TOKEN:17:noise", b"one"),
        (b"one@incamera-TOKEN:x:", b"one@incamera-TOKEN:x:"),
        (b"one@incamera-TOKEN:1234:", b"one@incamera-TOKEN:1234:"),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_output_ends_at_its_marker_however_it_arrives(printed: bytes, read: bytes, size: int) -> None:
    marker = Marker()
    token = marker.end.removeprefix(b"@incamera-")
    coming = [b"noise" + marker.begin]
    text = printed.replace(b"TOKEN", token)
    coming += [text[at : at + size] for at in range(0, len(text), size)]

    async def receive(limit: int) -> bytes:
        return coming.pop(0) if coming else b""

    async def read_all() -> tuple[bytes, int | None]:
        reader = MarkedReader(receive, marker.begin, marker.end)
        assert await reader.skip_noise()
        found = b""
        while data := await reader.read(4):
            found += data
        return found, reader.code

    assert asyncio.run(read_all()) == (read.replace(b"TOKEN", token), 17 if b":17:" in printed else None)


@pytest.mark.parametrize("name", ["csh", "tcsh", "fish", "zsh", "bash", "dash"])
def test_any_login_shell_passes_arguments_on(name: str, tmp_path: Path) -> None:
    if (shell := shutil.which(name)) is None:
        pytest.skip(f"this computer has no {name}")
    with served(tmp_path, shell) as session:
        program = Program(("printf", "%s\\0", *ODD), environment={"A": "it's\n$HOME!"}, folder="/")
        assert session.run(program).stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in ODD]


def test_commands_have_nothing_that_shells_read_differently() -> None:
    program = Program(("sh", "-c", "".join(map(chr, range(1, 256))), *ODD), environment={"A": "it's!"}, folder="/\n")
    command = Marker().command(program, terminal=False, marks_end=True)
    assert re.fullmatch(r"exec /bin/sh -c (?:'[ -~]*?'(?: |$))+", command)
    assert not re.search(r"!|\\(?![0-7]{3})", command)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 1", "it ended with exit code 1"),
        ("echo 'This account is currently not available.'; exit 1", 'it printed "This account is currently not'),
        ("echo 'Please log in as admin.' >&2; exit 142", 'it printed "Please log in as admin." and ended with exit'),
        ("cat /dev/zero", "goes on printing"),
        ("echo 'press a key'; exec sleep 1000", 'it printed "press a key" and is still running'),
        ("kill -9 $$", "it ended with exit code 137"),
    ],
)
def test_login_shell_that_starts_nothing_is_told(
    script: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "_START_SECONDS", 4.0)
    monkeypatch.setattr(login_shell, "_NOISE_BYTES", 1 << 20)
    with (
        served(tmp_path, write_shell(tmp_path, script)) as session,
        pytest.raises(NotStarted, match=re.escape(told)) as error,
    ):
        session.run(Program(("true",)), input=b"x" * 100_000)
    assert "/bin/false" in str(error.value.hint)
    assert "ForceCommand" in str(error.value.hint)


@pytest.mark.parametrize("where", ["", ">&2"])
def test_login_shell_that_asks_is_told_before_one_that_only_takes_long(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_transport, "_QUESTION_SECONDS", 1.0)
    script = f"printf 'Accept the terms? [y/n] ' {where}; exec sleep 1000"
    with (
        served(tmp_path, write_shell(tmp_path, script)) as session,
        pytest.raises(NotStarted, match=r"Accept the terms.*said nothing more for 1 s: does it wait for an answer"),
    ):
        session.run(Program(("true",)))


def test_login_shell_that_is_silent_for_a_while_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_transport, "_QUESTION_SECONDS", 1.0)
    with served(tmp_path, write_shell(tmp_path, 'echo "takes some time"; sleep 2; eval "$2"')) as session:
        assert session.run(Program(("echo", "word"))).stdout == b"word\n"


def test_login_shell_that_leads_the_output_away_is_told_at_once(tmp_path: Path) -> None:
    with (
        served(tmp_path, write_shell(tmp_path, 'echo noise; exec 1>&2; eval "$2"')) as session,
        pytest.raises(NotStarted, match=r"leads what programs print into standard error \(`exec 1>&2`\)"),
    ):
        session.run(Program(("sleep", "1000")), timeout=30)


@pytest.mark.parametrize(
    "script", ["echo incamera- >&2; sleep 0.2; printf incamera- >&2", "exec 2>&1", "printf incamera-"]
)
def test_output_that_only_looks_like_the_marker_is_the_programs(script: str, tmp_path: Path) -> None:
    with served(tmp_path, "/bin/sh") as session:
        result = session.run(Program(("sh", "-c", f"{script}; echo end; echo errors >&2")))
    assert result.stdout.endswith(b"end\n" if "2>&1" not in script else b"errors\n")
    assert result.exit_code == 0


def test_program_that_is_missing_is_no_matter_of_the_login_shell(tmp_path: Path) -> None:
    with served(tmp_path, write_shell(tmp_path, 'echo noise; eval "$2"')) as session:
        assert session.run(Program(("/nowhere",))).exit_code == 127
        with pytest.raises(DeviceError, match="there is no /nowhere"):
            session.get("/nowhere", limit=10)
