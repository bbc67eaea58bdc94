"""What a virtual camera's web server is given when the camera wakes up: a serial number, a certificate, an account.

The public key with which packages are to be signed is the same for all virtual cameras of a store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from incamera.axis_os.accounts import FIRST_USER, make_account
from incamera.axis_os.facts import Facts
from incamera.virtual.keys import write_secret

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.archives.openpgp import PublicKey
    from incamera.targets.profile import Profile

_DAYS = 3650
# The file in a camera's folder with the password of its account.
_PASSWORD = "password"


@dataclass(frozen=True, kw_only=True, slots=True)
class Web:
    """The web server of a virtual camera: its *ports*, its *settings* for link.sh, and what the *record* says of it."""

    ports: tuple[int, ...] = ()
    settings: str = "-"
    record: dict[str, Any] = field(default_factory=dict)


NO_WEB = Web()


def prepare_web(profile: Profile, folder: Path, mac: str, signing_key: PublicKey) -> Web:
    """Return the web server of a camera of *profile* with the address *mac*, with a new certificate and password.

    The password is written into *folder*, which only the user can enter. Raises OSError.
    """
    digest, certificate = make_certificate("axis-" + mac.replace(":", ""))
    password = secrets.token_urlsafe(18)
    write_secret(folder / _PASSWORD, f"{password}\n".encode())
    return Web(
        ports=tuple(map(int, make_facts(mac, profile).rules["schemes"])),
        settings=plan_settings(mac, certificate, password, profile, signing_key),
        record={"certificate": digest, "password": str(folder / _PASSWORD)},
    )


def make_facts(mac: str, profile: Profile) -> Facts:
    """Return the facts of a camera of *profile* with the address *mac*."""
    serial = mac.replace(":", "").upper()
    return Facts(version=profile.version, architecture=str(profile.architecture), serial=serial)


def make_certificate(host_name: str) -> tuple[str, bytes]:
    """Return the SHA-256 of a new certificate for *host_name*, in hexadecimal digits, and the PEM file with its key.

    Its names are those of a camera's own certificate, which is self-signed.
    """
    from cryptography import x509  # lazy: start-up; only cameras with a web server have one
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    serial = host_name.removeprefix("axis-").upper()
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Axis Communications AB"),
            x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, serial),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{host_name}-eccp256-1"),
        ]
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(host_name), x509.DNSName(f"{host_name}.local")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest(), pem


def plan_settings(mac: str, certificate: bytes, password: str, profile: Profile, signing_key: PublicKey) -> str:
    """Return the settings for a camera of *profile* as link.sh takes them: in base64."""
    facts = make_facts(mac, profile)
    settings = {
        "serial": facts.serial,
        "certificate": certificate.decode("ascii"),
        "signing_key": f"{signing_key.modulus:x}",
        "accounts": {FIRST_USER: make_account(FIRST_USER, password, facts.realm).to_json()},
    }
    return base64.b64encode(json.dumps(settings).encode()).decode()
