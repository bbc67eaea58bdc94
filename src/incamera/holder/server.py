"""The holder's process: one for each store, until it has held nothing for a while."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.errors import DeviceError, InCameraError
from incamera.holder.agents import Agents
from incamera.holder.links import Link, Links
from incamera.holder.messages import Stream, decode_device, decode_program, encode_error
from incamera.holder.place import Place, peer_user
from incamera.proc import detach_from_parent

if TYPE_CHECKING:
    from incamera.transport.protocols import Channel
    from incamera_agent.wire.frames import Message

_CHUNK = 1 << 16
_FIRST_SECONDS = 10.0
# How often idle connections are looked for, and how long the holder outlives its last one.
_CHECK_SECONDS = 5.0
_LINGER_SECONDS = 60.0


class Holder:
    """Serves clients until `ended` is set."""

    def __init__(self, stop_listening: Callable[[], None]) -> None:
        self._stop_listening = stop_listening
        self._links = Links()
        self._agents = Agents()
        self.ended = asyncio.Event()
        self._retired = False
        self._clients = 0
        self._running: dict[str, set[asyncio.Task[Any]]] = {}
        """What runs programs for the command that uses a connection as this token."""
        self._needed = time.monotonic()
        self._handlers: Mapping[str, Callable[[Stream, Message], Awaitable[None]]] = {
            "open": self._open,
            "start": self._start,
            "dial": self._dial,
            "keep": self._keep,
            "lease": self._lease,
            "list": self._list,
            "close": self._close,
        }

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what a client asks with its first frame, until one of both closes the connection."""
        stream = Stream(reader, writer)
        self._clients += 1
        try:
            if peer_user(writer.get_extra_info("socket")) != os.geteuid():
                return
            await stream.send({"type": "hello"})  # see `dial`: it tells that this process runs
            async with asyncio.timeout(_FIRST_SECONDS):
                frame = await stream.read()
            if frame is None:
                return
            handler = self._handlers.get(frame.type)
            if handler is not None:
                await handler(stream, frame.message)
            # A client that writes to a closed socket would not read what it has been sent.
            await stream.finish()
        except InCameraError as error:
            with suppress(OSError):
                await stream.send(encode_error(error))
                await stream.finish()
        except (OSError, TimeoutError, ValueError, KeyError, TypeError):
            pass
        finally:
            stream.close()
            self._clients -= 1
            self._needed = time.monotonic()
            if self._retired and not self._clients:
                self.ended.set()

    async def watch(self) -> None:
        """End what is idle, and the holder when it holds nothing."""
        while not self.ended.is_set():
            await asyncio.sleep(_CHECK_SECONDS)
            with suppress(InCameraError, OSError):
                await self._agents.end_idle()
                await self._links.end_idle()
            unused = not self._links.all and not self._clients
            if unused and (self._retired or time.monotonic() - self._needed > _LINGER_SECONDS):
                self.ended.set()

    async def close(self) -> None:
        for agent in list(self._agents.all):
            await self._agents.end(agent)
        for link in list(self._links.all):
            await self._links.end(link)

    # What a client can ask

    async def _open(self, stream: Stream, message: Message) -> None:
        """Let the client use a connection until it closes *stream*."""
        device = decode_device(message["device"])
        link, is_reused = await self._links.take(
            message["key"],
            device,
            known_hosts=Path(message["known_hosts"]),
            environment=dict(message["environment"]),
        )
        token = link.token
        try:
            await stream.send(
                {
                    "type": "opened",
                    "number": token,
                    "is_local": link.transport.is_local,
                    "is_reused": is_reused,
                }
            )
            gone = asyncio.create_task(link.transport.wait_closed())
            left = asyncio.create_task(stream.read())
            try:
                await asyncio.wait({gone, left}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (gone, left):
                    task.cancel()
                await asyncio.gather(gone, left, return_exceptions=True)
        finally:
            # They are ended here: one that is sent more than it takes does not notice that its client has gone.
            for task in self._running.pop(token, ()):
                task.cancel()
            await self._links.release(link)

    async def _start(self, stream: Stream, message: Message) -> None:
        """Run a program for the client."""
        link = self._links.require(message["connection"])
        program, terminal = decode_program(message)
        task = asyncio.current_task()
        assert task is not None
        running = self._running.setdefault(link.token, set())
        running.add(task)
        task.add_done_callback(running.discard)
        channel = await link.transport.start(program, terminal=terminal)
        try:
            await stream.send({"type": "started"})
            feeding = asyncio.create_task(_feed(stream, channel))
            serving = asyncio.create_task(_serve(stream, channel))
            try:
                await asyncio.wait({feeding, serving}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
                elif feeding.exception() is not None:
                    feeding.result()
            finally:
                for task in (feeding, serving):
                    task.cancel()
                await asyncio.gather(feeding, serving, return_exceptions=True)
        finally:
            await channel.close()

    async def _dial(self, stream: Stream, message: Message) -> None:
        """Connect the client to a port of the device."""
        link, port = self._links.require(message["connection"]), int(message["port"])
        if message.get("attempt"):
            await link.transport.try_port(port)
            await stream.send({"type": "dialed"})
            return
        reader, writer = await link.transport.dial(port)
        try:
            await stream.send({"type": "dialed"})

            async def send() -> None:
                while (frame := await stream.read()) is not None:
                    if frame.type == "eof":
                        writer.write_eof()
                    else:
                        writer.write(frame.payload)
                        await writer.drain()
                writer.close()

            async def receive() -> None:
                while data := await reader.read(_CHUNK):
                    await stream.send({"type": "data"}, data)
                await stream.send({"type": "eof"})

            await asyncio.gather(send(), receive())
        finally:
            writer.close()

    async def _keep(self, stream: Stream, message: Message) -> None:
        """Start an agent over the client's connection, and lend it to the client first."""
        program, _terminal = decode_program(message)
        agent = await self._agents.start(self._links.require(message["connection"]), message, program)
        if agent is None:
            await stream.send({"type": "none"})
        else:
            await self._agents.lend(agent, stream)

    async def _lease(self, stream: Stream, message: Message) -> None:
        """Lend an agent that waits to the client."""
        agent = await self._agents.find(str(message["name"]))
        if agent is None:
            await stream.send({"type": "none"})
        else:
            await self._agents.lend(agent, stream)

    async def _list(self, stream: Stream, message: Message) -> None:
        connections = [self._describe(link) for link in self._links.all]
        await stream.send({"type": "list", "pid": os.getpid(), "connections": connections})

    async def _close(self, stream: Stream, message: Message) -> None:
        """End the connections to the device that the message names, or all; the holder ends with the last."""
        name = message.get("device")
        ended = [link for link in self._links.all if name is None or link.device.name == name]
        described = [self._describe(link) for link in ended]
        for agent in list(self._agents.all):
            if agent.link in ended:
                await self._agents.end(agent)
        for link in ended:
            await self._links.end(link)
        await stream.send({"type": "closed", "connections": described})
        if not self._links.all:
            self.retire()

    def retire(self) -> None:
        """Take no new client, so that another holder can begin. Those that there are go on."""
        if not self._retired:
            self._retired = True
            self._stop_listening()

    def _describe(self, link: Link) -> dict[str, Any]:
        agents = [agent for agent in self._agents.all if agent.link is link]
        busy = link.busy or any(agent.client is not None for agent in agents)
        used = max([link.used, *(agent.used for agent in agents)])
        return {
            "device": link.device.name,
            "address": str(link.device.address),
            "since": link.opened,
            "idle_seconds": None if busy else round(time.monotonic() - used, 1),
            "uses": link.uses,
            "waiting": [agent.app for agent in agents],
        }


async def _feed(stream: Stream, channel: Channel) -> None:
    """Pass on what the client sends, until it has gone."""
    while (frame := await stream.read()) is not None:
        if frame.type == "stdin":
            await channel.write(frame.payload)
        elif frame.type == "eof":
            await channel.write_eof()
        elif frame.type == "resize":
            channel.resize(int(frame.message["columns"]), int(frame.message["rows"]))


async def _serve(stream: Stream, channel: Channel) -> None:
    """Pass on what the program prints, and its exit code."""

    async def copy(kind: str, read: Callable[[int], Awaitable[bytes]]) -> None:
        while data := await read(_CHUNK):
            await stream.send({"type": kind}, data)
        await stream.send({"type": kind})

    try:
        await asyncio.gather(copy("stdout", channel.read), copy("stderr", channel.read_error))
        code = await channel.wait()
    except DeviceError as error:
        await stream.send(encode_error(error))
        return
    await stream.send({"type": "exited", "code": code})


async def _run(place: Place, lock: int, ready: Callable[[], None]) -> None:
    def stop_listening() -> None:
        with suppress(OSError):
            place.remove_socket()
        server.close()
        os.close(lock)  # the next holder may begin

    holder = Holder(stop_listening)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, holder.ended.set)
    with suppress(FileNotFoundError):
        place.remove_socket()
    before = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(holder.serve_client, place.address, limit=1 << 20)
    finally:
        os.umask(before)
    ready()
    watching = asyncio.create_task(holder.watch())
    try:
        await holder.ended.wait()
    finally:
        holder.retire()
        watching.cancel()
        await holder.close()


def main(words: list[str]) -> int:
    """Hold connections for the store *words*[0] until there are none."""
    detach_from_parent()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    (store,) = words
    place = Place(Path(store))
    lock = place.open_file(place.lock, os.O_RDWR | os.O_CREAT)
    os.chdir("/")

    def ready() -> None:
        # The client reads the end of our output: the socket is there.
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0  # another one is there, or has just been started
    asyncio.run(_run(place, lock, ready))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
