"""Gets a wheel whose hash is known from the user's package index, and unpacks what is needed of it into the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.archives import BadArchive, clean_path, open_zip
from incamera.digest import Sha256
from incamera.errors import BuildError, FetchError, IntegrityError
from incamera.http import NotFound
from incamera.simple_index import ACCEPT, find_index_urls, parse_project_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from incamera.http import Http
    from incamera.store import Store

Phase = Callable[[str, str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedWheel:
    """A wheel for one kind of host; `size` in bytes."""

    file: str
    sha256: Sha256
    size: int

    @classmethod
    def parse(cls, facts: Mapping[str, object]) -> PinnedWheel:
        """Return the wheel of a table in a data file."""
        return cls(file=str(facts["file"]), sha256=Sha256(str(facts["sha256"])), size=int(str(facts["size"])))


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelProgram:
    """What is taken from wheels of the *project* of an index: the file *wanted*, made executable, and all other
    files of which *needs* says so.

    *name* is for messages. *kind*: that of the tree in the store. *hint*: what helps if no index has the wheel.
    """

    name: str
    project: str
    kind: str
    wanted: str
    hint: str
    needs: Callable[[str], bool] = lambda _: True


def ensure_wheel(
    store: Store,
    http: Http,
    program: WheelProgram,
    wheel: PinnedWheel,
    *,
    environment: Mapping[str, str] | None = None,
    phase: Phase = lambda doing, done, total: nullcontext(lambda _: None),
) -> tuple[Path, bool]:
    """Return the tree with the *program* of *wheel*, and whether the store had it already.

    *environment* has the user's pip settings. *phase*: see `context.Step`. Raises FetchError, IntegrityError,
    BuildError.
    """

    def build(tree: Path) -> None:
        blob = store.find_blob(wheel.sha256)
        if blob is None:
            with phase(f"downloading {program.name}", f"{program.name} downloaded", wheel.size) as progress:
                pip = os.environ if environment is None else environment
                blob = _fetch(store, http, program, wheel, pip, progress)
        _unpack(blob, program, tree, phase)

    return store.ensure_tree(program.kind, wheel.sha256, build)


def _fetch(
    store: Store,
    http: Http,
    program: WheelProgram,
    wheel: PinnedWheel,
    environment: Mapping[str, str],
    progress: Callable[[int], None],
) -> Path:
    indexes = [http.remember_login(url) for url in find_index_urls(environment)]
    url = next((url for index in indexes if (url := _find_wheel_url(http, index, program, wheel.file))), None)
    if url is None:
        raise FetchError(f"there is no {wheel.file} in {' and '.join(indexes)}", hint=program.hint)
    with store.writing_blob(wheel.sha256, name=wheel.file) as blob:
        http.download(url, blob, size=wheel.size, progress=progress)
    return store.blob_path(wheel.sha256)


def _find_wheel_url(http: Http, index: str, program: WheelProgram, file: str) -> str | None:
    """Return the address of *file* in *index*; None when it isn't there. Any index will do, since the hash is known."""
    try:
        page = http.get_response(f"{index}/{program.project}/", headers={"Accept": ACCEPT})
    except NotFound:
        return None
    return next((found.url for found in parse_project_page(page.body, page.url) if found.filename == file), None)


def _unpack(wheel: Path, program: WheelProgram, tree: Path, phase: Phase) -> None:
    name = program.name
    try:
        with open_zip(wheel) as archive:
            infos = [info for info in archive.infos if program.needs(info.filename)]
            size = sum(info.file_size for info in infos)
            with phase(f"unpacking {name}", f"{name} unpacked", size) as advance:
                for info in infos:
                    # The hash makes this unlikely, but a mistake in a data file must not write outside the tree.
                    path = tree / clean_path(info.filename)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("xb") as target:
                        for data in archive.chunks(info):
                            target.write(data)
                            advance(len(data))
    except BadArchive as error:
        raise IntegrityError(f"{wheel.name} is not a wheel: {error}") from error
    path = tree / program.wanted
    if not path.exists():
        raise BuildError(f"the wheel of {program.project} contains no {program.wanted}")
    path.chmod(0o755)
