"""Metadata of wheels and sdists: where they are read from, and when they are refused."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from incamera.digest import Sha256
from incamera.errors import BuildError, FetchError, IntegrityError
from incamera.wheels import remote
from incamera.wheels.metadata import (
    Metadata,
    check_metadata,
    fetch_sdist_metadata,
    fetch_wheel_metadata,
    parse_metadata,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.wheels.conftest import Index, Make

    from incamera.wheels.page import IndexFile

HEAD = "Metadata-Version: 2.2\nName: Own\nVersion: 1.0.0\n"
NAME = "own-1.0-py3-none-any.whl"
STATIC = HEAD + "Requires-Dist: numpy>=1\n"


def of_wheel(index: Index, data: bytes, **more: Any) -> Metadata:
    return fetch_wheel_metadata(index.add(NAME, data, **more), index.http, index.store)


def of_sdist(index: Index, data: bytes, filename: str = "own-1.0.tar.gz") -> Metadata | None:
    return fetch_sdist_metadata(index.add(filename, data), index.http, index.store)


def test_all_fields_that_resolving_needs_are_read(index: Index, make: Make) -> None:
    text = (
        f"{HEAD}Requires-Python: >=3.9, <4\nRequires-Dist: numpy (>=1.2)\n"
        "Requires-Dist: other[fast] ; extra == 'all'\n  and python_version<'4'\nProvides-Extra: All_Things\n"
        "Dynamic: License\n\nRequires-Dist: not-this\n"
    )
    metadata = of_wheel(index, make.wheel(metadata=text))
    assert (metadata.name, metadata.version) == ("own", Version("1"))
    assert [requirement.name for requirement in metadata.requires] == ["numpy", "other"]
    assert str(metadata.requires[0].specifier) == ">=1.2"
    assert metadata.requires[1].extras == {"fast"}
    assert metadata.requires[1].marker is not None
    assert str(metadata.requires_python) == "<4,>=3.9"
    assert metadata.extras == {"all-things"}


def test_only_the_end_of_a_large_wheel_is_fetched_and_only_once(index: Index, make: Make) -> None:
    data = make.wheel({"big.bin": os.urandom(3_000_000)}, metadata=STATIC)
    file = index.add(NAME, data)
    for _ in range(2):
        assert len(fetch_wheel_metadata(file, index.http, index.store).requires) == 1
    [headers] = index.web.headers
    assert headers["range"].startswith("bytes=-")
    assert index.store.find_blob(file.sha256) is None


def test_metadata_at_the_beginning_of_a_wheel_are_found(index: Index, make: Make) -> None:
    folder = "own-1.0.dist-info"
    many = {f"own/{'x' * 100}{number}.py": b"" for number in range(3000)}
    data = make.zip({f"{folder}/METADATA": STATIC.encode(), "big.bin": os.urandom(1_000_000), **many})
    assert len(of_wheel(index, data).requires) == 1
    assert len(index.web.requests) == 3


def test_from_a_server_without_ranges_the_whole_wheel_is_fetched(index: Index, make: Make) -> None:
    data = make.wheel(metadata=STATIC)
    file = index.add(NAME, data)
    index.web.pages[f"/files/{NAME}"] = data
    assert len(fetch_wheel_metadata(file, index.http, index.store).requires) == 1
    assert index.store.find_blob(file.sha256)


def test_a_wheel_in_the_store_is_not_fetched(index: Index, make: Make) -> None:
    data = make.wheel(metadata=STATIC)
    file = index.add(NAME, data)
    with index.store.writing_blob(file.sha256, name=NAME) as blob:
        blob.write(data)
    assert len(fetch_wheel_metadata(file, index.http, index.store).requires) == 1
    assert not index.web.requests


def test_the_metadata_file_of_the_index_is_used(index: Index) -> None:
    text = STATIC.encode()
    index.web.pages[f"/files/{NAME}.metadata"] = text
    promised = {"core-metadata": {"sha256": hashlib.sha256(text).hexdigest()}}
    assert len(of_wheel(index, b"never read", **promised).requires) == 1
    assert index.web.requests == [f"/files/{NAME}.metadata"]


def test_a_metadata_file_with_another_hash_is_refused(index: Index) -> None:
    index.web.pages[f"/files/{NAME}.metadata"] = STATIC.encode()
    with pytest.raises(IntegrityError, match=NAME):
        of_wheel(index, b"", **{"core-metadata": {"sha256": "0" * 64}})


LYING = STATIC.replace("numpy>=1", "evil")
TRUE_AND_FALSE = r"own-1\.0.*: Requires-Dist: evil in the index, Requires-Dist: numpy>=1 in the file"


def keep(index: Index, file: IndexFile, data: bytes) -> Path:
    """Put *data* into the store, as a build does that fetches *file*."""
    with index.store.writing_blob(Sha256.of(data), name=file.filename) as blob:
        blob.write(data)
    return index.store.blob_path(file.sha256)


def test_metadata_without_a_hash_are_compared_with_those_in_the_wheel(index: Index, make: Make) -> None:
    wheel = make.wheel(metadata=STATIC)
    promised: dict[str, Any] = {"core-metadata": True}
    file = index.add(NAME, wheel, **promised)
    index.web.pages[f"/files/{NAME}.metadata"] = LYING.encode()
    assert fetch_wheel_metadata(file, index.http, index.store).requires[0].name == "evil"
    path = keep(index, file, wheel)
    for _ in range(2):
        with pytest.raises(IntegrityError, match=TRUE_AND_FALSE) as caught:
            check_metadata(file, path, index.store)
    assert "`incamera lock`" in str(caught.value.hint)
    # The next lock reads those in the wheel.
    assert fetch_wheel_metadata(file, index.http, index.store).requires[0].name == "numpy"
    check_metadata(file, path, index.store)


@pytest.mark.parametrize("lie", ["Requires-Python: >=3", "Provides-Extra: x", "Requires-Dist: more"])
def test_metadata_fetched_by_ranges_are_compared_with_those_in_the_wheel(index: Index, make: Make, lie: str) -> None:
    wheel = make.wheel(metadata=STATIC)
    file = index.add(NAME, wheel)
    index.web.pages[f"/files/{NAME}"] = index.web.ranged(make.wheel(metadata=f"{STATIC}{lie}\n"))
    fetch_wheel_metadata(file, index.http, index.store)
    path = keep(index, file, wheel)
    name, _, value = lie.partition(": ")
    with pytest.raises(IntegrityError, match=f"{value} in the index, .*{name}.* in the file"):
        check_metadata(file, path, index.store)


def test_pkg_info_fetched_by_ranges_is_compared_with_that_in_the_sdist(index: Index, make: Make) -> None:
    sdist = make.sdist({"own-1.0/PKG-INFO": STATIC.encode()})
    file = index.add("own-1.0.tar.gz", sdist)
    index.web.pages["/files/own-1.0.tar.gz"] = index.web.ranged(make.sdist({"own-1.0/PKG-INFO": LYING.encode()}))
    fetch_sdist_metadata(file, index.http, index.store)
    with pytest.raises(IntegrityError, match=TRUE_AND_FALSE):
        check_metadata(file, keep(index, file, sdist), index.store)


def test_metadata_that_agree_are_compared_once(index: Index, make: Make) -> None:
    wheel = make.wheel(metadata=STATIC)
    file = index.add(NAME, wheel)
    fetch_wheel_metadata(file, index.http, index.store)
    path = keep(index, file, wheel)
    check_metadata(file, path, index.store)
    path.chmod(0o600)
    path.write_bytes(b"")  # would be an error if it were read
    check_metadata(file, path, index.store)


def test_metadata_of_a_file_that_was_locked_elsewhere_are_not_compared(index: Index, make: Make) -> None:
    wheel = make.wheel(metadata=STATIC)
    file = index.add(NAME, wheel)
    check_metadata(file, keep(index, file, wheel), index.store)


def test_without_the_promised_metadata_file_the_wheel_is_read(index: Index, make: Make) -> None:
    assert len(of_wheel(index, make.wheel(metadata=STATIC), **{"core-metadata": True}).requires) == 1


@pytest.mark.parametrize(
    "line",
    [
        "Requires-Dist: numpy>=>1",
        "Requires-Dist: numpy; python_version",
        "Requires-Dist: ",
        "Requires-Python: three",
        "Version: one",
        "Name: own\nVersion: 1",
    ],
)
def test_malformed_metadata_are_an_error_that_names_the_file(index: Index, make: Make, line: str) -> None:
    head = HEAD if not line.startswith(("Version", "Name")) else "Metadata-Version: 2.1\nName: own\n"
    if line.startswith("Name"):
        head = "Metadata-Version: 2.1\n\n"
    with pytest.raises(BuildError, match=f"the metadata of {NAME}"):
        of_wheel(index, make.wheel(metadata=f"{head}{line}\n"))


@pytest.mark.parametrize("head", ["Name: other\nVersion: 1.0\n", "Name: own\nVersion: 2.0\n"])
def test_metadata_that_contradict_the_file_name_are_refused(index: Index, make: Make, head: str) -> None:
    with pytest.raises(BuildError, match=f"{NAME} has the metadata of"):
        of_wheel(index, make.wheel(metadata=f"Metadata-Version: 2.1\n{head}"))


@pytest.mark.parametrize("size", [0, 1, 21, 22, 100, 5000])
def test_a_wheel_cut_off_is_an_error_that_names_it(index: Index, make: Make, size: int) -> None:
    with pytest.raises((BuildError, FetchError), match=r"own-1\.0"):
        of_wheel(index, make.wheel({"x": os.urandom(8000)})[:size])


def test_a_changed_byte_is_harmless_or_an_error_that_names_the_wheel(index: Index, make: Make) -> None:
    valid = make.wheel(metadata=STATIC)
    refusals = []
    for place in range(0, len(valid), 5):
        data = valid[:place] + bytes([valid[place] ^ 0xFF]) + valid[place + 1 :]
        try:
            of_wheel(index, data)
        except BuildError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert all(NAME in refusal for refusal in refusals)


def test_of_two_dist_infos_the_one_with_the_wheels_name_is_read(index: Index, make: Make) -> None:
    folders = {"own-1.0.dist-info/METADATA": STATIC.encode(), "other-1.0.dist-info/METADATA": b"Name: other\n"}
    assert len(of_wheel(index, make.zip(folders)).requires) == 1
    for files in ({"own.dist-info/x/METADATA": b""}, {"x/own-1.0.dist-info/METADATA": b""}, {}):
        with pytest.raises(BuildError, match="no METADATA"):
            of_wheel(index, make.zip({"x.py": b"", **files}))


def test_metadata_that_are_too_long_are_refused(index: Index, make: Make) -> None:
    with pytest.raises(BuildError, match="longer than"):
        of_wheel(index, make.wheel(metadata=STATIC + "X: y\n" * 2_000_000))


def test_static_metadata_of_an_sdist_are_used(index: Index, make: Make) -> None:
    data = make.sdist({"own-1.0/a.py": b"", "own-1.0/PKG-INFO": STATIC.encode(), "own-1.0/big": os.urandom(900_000)})
    metadata = of_sdist(index, data)
    assert metadata is not None
    assert [requirement.name for requirement in metadata.requires] == ["numpy"]
    assert len(index.web.requests) == 1  # the beginning was enough


@pytest.mark.parametrize(
    "text",
    [
        STATIC.replace("2.2", "2.1"),
        STATIC + "Dynamic: Requires-Dist\n",
        STATIC + "Dynamic: requires-python\n",
        STATIC + "Dynamic: Provides-Extra\n",
        STATIC.replace("Metadata-Version: 2.2\n", ""),
        STATIC.replace("2.2", "new"),
    ],
)
def test_dynamic_metadata_of_an_sdist_are_not_used(index: Index, make: Make, text: str) -> None:
    assert of_sdist(index, make.sdist({"own-1.0/PKG-INFO": text.encode()})) is None


def test_pkg_info_far_from_the_beginning_is_found_by_fetching_more(index: Index, make: Make) -> None:
    near = make.sdist({"own-1.0/big": os.urandom(300_000), "own-1.0/PKG-INFO": STATIC.encode()})
    assert of_sdist(index, near) is not None
    assert len(index.web.requests) == 2
    far = make.sdist({"own-1.0/big": os.urandom(3_000_000), "own-1.0/PKG-INFO": STATIC.encode()})
    assert of_sdist(index, far, "own-1.0.0.tar.gz") is not None
    assert index.store.find_blob(Sha256.of(far))


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_pkg_info_cut_off_by_a_range_is_fetched_completely(
    index: Index, make: Make, cut: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "".join(f"Requires-Dist: p{os.urandom(20).hex()}\n" for _ in range(400))
    data = make.sdist({"own-1.0/PKG-INFO": (HEAD + lines).encode()})
    monkeypatch.setattr(remote, "_SDIST_STEPS", (len(data) * cut // 40, len(data)))
    metadata = of_sdist(index, data)
    assert metadata is not None
    assert len(metadata.requires) == 400


def test_only_the_pkg_info_of_the_sdist_itself_counts(index: Index, make: Make) -> None:
    data = make.sdist(
        {
            "own-1.0/own.egg-info/PKG-INFO": STATIC.encode(),
            "PKG-INFO": STATIC.encode(),
            "../PKG-INFO/x": b"",
            "own-1.0/tests/PKG-INFO": STATIC.encode(),
        }
    )
    assert of_sdist(index, data) is None


def test_zip_sdists_are_supported(index: Index, make: Make) -> None:
    data = make.zip({"own-1.0/PKG-INFO": STATIC.encode(), "own-1.0/sub/PKG-INFO": b"x"})
    assert of_sdist(index, data, "own-1.0.zip") is not None


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"not an archive at all", b"\x1f\x8b\x08" + bytes(2000)])
def test_a_damaged_sdist_is_an_error_that_names_it(index: Index, data: bytes) -> None:
    with pytest.raises((BuildError, FetchError), match=r"own-1\.0\.tar\.gz"):
        of_sdist(index, data)


def test_parse_metadata_reads_local_metadata() -> None:
    metadata = parse_metadata(STATIC.encode(), NAME)
    assert [str(requirement) for requirement in metadata.requires] == ["numpy>=1"]
    with pytest.raises(BuildError, match=NAME):
        parse_metadata(b"", NAME)


def test_damaged_metadata_in_the_store_are_fetched_again(index: Index, make: Make) -> None:
    file = index.add(NAME, make.wheel(metadata=STATIC))
    fetch_wheel_metadata(file, index.http, index.store)
    [kept] = (index.store.root / "caches/metadata").glob("*/*.json")
    for damage in (b"", b"[]", b'{"format": 1}', b'{"format": -1, "fields": {}}', b'{"format": 1, "fields": 7}'):
        kept.write_bytes(damage)
        assert len(fetch_wheel_metadata(file, index.http, index.store).requires) == 1


@pytest.mark.parametrize(
    "line",
    [
        f"Requires-Dist: other>={'9' * 5000}",
        f"Requires-Python: >={'9' * 5000}",
        f"Requires-Dist: other; {'(' * 1900}os_name == 'x'{')' * 1900}",
    ],
)
def test_requirement_that_is_endless_or_too_deep_is_refused(line: str) -> None:
    text = f"Metadata-Version: 2.1\nName: own\nVersion: 1\n{line}\n"
    with pytest.raises(BuildError, match=r"the metadata of own-1-py3-none-any\.whl are malformed"):
        parse_metadata(text.encode(), "own-1-py3-none-any.whl")
