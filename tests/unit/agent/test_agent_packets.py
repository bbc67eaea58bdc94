"""Packets between the agent and its fork server."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from incamera_agent.wire import packets


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """Two connected ends; the test closes the second."""
    ours, theirs = packets.make_pair()
    yield ours, theirs
    os.close(ours)


def test_packet_arrives_with_copies_of_its_files(pair: tuple[int, int]) -> None:
    ours, theirs = pair
    reader, writer = os.pipe()
    packets.send(theirs, {"type": "fork"}, [writer])
    received = packets.receive(ours)
    assert received is not None
    message, files = received
    os.write(files[0], b"x")
    assert (message, len(files), os.read(reader, 10)) == ({"type": "fork"}, 1, b"x")
    for descriptor in (reader, writer, theirs, *files):
        os.close(descriptor)


def test_packets_sent_before_a_crash_are_received(pair: tuple[int, int]) -> None:
    """A fork server that crashes has not read the last request: the kernel reports a reset connection first."""
    ours, theirs = pair
    packets.send(theirs, {"type": "importing", "name": "crashing"})
    packets.send(ours, {"type": "fork"})
    os.close(theirs)
    assert packets.receive(ours) == ({"type": "importing", "name": "crashing"}, [])
    assert packets.receive(ours) is None


def test_closed_end_without_packets_is_none(pair: tuple[int, int]) -> None:
    ours, theirs = pair
    os.close(theirs)
    assert packets.receive(ours) is None


def test_packet_beyond_the_kernels_buffer_is_an_error(pair: tuple[int, int]) -> None:
    ours, theirs = pair
    with pytest.raises(OSError, match=os.strerror(errno.EMSGSIZE)):
        packets.send(ours, {"type": "fork", "arguments": ["x" * 100] * 50_000})
    os.close(theirs)
