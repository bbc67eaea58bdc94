"""Frames, as both the host and the agent read and write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incamera_agent.wire import protocol
from incamera_agent.wire.frames import (
    MAXIMUM_JSON_BYTES,
    MAXIMUM_PAYLOAD_BYTES,
    Decoder,
    Frame,
    FrameError,
    MessageError,
    encode,
)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
messages = st.builds(lambda kind, more: {**more, "type": kind}, texts, st.dictionaries(texts, st.integers() | texts))


def head(json_bytes: int, payload_bytes: int) -> bytes:
    return json_bytes.to_bytes(4, "big") + payload_bytes.to_bytes(4, "big")


@settings(deadline=None)
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


def frame(text: bytes, payload: bytes = b"") -> bytes:
    return head(len(text), len(payload)) + text + payload


BAD_JSON = [
    b"",
    b"null",
    b"[]",
    b'{"type":1}',
    b'{"type":"x","type":"x"}',
    b'{"type":"x","deep":{"a":1,"a":2}}',
    b'{"type":"x","number":NaN}',
    b'{"type":"x","number":-Infinity}',
    b'{"type":"x"}}',
    b'{"type":"\xff"}',
    '{"type":"x"}'.encode("utf-16"),
    b'{"type":"x","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"type":"x","deep":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
]


@pytest.mark.parametrize("text", BAD_JSON, ids=range(len(BAD_JSON)))
def test_frame_that_is_no_message_is_left_out_and_the_next_one_is_decoded(text: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(MessageError):
        list(decoder.feed(frame(text, b"payload") + encode({"type": "next"})))
    assert [each.type for each in decoder.feed(b"")] == ["next"]


def test_frame_longer_than_the_decoders_own_limit_is_left_out_and_not_kept() -> None:
    decoder = Decoder(maximum_json=100, maximum_payload=100)
    for long in (encode({"type": "x" * 100_000}), encode({"type": "x"}, bytes(100_000))):
        with pytest.raises(MessageError, match="too long"):
            list(decoder.feed(long[:50]))
        for start in range(50, len(long), 1000):
            assert list(decoder.feed(long[start : start + 1000])) == []
        assert len(decoder._data) == 0
        assert [each.type for each in decoder.feed(encode({"type": "next"}))] == ["next"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=5,
)


@given(st.lists(st.binary(max_size=30) | json_values.map(lambda value: frame(json.dumps(value).encode()))))
def test_decoder_gives_messages_or_a_frame_error_for_any_bytes(pieces: list[bytes]) -> None:
    decoder = Decoder(maximum_json=200, maximum_payload=200)
    for piece in pieces:
        data = piece
        while True:
            try:
                assert all(isinstance(each.message, dict) for each in decoder.feed(data))
                break
            except MessageError:
                data = b""
            except FrameError:
                return
