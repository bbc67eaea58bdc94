"""`incamera sdk`: what an image has of the SDK is in the store, whole or not at all."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.container_images import (
    SYSROOT,
    MadeImage,
    digest_of,
    image_of,
    layout_files,
    make_layer,
    saved_files,
    sdk_layers,
    write_archive,
    write_files,
)
from tests.schemas import check_output
from tests.unit.archives.hostile import zstd_stream
from tests.unit.oci.conftest import TokenRegistry, token_registry

from incamera.__main__ import main
from incamera.build.vendor_sdk import KIND, find_sdk, require_sdk
from incamera.disk import fix_umask
from incamera.errors import ConfigError
from incamera.store import Store
from incamera.targets.target import Target

if TYPE_CHECKING:
    from tests.unit.conftest import Web

__all__ = ["token_registry"]

NAME = "axisecp/acap-native-sdk:1.0-armv7hf"
LAYERS = sdk_layers({"camera-only.h": b"#define ANSWER 42\n"}, {"libcamera-only.so.1": b"so"})
SDK = MadeImage((*map(gzip.compress, LAYERS[:2]), zstd_stream(LAYERS[2]), gzip.compress(LAYERS[3])), tuple(LAYERS))


class Command:
    """Runs `incamera` with a store of its own, and without a proxy or a login of this computer."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.out = self.err = ""

    def __call__(self, *words: str | Path) -> int:
        out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(word) for word in words])
        self.out, self.err = (_text(stream) for stream in (out, err))
        if "--json" in words and self.out:
            check_output([str(word) for word in words], self.out)
        return code

    def json(self, *words: str | Path) -> Any:
        assert self(*words, "--json") == 0, self.err
        return json.loads(self.out)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    raw = stream.buffer
    assert isinstance(raw, io.BytesIO)
    return raw.getvalue().decode()


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    fix_umask()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    return Command(tmp_path / "store")


def add_tar(command: Command, tmp_path: Path, image: MadeImage, name: str = NAME) -> int:
    return command("sdk", "add", name, "--from", write_archive(tmp_path / "image.tar", layout_files({name: image})))


def test_sdk_comes_from_its_registry(command: Command, token_registry: TokenRegistry) -> None:
    token_registry.add(SDK, index=True)
    name = str(token_registry.name())
    added = command.json("sdk", "add", name)
    assert added["name"] == name
    assert added["architecture"] == "armv7hf"
    assert f"sha256:{added['digest']}" == digest_of(SDK.manifest)
    assert added["flags"][:2] == ["-mthumb", "-mfpu=neon"]
    sysroot = Path(added["sysroot"])
    assert (sysroot / "usr/include/camera-only.h").read_text() == "#define ANSWER 42\n"
    assert (sysroot / "lib/libcamera-only.so.1").read_bytes() == b"so"
    assert [path.name for path in (sysroot / "usr/lib").iterdir()] == ["libcamera-only.so.1"]
    assert list((command.store / "caches/image-layers").iterdir()) == []
    asked = len(token_registry.blobs.requests)
    assert command("sdk", "add", name) == 0
    assert len(token_registry.blobs.requests) == asked
    listed = command.json("sdk", "list")["sdks"]
    assert [(sdk["name"], sdk["source"]) for sdk in listed] == [(name, name.partition("/")[0])]
    assert command("completion", "--names", "sdks") == 0
    assert command.out.split() == [name]
    assert command.json("sdk", "remove", name)["removed"] == name
    assert not sysroot.exists()
    assert command("sdk", "remove", name) == 2
    assert "is not in the store" in command.err


@pytest.mark.parametrize("form", ["folder", "archive", "saved"])
def test_sdk_comes_from_a_folder_or_a_file(command: Command, tmp_path: Path, form: str) -> None:
    if form == "folder":
        source = write_files(tmp_path / "layout", layout_files({NAME: SDK}))
    else:
        files = saved_files({NAME: SDK}) if form == "saved" else layout_files({NAME: SDK})
        source = write_archive(tmp_path / "image.tar", files)
    added = command.json("sdk", "add", NAME, "--from", source)
    assert (Path(added["sysroot"]) / "usr/include/camera-only.h").is_file()
    assert added["name"] == NAME


