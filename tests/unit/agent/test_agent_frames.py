"""Frames, as both the host and the agent read and write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera_agent.wire import protocol
from incamera_agent.wire.frames import (
    MAXIMUM_JSON_BYTES,
    MAXIMUM_PAYLOAD_BYTES,
    Decoder,
    Frame,
    FrameError,
    encode,
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(lambda kind, more: {**more, "type": kind}, texts, st.dictionaries(texts, st.integers() | texts))


def head(json_bytes: int, payload_bytes: int) -> bytes:
    return json_bytes.to_bytes(4, "big") + payload_bytes.to_bytes(4, "big")


@given(st.lists(st.tuples(messages, st.binary(max_size=50)), max_size=5), st.integers(1, 17))
def test_frames_are_decoded_from_pieces_of_any_size(frames: list[tuple[dict[str, Any], bytes]], size: int) -> None:
    data = b"".join(encode(message, payload) for message, payload in frames)
    decoder = Decoder()
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    found = [frame for piece in pieces for frame in decoder.feed(piece)]
    assert found == [Frame(message, payload) for message, payload in frames]


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-dropbear\r\n",
        b"Traceback (most recent call last):\n",
        head(2, 0) + b"[]",
        head(2, 0) + b"{}",
        head(2, 0) + b"{x",
        head(MAXIMUM_JSON_BYTES + 1, 0),
        head(2, MAXIMUM_PAYLOAD_BYTES + 1),
    ],
)
def test_bytes_that_are_not_a_frame_are_an_error(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(data))


def test_frames_before_a_broken_one_are_decoded() -> None:
    frames = Decoder().feed(encode({"type": "log"}) + b"Traceback (most recent call last):\n")
    assert next(frames) == Frame({"type": "log"})
    with pytest.raises(FrameError, match="Traceback"):
        next(frames)


def test_frames_not_taken_come_with_the_next_piece() -> None:
    decoder = Decoder()
    assert next(decoder.feed(encode({"type": "one"}) + encode({"type": "two"}))).type == "one"
    assert [frame.type for frame in decoder.feed(encode({"type": "three"}))] == ["two", "three"]


def test_longest_json_is_encoded_and_decoded_and_no_longer_one() -> None:
    empty = len(json.dumps({"type": "eval", "source": ""}, separators=(",", ":")))
    longest = {"type": "eval", "source": "x" * (MAXIMUM_JSON_BYTES - empty)}
    assert [frame.message for frame in Decoder().feed(encode(longest))] == [longest]
    with pytest.raises(FrameError, match="`eval` is too long"):
        encode({**longest, "source": f"{longest['source']}x"})


def test_longest_payload_is_encoded_and_decoded_and_no_longer_one() -> None:
    longest = bytes(MAXIMUM_PAYLOAD_BYTES)
    assert [len(frame.payload) for frame in Decoder().feed(encode({"type": "put"}, longest))] == [len(longest)]
    with pytest.raises(FrameError, match="`put` is too long"):
        encode({"type": "put"}, longest + b"x")


def test_pieces_and_input_fit_into_what_the_other_side_accepts() -> None:
    assert protocol.PIECE_BYTES <= MAXIMUM_PAYLOAD_BYTES
    assert min(MAXIMUM_PAYLOAD_BYTES, protocol.MAXIMUM_INPUT_BYTES) >= protocol.INPUT_WINDOW_BYTES


def test_file_name_that_is_not_valid_text_arrives_unchanged() -> None:
    name = b"\xff.py".decode("utf-8", "surrogateescape")
    assert next(Decoder().feed(encode({"type": "delete", "path": name}))).message["path"] == name
