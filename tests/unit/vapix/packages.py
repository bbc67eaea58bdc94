"""Packages for the tests: small .eap files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from incamera.archives.openpgp import PublicKey, make_signature
from incamera.archives.signature import make_trailer


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_key() -> PublicKey:
    """Return the key that packages are signed with."""
    return PublicKey(private_key().public_key().public_numbers().n)


def sign(data: bytes, key: PublicKey | None = None) -> bytes:
    """Return the package *data* with a signature that names *key* behind it."""

    def encrypt(digest: bytes) -> bytes:
        return private_key().sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA512()))

    return data + make_trailer(make_signature([data], key or public_key(), 1_700_000_000, encrypt))


def manifest(name: str = "own_app", version: str = "1.0.0", **setup: Any) -> dict[str, Any]:
    return {
        "schemaVersion": "2.0.0",
        "acapPackageConf": {
            "setup": {
                "appName": name,
                "vendor": "me",
                "vendorId": "1234567890",
                "version": version,
                "runMode": "never",
                "architecture": "armv7hf",
                "compatibleOsVersions": [{"min": "11.11", "max": "13"}],
                **setup,
            }
        },
    }


def make_package(path: Path, document: Any = None, *, signed: bool = False, conf: str = "") -> Path:
    """Write the package *path* with the manifest *document*; without one if it is False."""
    packed = io.BytesIO()
    files = {"own_app": b"#!/bin/sh\n", "package.conf": conf.encode()}
    if document is not False:
        files["manifest.json"] = json.dumps(document if document is not None else manifest()).encode()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    data = gzip.compress(packed.getvalue(), mtime=0)
    path.write_bytes(sign(data) if signed else data)
    return path


def name_and_version(data: bytes) -> tuple[str, str]:
    with tarfile.open(fileobj=io.BytesIO(zlib.decompressobj(wbits=31).decompress(data))) as archive:
        stream = archive.extractfile("manifest.json")
        assert stream is not None
        setup = json.load(stream)["acapPackageConf"]["setup"]
    return setup["appName"], setup["version"]