@pytest.mark.starts_processes
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_sdk_comes_from_an_engine(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    # A daemon cannot run here, so a program stands for the engine's own. It writes what that would write.
    write_archive(tmp_path / "image.tar", layout_files({NAME: SDK}))
    program = tmp_path / "bin" / engine
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$DOCKER_HOST $@" >{tmp_path}/called\n'
        "for word; do last=$previous; previous=$word; done\n"
        f'[ "$previous" = {NAME} ] || {{ echo "no such image" >&2; exit 1; }}\ncp {tmp_path}/image.tar "$last"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", "unix:///x")
    assert command.json("sdk", "add", NAME, "--from", engine)["architecture"] == "armv7hf"
    called = (tmp_path / "called").read_text().split()
    assert called[:3] == ["unix:///x", "image", "save"]
    assert command("sdk", "add", "other/name:1", "--from", engine) == 5
    assert "no such image" in command.err
    assert f"{engine} pull other/name:1" in command.err


def test_image_that_is_missing_is_an_error_with_tags_that_exist(
    command: Command, token_registry: TokenRegistry
) -> None:
    token_registry.add(SDK, "12.11.0-armv7hf")
    assert command("sdk", "add", str(token_registry.name("12.11.1-armv7hf"))) == 5
    assert "has no image" in command.err
    assert "12.11.0-armv7hf" in command.err.partition("hint:")[2]


def test_source_that_does_not_exist_is_an_error_with_those_that_can_be(command: Command, tmp_path: Path) -> None:
    assert command("sdk", "add", NAME, "--from", tmp_path / "lost.tar") == 2
    assert "lost.tar: No such file" in command.err
    assert "--from takes docker, podman" in command.err
    assert command("sdk", "add", NAME, "--from", tmp_path) == 5
    assert "so it is no image" in command.err


def test_registry_that_cannot_be_reached_is_an_error_with_another_way(command: Command, web: Web) -> None:
    address = web.url.removeprefix("http://")
    web.server.shutdown()
    web.server.server_close()
    assert command("sdk", "add", f"{address}/vendor/sdk:1.0") == 5
    assert "docker save" in command.err


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([make_layer({"etc/passwd": b""})], "has no sysroot of a camera"),
        ([*LAYERS, make_layer({f"{SYSROOT}/usr/.wh.include": b""})], "has no sysroot of a camera"),
        ([*LAYERS[:2], LAYERS[2][:1300]], "is damaged"),
        ([*LAYERS, make_layer({f"{SYSROOT}/usr/x": "=usr/y"})], "hard link"),
    ],
    ids=["none", "removed", "cut", "link"],
)
def test_image_that_cannot_be_used_leaves_nothing(
    command: Command, tmp_path: Path, layers: Sequence[bytes], message: str
) -> None:
    assert add_tar(command, tmp_path, image_of(*layers)) == 5
    assert message in command.err
    assert command.json("sdk", "list") == {"schema": 1, "sdks": [], "cleaned": []}
    assert list((command.store / "trees").glob(f"{KIND}/*")) == []
    assert [path.name for path in (command.store / "tmp").iterdir()] == ["CACHEDIR.TAG"]


def test_damaged_layer_of_a_registry_is_fetched_again(command: Command, token_registry: TokenRegistry) -> None:
    broken = image_of(*LAYERS[:2], LAYERS[2][:1300])
    token_registry.add(broken)
    assert command("sdk", "add", str(token_registry.name())) == 5
    assert list((command.store / "caches/image-layers").iterdir()) == []


def test_project_gets_the_sdk_of_its_targets_architecture(command: Command, tmp_path: Path) -> None:
    assert add_tar(command, tmp_path, SDK) == 0
    store = Store(command.store)
    armv7, aarch64 = Target.parse("armv7hf"), Target.parse("aarch64")
    found = require_sdk(store, "axisecp/acap-native-sdk:1.0-{architecture}", armv7)
    assert found.name == NAME
    with pytest.raises(ConfigError, match=r"1\.0-aarch64 is not in the store"):
        require_sdk(store, "axisecp/acap-native-sdk:1.0-{architecture}", aarch64)
    with pytest.raises(ConfigError, match="is for armv7hf, and not for aarch64"):
        require_sdk(store, NAME, aarch64)
    store.remove(KIND, next((command.store / "trees" / KIND).glob("*.json")).stem)
    assert find_sdk(store, NAME) is None
    assert command.json("sdk", "list")["cleaned"] == [NAME]


def test_two_names_of_one_image_share_it(command: Command, tmp_path: Path) -> None:
    for name in (NAME, "other/name:2"):
        assert add_tar(command, tmp_path, SDK, name) == 0
    assert command("sdk", "remove", NAME) == 0
    assert find_sdk(Store(command.store), "other/name:2") is not None
