from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from incamera.console_steps import ConsoleStep
from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError
from incamera.http import Http
from incamera.store import Store
from incamera.targets.host import Host
from incamera.toolchain import zig
from incamera.toolchain.pinned_wheel import PinnedWheel
from incamera.toolchain.plan import Compiler, Compilers
from incamera.toolchain.zig import ensure_zig

if TYPE_CHECKING:
    from tests.unit.conftest import Web

HOST = Host("x86_64", "amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")
FILE = "ziglang-1.0-py3-none-manylinux_2_12_x86_64.whl"


def make_wheel() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ziglang/zig", "#!/bin/sh\n")
        archive.writestr("ziglang/lib/std.zig", "")
    return stream.getvalue()


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The bytes of the pinned wheel."""
    data = make_wheel()
    pinned = PinnedWheel(file=FILE, sha256=Sha256.of(data), size=len(data))
    compilers = Compilers(default=Compiler.gcc, gcc={}, zig_version="1.0", zig_wheels={HOST.machine: pinned})
    monkeypatch.setattr(zig, "load_compilers", lambda: compilers)
    return data


def index(web: Web, data: bytes) -> dict[str, str]:
    page: dict[str, Any] = {"files": [{"filename": FILE, "url": f"../../files/{FILE}", "hashes": {}}]}
    web.pages = {"/simple/ziglang/": json.dumps(page).encode(), f"/files/{FILE}": data}
    return {"PIP_INDEX_URL": f"{web.url}/simple/"}


def test_zig_is_downloaded_once_from_the_users_index(tmp_path: Path, web: Web, wheel: bytes) -> None:
    store, environment = Store(tmp_path), index(web, wheel)
    tree, cached = ensure_zig(store, Http(), HOST, environment=environment)
    assert (tree / "ziglang/zig").stat().st_mode & 0o111
    assert not cached
    requests = len(web.requests)
    assert ensure_zig(store, Http(), HOST, environment=environment) == (tree, True)
    assert len(web.requests) == requests


def test_step_shows_how_much_of_zig_is_downloaded_and_unpacked(tmp_path: Path, web: Web, wheel: bytes) -> None:
    shown: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def show_bar(label: str, total: int) -> Iterator[Callable[[int], None]]:
        shown.append((label, total, []))
        yield shown[-1][2].append

    step = ConsoleStep("toolchain", show_bar)
    ensure_zig(Store(tmp_path), Http(), HOST, environment=index(web, wheel), phase=step.phase)
    assert [label for label, _, _ in shown] == ["toolchain: downloading zig", "toolchain: unpacking zig"]
    assert all(sum(counts) == total for _, total, counts in shown)


def test_file_with_another_hash_is_refused(tmp_path: Path, web: Web, wheel: bytes) -> None:
    changed = bytes([wheel[0] ^ 1]) + wheel[1:]
    with pytest.raises(IntegrityError, match=FILE):
        ensure_zig(Store(tmp_path), Http(), HOST, environment=index(web, changed))


def test_missing_file_is_reported_without_the_indexs_password(tmp_path: Path, web: Web, wheel: bytes) -> None:
    web.pages = {"/simple/ziglang/": b'{"files": []}'}
    address = web.url.replace("//", "//user:secret@") + "/simple"
    with pytest.raises(FetchError, match=FILE) as caught:
        ensure_zig(Store(tmp_path), Http(), HOST, environment={"PIP_INDEX_URL": address})
    assert "secret" not in str(caught.value)
    assert "gcc" in str(caught.value.hint)


def test_login_in_the_indexs_address_is_used(tmp_path: Path, web: Web, wheel: bytes) -> None:
    address = index(web, wheel)["PIP_INDEX_URL"].replace("//", "//user:secret@", 1)
    ensure_zig(Store(tmp_path), Http(), HOST, environment={"PIP_INDEX_URL": address})
    assert {headers["authorization"] for headers in web.headers} == {"Basic dXNlcjpzZWNyZXQ="}
