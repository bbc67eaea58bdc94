"""Container images that tests make: layers, manifests, and the forms in which registries and programs keep them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OCI = "application/vnd.oci.image"
TOP = "opt/axis/acapsdk"
SYSROOT = f"{TOP}/sysroots/armv7hf"
SCRIPT = f"{TOP}/environment-setup-cortexa9hf-neon-poky-linux-gnueabi"


def make_layer(files: Mapping[str, bytes | str | None]) -> bytes:
    """Return a tar archive of *files* by their paths: bytes, the target of a link, or None for a folder.

    A target with `=` in front is that of a hard link.
    """
    output = io.BytesIO()
    with tarfile.open(mode="w|", fileobj=output) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type = tarfile.LNKTYPE if content.startswith("=") else tarfile.SYMTYPE
                info.linkname = content.removeprefix("=")
            else:
                info.size, info.mode = len(content), 0o644
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return output.getvalue()


@dataclass(frozen=True)
class MadeImage:
    """An image with *layers*, packed as they are, whose contents are *unpacked*."""

    layers: tuple[bytes, ...]
    unpacked: tuple[bytes, ...]

    @property
    def config(self) -> bytes:
        digests = [digest_of(layer) for layer in self.unpacked]
        table = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}}
        return json.dumps(table).encode()

    @property
    def manifest(self) -> bytes:
        kinds = [f"{OCI}.layer.v1.tar{suffix(layer)}" for layer in self.layers]
        table = {
            "schemaVersion": 2,
            "mediaType": f"{OCI}.manifest.v1+json",
            "config": describe(self.config, f"{OCI}.config.v1+json"),
            "layers": [describe(layer, kind) for layer, kind in zip(self.layers, kinds, strict=True)],
        }
        return json.dumps(table).encode()

    @property
    def index(self) -> bytes:
        """The image for one platform, beside what was built for another and the attestation of either."""
        kind = f"{OCI}.manifest.v1+json"
        attestation = describe(b"{}", kind) | {"platform": {"os": "unknown", "architecture": "unknown"}}
        other = describe(b"[]", kind) | {"platform": {"os": "linux", "architecture": "s390x"}}
        own = describe(self.manifest, kind) | {"platform": {"os": "linux", "architecture": "amd64"}}
        table = {"schemaVersion": 2, "mediaType": f"{OCI}.index.v1+json", "manifests": [attestation, other, own]}
        return json.dumps(table).encode()

    @property
    def blobs(self) -> dict[str, bytes]:
        """All that a registry has of the image, by its digest."""
        return {digest_of(data): data for data in (*self.layers, self.config, self.manifest, self.index)}


def image_of(*layers: bytes) -> MadeImage:
    """Return an image with *layers*, each packed with gzip: at any time the same, for tests are named after digests."""
    return MadeImage(tuple(gzip.compress(layer, 1, mtime=0) for layer in layers), layers)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def describe(data: bytes, kind: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}


def suffix(layer: bytes) -> str:
    return "+gzip" if layer.startswith(b"\x1f\x8b") else "+zstd" if layer.startswith(b"\x28\xb5\x2f\xfd") else ""


def layout_files(images: Mapping[str, MadeImage]) -> dict[str, bytes]:
    """Return the files of a folder in OCI's layout that has *images* by their names."""
    kind = f"{OCI}.manifest.v1+json"
    entries = [
        describe(image.manifest, kind) | {"annotations": {"org.opencontainers.image.ref.name": name}}
        for name, image in images.items()
    ]
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    for image in images.values():
        files |= {f"blobs/{digest.replace(':', '/')}": data for digest, data in image.blobs.items()}
    return files


def saved_files(images: Mapping[str, MadeImage]) -> dict[str, bytes | str]:
    """Return the files of what an older `docker save` writes of *images*. A layer that is there already is a link."""
    files: dict[str, bytes | str] = {}
    table = []
    seen: dict[bytes, str] = {}
    for name, image in images.items():
        config = f"{hashlib.sha256(image.config).hexdigest()}.json"
        files[config] = image.config
        paths = []
        for layer in image.unpacked:
            path = f"{len(files):064x}/layer.tar"
            files[path] = f"../{seen[layer]}" if layer in seen else layer
            seen.setdefault(layer, path)
            paths.append(path)
        table.append({"Config": config, "RepoTags": [name], "Layers": paths})
    return {**files, "manifest.json": json.dumps(table).encode()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write *files* below *folder*, and return that."""
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def write_archive(path: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write the tar archive *path* of *files*, and return that."""
    path.write_bytes(make_layer(files))
    return path


def sdk_layers(headers: Mapping[str, bytes] = {}, libraries: Mapping[str, bytes] = {}) -> Sequence[bytes]:
    """Return layers as those of the vendor's image: a system, the SDK in three steps, and one that only removes."""
    script = (
        f"export SDKTARGETSYSROOT=/{SYSROOT}\n"
        'export CC="arm-linux-gnueabihf-gcc -mthumb -mfpu=neon -mfloat-abi=hard -mcpu=cortex-a9 '
        '-fstack-protector-strong --sysroot=$SDKTARGETSYSROOT -L$SDKTARGETSYSROOT/usr/lib"\n'
        'export CFLAGS=" -O2 -pipe -U_TIME_BITS -U_FILE_OFFSET_BITS"\n'
        'export LDFLAGS="-Wl,-O1 -Wl,--disable-new-dtags"\n'
    ).encode()
    sdk: dict[str, bytes | str | None] = {
        f"{SYSROOT}/lib": "usr/lib",
        f"{SYSROOT}/usr/include/stdio.h": b"#error the image's C library\n",
        f"{SYSROOT}/usr/lib/libjpeg.so.62": b"jpeg",
        f"{SYSROOT}/usr/lib/libjpeg.so": "libjpeg.so.62",
    }
    sdk |= {f"{SYSROOT}/usr/include/{name}": data for name, data in headers.items()}
    sdk |= {f"{SYSROOT}/usr/lib/{name}": data for name, data in libraries.items()}
    return (
        make_layer({"etc/passwd": b"root", "usr/bin/sh": b"sh", "opt": None}),
        make_layer({SCRIPT: script, f"{TOP}/sysroots/x86_64-pokysdk-linux/usr/bin/tool": b"host"}),
        make_layer(sdk),
        make_layer({f"{SYSROOT}/usr/lib/.wh.libjpeg.so.62": b"", f"{SYSROOT}/usr/lib/.wh.libjpeg.so": b""}),
    )
