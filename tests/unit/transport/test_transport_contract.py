"""What every transport has to do: over SSH to a real server, on this computer, and to the fake device."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from incamera.errors import ConnectionLost, DeviceError, UsageError
from incamera.transport.protocols import Channel, FileMissing, FileTooLarge, Program
from incamera.transport.session import OutputTooLong, run_bounded

from .contract import (
    COPY,
    COUNT,
    EXIT,
    FLOOD,
    KILL,
    SLEEP,
    TALK,
    TELL,
    Subject,
    fake_subject,
    held_subject,
    local_subject,
    python,
    read_line,
    ssh_subject,
)

pytestmark = pytest.mark.starts_processes

ODD = ("", " ", "a b", "it's", '"', "$HOME `date` \\", "line\nline", "-x", "*", "ü", "a;b&c|d>e")
# More than there are threads for on a small computer.
MANY = 12
NAMES = ("plain", "with space", 'it\'s "quoted"', "$HOME `x` \\", "line\nbreak", "-rf", "*", "ü")


@pytest.fixture(params=["ssh", "held", "local", "fake"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    folder = tmp_path / "device"
    folder.mkdir()
    kinds = {"ssh": ssh_subject, "held": held_subject, "local": local_subject, "fake": fake_subject}
    with kinds[request.param](folder) as subject:
        yield subject


# Programs


def test_arguments_environment_and_folder_arrive_unchanged(subject: Subject) -> None:
    program = python(TELL, *ODD, environment={"A": "it's\n$HOME"}, folder=subject.folder)
    assert json.loads(subject.session.run(program).stdout) == [list(ODD), "it's\n$HOME", subject.folder]


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_exit_code_is_the_programs_own(subject: Subject, code: int) -> None:
    assert subject.session.run(python(EXIT, str(code))).exit_code == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_program_killed_by_a_signal_ends_with_128_and_its_number(subject: Subject, number: signal.Signals) -> None:
    assert subject.session.run(python(KILL, str(int(number)))).exit_code == 128 + number


def test_program_that_is_not_there_ends_with_127(subject: Subject) -> None:
    result = subject.session.run(Program(("/nowhere/program",)))
    assert result.exit_code == 127
    assert "/nowhere/program" in result.error_text


def test_input_arrives_to_its_end(subject: Subject) -> None:
    result = subject.session.run(python(COUNT), input=bytes(1_000_000))
    assert (result.text, result.error_text) == ("1000000\n", "counted")


def test_input_for_a_program_that_does_not_read_it_is_dropped(subject: Subject) -> None:
    assert subject.session.run(python(EXIT, "3"), input=bytes(1_000_000)).exit_code == 3


def test_output_larger_than_every_buffer_arrives_whole(subject: Subject) -> None:
    result = subject.session.run(python(FLOOD, "3000000"))
    assert result.exit_code == 0
    assert len(result.stdout) == 3_000_000


def test_output_beyond_the_limit_is_refused(subject: Subject) -> None:
    with pytest.raises(OutputTooLong, match="more than 1000 bytes"):
        subject.session.call(run_bounded(subject.session.transport, python(FLOOD, "3000000"), limit=1000))


def test_output_arrives_while_the_program_runs(subject: Subject) -> None:
    async def talk() -> tuple[bytes, bytes, bytes, int]:
        channel = await subject.session.transport.start(python(TALK))
        try:
            ready = await read_line(channel)
            await channel.write(b"hello\n")
            return ready, await read_line(channel), await read_line(channel), await channel.wait()
        finally:
            await channel.close()

    assert subject.session.call(talk()) == (b"ready\n", b"HELLO\n", b"", 0)


def test_many_programs_run_at_a_time(subject: Subject) -> None:
    async def read(channel: Channel) -> bytes:
        parts = []
        while part := await channel.read(1000):
            parts.append(part)
        assert await channel.read_error(1000) == b""
        return b"".join(parts)

    async def talk_to_all() -> list[bytes]:
        channels = [await subject.session.transport.start(python(COPY)) for _ in range(MANY)]
        try:
            # All are read before anything is written.
            reading = [asyncio.create_task(read(channel)) for channel in channels]
            await asyncio.sleep(0.1)
            for number, channel in enumerate(channels):
                await channel.write(b"%d" % number)
                await channel.write_eof()
            return await asyncio.gather(*reading)
        finally:
            for channel in channels:
                await channel.close()

    assert subject.session.call(talk_to_all()) == [b"%d" % number for number in range(MANY)]


def test_channel_of_a_closed_connection_is_lost(subject: Subject) -> None:
    async def read() -> int:
        channel = await subject.session.transport.start(python(SLEEP))
        await read_line(channel)
        await subject.session.transport.close()
        try:
            # Its output may just end: whether the program has, too, its exit code tells.
            await channel.read(1000)
            return await channel.wait()
        finally:
            await channel.close()

    with pytest.raises(ConnectionLost):
        subject.session.call(read())


def test_device_that_takes_too_long_counts_as_lost(subject: Subject) -> None:
    with pytest.raises(ConnectionLost, match=r"did not answer within"):
        subject.session.run(python(SLEEP), timeout=0.2)


# Files


@pytest.mark.parametrize("name", NAMES)
def test_file_of_any_name_is_put_and_got(subject: Subject, name: str) -> None:
    path = f"{subject.folder}/{name}"
    for data in (b"", b"\0\n\xff", bytes(300_000)):
        subject.session.put(path, data)
        assert subject.session.get(path, limit=300_000) == data
    assert not subject.is_executable(path)


def test_executable_file_can_be_executed(subject: Subject) -> None:
    path = f"{subject.folder}/program"
    subject.session.put(path, b"#!/bin/sh\n")
    subject.session.put(path, f"#!{sys.executable} -IS\n{EXIT}\n".encode(), executable=True)
    assert subject.is_executable(path)


def test_put_leaves_nothing_but_the_file(subject: Subject, tmp_path: Path) -> None:
    subject.session.put(f"{subject.folder}/one", b"1")
    with pytest.raises(DeviceError, match="cannot write"):
        subject.session.put(f"{subject.folder}/nowhere/one", b"1")
    with pytest.raises(DeviceError, match="cannot write"):
        subject.session.put(subject.folder, b"1")
    names = {path.name for path in (tmp_path / "device").iterdir()} - {"id_ed25519"}
    assert names <= {"one"}


def test_missing_file_is_not_an_empty_one(subject: Subject) -> None:
    with pytest.raises(FileMissing, match=r"there is no .*/nothing on test"):
        subject.session.get(f"{subject.folder}/nothing", limit=10)
    with pytest.raises(DeviceError) as caught:
        subject.session.get(subject.folder, limit=10)
    assert not isinstance(caught.value, FileMissing)


def test_file_larger_than_the_limit_is_refused(subject: Subject) -> None:
    path = f"{subject.folder}/large"
    subject.session.put(path, bytes(500_000))
    assert len(subject.session.get(path, limit=500_000)) == 500_000
    for limit in (0, 1000, 499_999):
        with pytest.raises(FileTooLarge, match=f"larger than {limit} bytes"):
            subject.session.get(path, limit=limit)


def test_files_that_can_be_read_are_got_together(subject: Subject) -> None:
    files = {f"{subject.folder}/{name}": name.encode() * 1000 for name in NAMES}
    for path, data in files.items():
        subject.session.put(path, data)
    wanted = [*files, f"{subject.folder}/nothing"]
    assert subject.session.get_all(wanted, limit=1_000_000) == files
    with pytest.raises(FileTooLarge):
        subject.session.get_all(wanted, limit=1000)
    assert subject.session.get_all([], limit=0) == {}


@pytest.mark.parametrize("path", ["relative", "", "/ends/in/", "/with\0nul"])
def test_path_must_be_absolute(subject: Subject, path: str) -> None:
    with pytest.raises(ValueError, match="not the absolute path"):
        subject.session.get(path, limit=10)
    with pytest.raises(ValueError, match="not the absolute path"):
        subject.session.put(path, b"")


# Ports


async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.readline()).upper())
    await writer.drain()
    writer.close()


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"hello\n")
        answer = b""
        while data := client.recv(100):
            answer += data
        return answer


async def ready() -> bool:
    return True


async def never() -> bool:
    return False


def test_forwarded_port_leads_to_the_devices(subject: Subject) -> None:
    port = subject.serve(shout)
    with subject.session.forwarded(port, local_port=0, until_ready=ready) as here:
        assert ask(here) == ask(here) == b"HELLO\n"
    with pytest.raises(ConnectionError):
        ask(here)


def test_connection_waits_until_the_device_is_ready(subject: Subject) -> None:
    is_ready = threading.Event()

    async def until_ready() -> bool:
        while not is_ready.is_set():
            await asyncio.sleep(0.02)
        return True

    with subject.session.forwarded(subject.serve(shout), local_port=0, until_ready=until_ready) as here:
        answers: list[bytes] = []
        thread = threading.Thread(target=lambda: answers.append(ask(here)))
        thread.start()
        time.sleep(0.2)
        assert not answers
        is_ready.set()
        thread.join(20)
        assert answers == [b"HELLO\n"]


def test_connection_ends_when_the_device_will_not_be_ready(subject: Subject) -> None:
    with (
        subject.session.forwarded(subject.serve(shout), local_port=0, until_ready=never) as here,
        contextlib.suppress(ConnectionError),
    ):
        assert ask(here) == b""


def test_taken_port_is_named(subject: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(UsageError, match=f"port {port} on this computer cannot be used"),
            subject.session.forwarded(4000, local_port=port, until_ready=ready),
        ):
            pass


# The end


def test_lost_connection_is_noticed(subject: Subject) -> None:
    async def sleep() -> bytes:
        channel = await subject.session.transport.start(python(SLEEP))
        return await read_line(channel)

    assert subject.session.call(sleep()) == b"asleep\n"
    subject.lose()
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            subject.session.run(python(EXIT, "0"))
    with pytest.raises(ConnectionLost):
        subject.session.get(f"{subject.folder}/file", limit=10)
    with pytest.raises(ConnectionLost):
        subject.session.put(f"{subject.folder}/file", b"")


def test_program_under_way_ends_with_the_connection(subject: Subject, request: pytest.FixtureRequest) -> None:
    if "local" in request.node.callspec.id:
        return  # there is no network in between that could be lost
    timer = threading.Timer(0.3, subject.lose)
    timer.start()
    with pytest.raises(ConnectionLost):
        subject.session.run(python(SLEEP))
    timer.join()


def test_closed_connection_can_be_closed_again(subject: Subject) -> None:
    subject.session.call(subject.session.transport.close())
    with pytest.raises(ConnectionLost):
        subject.session.run(python(EXIT, "0"))
