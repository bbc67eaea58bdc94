from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera_agent.wire.frames import Decoder, FrameError, encode

texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(lambda kind, more: {**more, "type": kind}, texts, st.dictionaries(texts, st.integers() | texts))


@given(st.lists(st.tuples(messages, st.binary(max_size=50)), max_size=5), st.integers(1, 17))
def test_frames_come_back_whole_however_they_are_cut(frames: list[tuple[dict[str, Any], bytes]], size: int) -> None:
    data = b"".join(encode(message, payload) for message, payload in frames)
    decoder = Decoder()
    found = [
        (frame.message, frame.payload)
        for start in range(0, len(data), size)
        for frame in decoder.feed(data[start : start + size])
    ]
    assert found == frames


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-dropbear\r\n",
        b"\0\0\0\x02\0\0\0\0[]",
        b"\0\0\0\x02\0\0\0\0{}",
        b"\0\0\0\x02\0\0\0\0{x",
        b"\0\0\0\x02\xff\0\0\0{}",
    ],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(data))


def test_file_names_that_are_no_text_arrive_as_they_are() -> None:
    name = b"\xff.py".decode("utf-8", "surrogateescape")
    assert next(Decoder().feed(encode({"type": "delete", "path": name}))).message["path"] == name
