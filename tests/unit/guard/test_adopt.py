"""`verbs.adopt`: a share's client may show a file for a second after another has replaced it."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.transport.fake import FakeProcess, FakeTransport

from incamera.errors import DeviceError
from incamera.guard import verbs
from incamera.runtime.launcher.protocol import ExitCode
from incamera.transport.device import Device, SshAddress

ADOPTION = verbs.Adoption(place="/share", app="app", bundle="name", remake=True)
ACTIVATED = b'{"kind": "activated", "root": "/tmp/incamera-roots/name"}\n'


def transport_that_shows_the_old_image(times: int) -> FakeTransport:
    """Return a device whose share shows a damaged image so many times, and then the one that replaced it."""
    shown = 0

    async def adopt(process: FakeProcess) -> int:
        nonlocal shown
        shown += 1
        if shown <= times:
            await process.stderr.write(b"incamera-guard: the image is damaged, deploy again: /share/image\n")
            return ExitCode.image_damaged
        await process.stdout.write(ACTIVATED)
        return 0

    return FakeTransport(Device(name="cam", address=SshAddress(host="192.0.2.10")), {"/guard adopt": adopt})


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs, "_LOOK_SECONDS", 0.0)


def test_adopt_waits_until_the_share_shows_the_repaired_image() -> None:
    transport = transport_that_shows_the_old_image(times=2)
    assert asyncio.run(verbs.adopt(transport, "/guard", ADOPTION, looks=3)) == "/tmp/incamera-roots/name"


def test_adopt_fails_when_the_image_stays_damaged() -> None:
    transport = transport_that_shows_the_old_image(times=9)
    with pytest.raises(DeviceError, match="image on cam is damaged"):
        asyncio.run(verbs.adopt(transport, "/guard", ADOPTION, looks=3))
    assert len(transport.started) == 3
