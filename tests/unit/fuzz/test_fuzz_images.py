"""Any image is read or refused: names of images, manifests, folders and files with images, layers, tokens, flags.

Each target has few examples each time, and many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import gzip
import io
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.container_images import MadeImage, image_of, layout_files, make_layer, saved_files, sdk_layers, write_files
from tests.unit.archives.hostile import header, member, tar, zstd_stream
from tests.unit.fuzz.documents import damaged_bytes, damaged_values

from incamera.archives import BadArchive
from incamera.errors import ConfigError, FetchError
from incamera.image_name import parse_image_name
from incamera.oci.archive import FolderFiles, TarFiles, find_image
from incamera.oci.layers import Folder, Unpacker, write_tree
from incamera.oci.manifest import Index, choose_platform, parse_diff_ids, parse_manifest
from incamera.oci.registry import parse_token
from incamera.sdk.vendor import TOP, is_wanted

NAME = parse_image_name("vendor/sdk:1.0")
SDK = image_of(*sdk_layers())
SMALL = image_of(make_layer({"a": b"a"}), make_layer({"b": b"b"}))
MANIFEST, INDEX = (json.loads(data) for data in (SMALL.manifest, SMALL.index))
NAMES = (
    *("opt", TOP, f"{TOP}/sysroots/armv7hf", f"{TOP}/sysroots/armv7hf/usr/lib", f"{TOP}/sysroots/armv7hf/usr/lib/a"),
    *("", ".", "..", "/", f"/{TOP}/x", f"{TOP}/../../x", f"{TOP}/sysroots/armv7hf/usr/lib/b", "etc/passwd", "\xff"),
)
names = st.sampled_from([name.encode("latin-1") for name in NAMES])
marked = st.builds(
    lambda folder, mark: folder + b"/" + mark,
    names,
    st.sampled_from([b".wh.a", b".wh.", b".wh...", b".wh..wh..opq", b".wh..wh.x"]),
)
parts = st.one_of(
    st.builds(member, names, st.binary(max_size=20)),
    st.builds(member, marked, st.just(b"")),
    st.builds(header, names, kind=st.sampled_from([b"1", b"2", b"3", b"5"]), link=names),
)
layers = st.lists(parts, max_size=6).map(lambda found: tar(*found))
packed = st.one_of(
    layers,
    layers.map(zstd_stream),
    damaged_bytes(gzip.compress(sdk_layers()[3])),
    damaged_bytes(zstd_stream(sdk_layers()[3])),
)


def check_manifest(data: bytes) -> None:
    try:
        found = parse_manifest(data)
        if isinstance(found, Index):
            choose_platform(found)
        parse_diff_ids(data)
    except BadArchive:
        pass


def check_layers(found: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch, out = Path(name, "scratch"), Path(name, "out", "in")
        scratch.mkdir()
        out.mkdir(parents=True)
        image, unpacker = Folder(), Unpacker(scratch, TOP, is_wanted)
        try:
            for data in found:
                unpacker.read(io.BytesIO(data), len(data)).apply(image)
        except BadArchive:
            return
        top = image.find(TOP)
        if isinstance(top, Folder):
            write_tree(top, out, TOP)
        assert [path.name for path in out.parent.iterdir()] == ["in"]
        for path in out.rglob("*"):
            assert not path.name.startswith(".wh.")
            if path.is_symlink():
                target = Path(path.parent, path.readlink())
                assert not path.readlink().is_absolute()
                # Without following other links, which lead nowhere else either.
                assert Path(*_normal(target.parts)).is_relative_to(out)
        assert {path.name for path in Path(name).iterdir()} == {"scratch", "out"}


def _normal(parts: tuple[str, ...]) -> list[str]:
    done: list[str] = []
    for part in parts:
        if part == "..":
            done.pop()
        else:
            done.append(part)
    return done


def check_folder(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as name, suppress(BadArchive, ConfigError):
        find_image(FolderFiles(write_files(Path(name), files)), NAME)


def check_file(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "image.tar")
        path.write_bytes(data)
        try:
            files = TarFiles(path, Path(name, "scratch"))
            for layer in find_image(files, NAME).layers:
                files.open(layer.path)[0].close()
        except (BadArchive, ConfigError):
            pass


def check_token(data: bytes) -> None:
    try:
        token = parse_token(data, "registry.example")
    except FetchError:
        return
    assert token.isprintable()
    assert token.isascii()


def documents(document: dict[str, Any]) -> st.SearchStrategy[bytes]:
    text = json.dumps(document).encode()
    return damaged_values(document).map(lambda value: json.dumps(value).encode()) | damaged_bytes(text)


def layouts(image: MadeImage) -> st.SearchStrategy[dict[str, bytes]]:
    files = layout_files({"vendor/sdk:1.0": image, "other:2": SDK})
    saved = {path: data for path, data in saved_files({"vendor/sdk:1.0": image}).items() if isinstance(data, bytes)}
    return st.one_of(
        documents(json.loads(files["index.json"])).map(lambda data: {**files, "index.json": data}),
        documents({"x": json.loads(saved["manifest.json"])}).map(
            lambda data: {**saved, "manifest.json": data.removeprefix(b'{"x": ').removesuffix(b"}")}
        ),
    )


LAYOUT = make_layer(layout_files({"vendor/sdk:1.0": SMALL}))
SAVED = make_layer(saved_files({"vendor/sdk:1.0": SMALL}))
TARGETS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], None], int]] = {
    "manifest": (documents(MANIFEST) | documents(INDEX) | st.binary(max_size=50), check_manifest, 60),
    "layers": (st.lists(packed, min_size=1, max_size=3), check_layers, 60),
    "folder": (layouts(SMALL), check_folder, 30),
    "file": (damaged_bytes(LAYOUT) | damaged_bytes(SAVED) | damaged_bytes(gzip.compress(LAYOUT)), check_file, 40),
    "token": (documents({"token": "abc", "access_token": "x", "expires_in": 60}), check_token, 30),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.matrix)])
def test_image_is_read_or_refused(target: str, times: int) -> None:
    images, check, examples = TARGETS[target]
    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples * times,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(images)(check))()
