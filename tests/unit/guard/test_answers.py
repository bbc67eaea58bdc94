"""Answers of the guard: parsed strictly, and the same bytes on both sides."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from incamera.errors import DeviceError
from incamera.guard.answers import LONGEST_LINE, AnswerReader, parse_answer
from incamera.runtime.launcher.protocol import (
    Answer,
    Complete,
    Exited,
    Listed,
    ListedImage,
    ListedRoot,
    Mounted,
    Ready,
    Verified,
)
from incamera.transport.device import Device, SshAddress

COMPLETE = b'{"kind": "complete", "previous": "", "repaired": true}'


def test_answer_becomes_a_value() -> None:
    assert parse_answer(COMPLETE) == Complete(previous="", repaired=True)
    assert parse_answer(
        b'{"kind": "listed", "roots": [{"name": "a", "bundle": null, "used": true}],'
        b' "images": [{"name": "b", "mounted": false, "used": false}]}'
    ) == Listed(
        roots=(ListedRoot(name="a", bundle=None, used=True),),
        images=(ListedImage(name="b", mounted=False, used=False),),
    )


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Welcome",
        b"[]",
        b"7",
        b"{}",
        b'{"kind": "unknown"}',
        b'{"kind": 7}',
        b'{"kind": []}',
        b'{"kind": "complete", "previous": "", "repaired": 1}',
        b'{"kind": "complete", "previous": null, "repaired": true}',
        b'{"kind": "complete", "repaired": true}',
        b'{"kind": "complete", "previous": "", "repaired": true, "more": 1}',
        b'{"kind": "mounted", "error": -1, "problem": null}',
        b'{"kind": "mounted", "error": true, "problem": null}',
        b'{"kind": "mounted", "error": 1.0, "problem": null}',
        b'{"kind": "mounted", "error": 18446744073709551616, "problem": null}',
        b'{"kind": "verified", "changed": "path"}',
        b'{"kind": "verified", "changed": [1]}',
        b'{"kind": "wanted", "missing": [[0], 1], "free": null, "packings": [], "image_from": null}',
        b'{"kind": "listed", "roots": [{"name": "a"}], "images": []}',
        b"[" * 100_000,
        b"\xff",
        b'{"kind": "ready", "kind": "ready"}',
        b'{"kind": "measured", "write": NaN, "read": null}',
        b'{"kind": "measured", "write": 1e3, "read": null}',
        b'{"kind": "measured", "write": ' + b"9" * 5000 + b', "read": null}',
        b'{"kind": "activated", "root": "/tmp/\\u0000"}',
        b'{"kind": "activated", "root": "/tmp/\\ud800"}',
        '{"kind": "ready"}'.encode("utf-16"),
    ],
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        parse_answer(line)


def test_answer_longer_than_the_limit_is_refused() -> None:
    path = b"x" * LONGEST_LINE
    with pytest.raises(ValueError, match="too long"):
        parse_answer(b'{"kind": "verified", "changed": ["%s"]}' % path)


class Pieces:
    """A channel whose output comes in these pieces."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    async def read(self, limit: int) -> bytes:
        return next(self._pieces, b"")


def read_answers(*pieces: bytes, endless: bytes = b"") -> list[Answer]:
    async def read_all() -> list[Answer]:
        channel = Pieces(itertools.chain(pieces, itertools.repeat(endless)))
        reader = AnswerReader(channel, Device(name="cam", address=SshAddress(host="camera.invalid")))  # type: ignore[arg-type]
        answers = []
        while answer := await reader.next():
            answers.append(answer)
        return answers

    return asyncio.run(read_all())


def test_answers_may_come_in_pieces() -> None:
    pieces = (b'{"kind":', b'"ready"}\n{"kind":"rea', b'dy"}', b"\n", b'{"kind":"exited"}\n{"kind":"ready"}\n')
    assert read_answers(*pieces) == [Ready(), Ready(), Exited(), Ready()]


def test_half_an_answer_at_the_end_is_ignored() -> None:
    assert read_answers(b'{"kind":"ready"}\n{"kind":') == [Ready()]


def test_endless_line_is_refused() -> None:
    with pytest.raises(DeviceError, match='guard on cam printed "yyyy'):
        read_answers(endless=b"y" * 60_000)


NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")
)


@pytest.mark.starts_processes
class TestGuard:
    @given(name=NAMES)
    @example(name=b'"\\\t\n\x1f\x7f')
    @example(name="ü€😀\ud7ff\ue000\U0010ffff".encode())
    @example(name=b"\xed\xa0\x80")  # a surrogate
    @example(name=b"\xc0\xaf \xe0\x80\xaf \xf0\x80\x80\xaf")  # longer than need be
    @example(name=b"\xf4\x90\x80\x80 \xf5 \xff \x80")
    @example(name=b"\xe2\x82")  # half a character
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_name_is_the_same_on_both_sides(self, name: bytes, guard: Path, tmp_path: Path) -> None:
        (tmp_path / ".incamera-entries").write_bytes(b"f 1 " + b"0" * 64 + b" " + name + b"\0\0")
        answer = parse_answer(subprocess.run([guard, "verify", tmp_path], stdout=subprocess.PIPE, check=True).stdout)
        assert isinstance(answer, Verified)
        assert [os.fsencode(path) for path in answer.changed] == [name]

    def test_answer_larger_than_the_guards_buffer_is_whole(self, guard: Path, tmp_path: Path) -> None:
        paths = [f"folder/{number:0300}" for number in range(500)]
        listing = "".join(f"f 1 {'0' * 64} {path}\0\0" for path in paths)
        (tmp_path / ".incamera-entries").write_text(listing)
        answer = parse_answer(subprocess.run([guard, "verify", tmp_path], stdout=subprocess.PIPE, check=True).stdout)
        assert answer == Verified(changed=tuple(paths))

    def test_kernels_error_number_is_the_answer(self, guard: Path, tmp_path: Path) -> None:
        words: list[str | Path] = [guard, "mount", "nonesuch", "nowhere", tmp_path / "a" / "b"]
        answer = parse_answer(subprocess.run(words, input=b"\n", stdout=subprocess.PIPE, check=True).stdout)
        assert answer == Mounted(error=2, problem=f"cannot make the folder {tmp_path}/a/b: No such file or directory")
