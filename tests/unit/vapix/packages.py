"""Packages for the tests: small .eap files."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

SIGNATURE = b"-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n"
SIGNED = SIGNATURE + len(SIGNATURE).to_bytes(4, "big") + b"\0\0\0\1" + bytes.fromhex("658d14ab4207aac6")


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
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=0) + (SIGNED if signed else b""))
    return path


def name_and_version(data: bytes) -> tuple[str, str]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data.partition(SIGNED)[0]))) as archive:
        stream = archive.extractfile("manifest.json")
        assert stream is not None
        setup = json.load(stream)["acapPackageConf"]["setup"]
    return setup["appName"], setup["version"]
