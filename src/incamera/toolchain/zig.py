"""Gets zig, a wheel from the package index, and unpacks it into the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.archives import BadArchive, clean_path, open_zip
from incamera.errors import BuildError, FetchError, IntegrityError
from incamera.http import NotFound
from incamera.simple_index import ACCEPT, find_index_urls, parse_project_page
from incamera.toolchain.plan import ZigWheel, load_compilers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.http import Http
    from incamera.store import Store
    from incamera.targets.host import Host

KIND = "zig"
Phase = Callable[[str, str, int], AbstractContextManager[Callable[[int], None]]]


def ensure_zig(
    store: Store,
    http: Http,
    host: Host,
    *,
    environment: Mapping[str, str] | None = None,
    phase: Phase = lambda doing, done, total: nullcontext(lambda _: None),
) -> tuple[Path, bool]:
    """Return the tree with `ziglang/zig` for *host*, and whether the store had it already.

    *environment* has the user's pip settings. *phase*: see `context.Step`. Raises FetchError, IntegrityError,
    BuildError.
    """
    wheel = load_compilers().zig_wheels[host.machine]

    def build(tree: Path) -> None:
        blob = store.find_blob(wheel.sha256)
        if blob is None:
            with phase("downloading zig", "zig downloaded", wheel.size) as progress:
                blob = _fetch(store, http, wheel, os.environ if environment is None else environment, progress)
        _unpack(blob, tree, phase)

    return store.ensure_tree(KIND, wheel.sha256, build)


def zig_cache(store: Store) -> Path:
    """Return the folder in which zig keeps the C runtimes that it builds."""
    path = store.root / "caches" / "zig"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _fetch(
    store: Store, http: Http, wheel: ZigWheel, environment: Mapping[str, str], progress: Callable[[int], None]
) -> Path:
    indexes = [http.remember_login(url) for url in find_index_urls(environment)]
    url = next((url for index in indexes if (url := _find_wheel_url(http, index, wheel.file))), None)
    if url is None:
        raise FetchError(
            f"there is no {wheel.file} in {' and '.join(indexes)}",
            hint="set PIP_INDEX_URL to an index that mirrors PyPI, or choose the other compiler: "
            'compiler = "gcc" in [tool.incamera]',
        )
    with store.writing_blob(wheel.sha256, name=wheel.file) as blob:
        http.download(url, blob, size=wheel.size, progress=progress)
    return store.blob_path(wheel.sha256)


def _find_wheel_url(http: Http, index: str, file: str) -> str | None:
    """Return the address of *file* in *index*; None when it isn't there. Any index will do, since the hash is known."""
    try:
        page = http.get_response(f"{index}/ziglang/", headers={"Accept": ACCEPT})
    except NotFound:
        return None
    return next((found.url for found in parse_project_page(page.body, page.url) if found.filename == file), None)


def _unpack(wheel: Path, tree: Path, phase: Phase) -> None:
    try:
        with (
            open_zip(wheel) as archive,
            phase("unpacking zig", "zig unpacked", sum(info.file_size for info in archive.infos)) as advance,
        ):
            for info in archive.infos:
                # The hash makes this unlikely, but a mistake in compilers.toml must not write outside the tree.
                path = tree / clean_path(info.filename)
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    for data in archive.chunks(info):
                        target.write(data)
                        advance(len(data))
    except BadArchive as error:
        raise IntegrityError(f"{wheel.name} is not a wheel: {error}") from error
    program = tree / "ziglang/zig"
    if not program.exists():
        raise BuildError("the wheel of ziglang contains no ziglang/zig")
    program.chmod(0o755)
