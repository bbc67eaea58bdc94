"""Cameras in the test process, and clients for them."""

from __future__ import annotations

import dataclasses
import hashlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.conftest import make_certificate
from tests.unit.vapix.fake_camera import FakeCamera, serving_camera

from incamera.http_auth import Login
from incamera.vapix.address import WebDevice, parse_url
from incamera.vapix.client import Client

LOGIN = Login("root", "pa:ss w\u00f6rd")


class KnownLogins:
    """Logins that are tried one after the other."""

    def __init__(self, *logins: Login) -> None:
        self.logins = list(logins or [LOGIN])
        self.given = 0
        self.was_accepted = 0

    def first(self) -> Login:
        self.given = 1
        return self.logins[0]

    def next(self) -> Login | None:
        self.given += 1
        return self.logins[self.given - 1] if self.given <= len(self.logins) else None

    def accepted(self) -> None:
        self.was_accepted += 1


_made: list[Client] = []


@pytest.fixture(autouse=True)
def closing_clients() -> Iterator[None]:
    yield
    while _made:
        _made.pop().close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a certificate, and its key."""
    path = tmp_path_factory.mktemp("certificate") / "camera.pem"
    path.write_bytes(make_certificate())
    return path


def digest_of(certificate: Path) -> str:
    """Return the SHA-256 of the certificate in the file, as it is pinned."""
    pem = certificate.read_text()
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])).hexdigest()


@pytest.fixture
def camera(certificate: Path) -> Iterator[FakeCamera]:
    """A camera over https."""
    with serving_camera(FakeCamera(), certificate) as camera:
        yield camera


@pytest.fixture
def plain_camera() -> Iterator[FakeCamera]:
    """A camera over http, with Digest."""
    with serving_camera(FakeCamera(scheme="digest"), None) as camera:
        yield camera


def make_client(camera: FakeCamera, certificate: Path | None = None, logins: KnownLogins | None = None) -> Client:
    """Return a client for *camera*, which is closed after the test. Without *certificate*, none is known."""
    address = parse_url(camera.url)
    if certificate is not None:
        address = dataclasses.replace(address, certificate=digest_of(certificate))
    _made.append(Client(WebDevice(name="gate", address=address), logins or KnownLogins()))
    return _made[-1]
