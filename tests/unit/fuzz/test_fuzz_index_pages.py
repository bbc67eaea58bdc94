"""Any page of a package index is read or refused, and what is read of it is safe to use and to cache."""

from __future__ import annotations

import html
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.fuzz.documents import NASTY_TEXTS, damaged_bytes, damaged_values

from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError
from incamera.resolver.sources import allows_python
from incamera.simple_index import parse_project_page
from incamera.targets.target import Target
from incamera.wheels.page import FORMAT, DamagedPage, Page, group_files, load_page, make_page
from incamera.wheels.tags import supported_tags, wheel_rank

URL = "https://index.example/simple/own/"
TAGS = supported_tags(Target.parse("armv7hf-cp311"))
JSON: dict[str, Any] = {
    "meta": {"api-version": "1.1"},
    "name": "own",
    "files": [
        {
            "filename": f"own-{version}-{rest}",
            "url": f"../../f/own-{version}-{rest}",
            "hashes": {"sha256": "ab" * 32, "md5": "x"},
            "size": 12,
            "requires-python": ">=3.9, <4",
            "yanked": "broken",
            "core-metadata": {"sha256": "cd" * 32},
            "upload-time": "2024-01-01T00:00:00Z",
        }
        for version, rest in (("1.0", "py2.py3-none-any.whl"), ("2.0rc1", "1-cp311-cp311-linux_armv7l.whl"))
    ]
    + [{"filename": "own-1.0.zip", "url": "https://files.example/own-1.0.zip", "hashes": {"sha256": "ef" * 32}}],
}
HTML = (
    '<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"><base href="/f/"></head><body>'
    + "".join(
        f'<a href="own-{rest}#sha256={"ab" * 32}" data-requires-python="&gt;=3.9" data-yanked="broken" '
        f'data-core-metadata="sha256={"cd" * 32}">own</a><br/>\n'
        for rest in ("1.0-py3-none-any.whl", "2.0-cp311-cp311-linux_armv7l.whl", "1.0.tar.gz")
    )
    + "</body></html>"
)
ATTRIBUTES = ("href", "data-requires-python", "data-yanked", "data-core-metadata", "name", "content", "x")
attributes = st.dictionaries(
    st.sampled_from(ATTRIBUTES),
    (st.sampled_from((*NASTY_TEXTS, "own-1-py3-none-any.whl", "own-1.zip#sha256=" + "ab" * 32)) | st.text(max_size=12)),
    max_size=3,
).map(lambda values: "".join(f' {name}="{html.escape(value)}"' for name, value in values.items()))
html_parts = (
    st.builds(lambda tag, inside: f"<{tag}{inside}>", st.sampled_from(["a", "A", "base", "meta", "body"]), attributes)
    | st.sampled_from(["<![x[", "<!--", "<![CDATA[", "<!DOCTYPE x [", "<script>", "&#", "</", "<?", "<a", ">"])
    | st.text(max_size=6)
)
html_pages = st.lists(html_parts, max_size=8).map(lambda parts: ("<html>" + "".join(parts)).encode("utf-8", "replace"))
damaged_pages = st.one_of(
    damaged_values(JSON).map(lambda document: json.dumps(document).encode()),
    damaged_bytes(json.dumps(JSON).encode()),
    damaged_bytes(HTML.encode()),
    html_pages,
    st.binary(max_size=60),
)
# These are repeated to make long pages.
PIECES = (
    *(
        "<a ",
        "<!--",
        "<![CDATA[",
        '<a href="',
        "<a href='x' ",
        "<a href=x y",
        "<",
        "</",
        "<a =",
        "<a/",
        "&#",
        "&",
        "<?",
    ),
    *("<!", "<!doctype ", "<a\n", "<script></", "<a b='", "<a" + " " * 50, "<a href=x>", "--!>", "<!--->"),
)


def check_page(data: bytes) -> None:
    try:
        files = list(parse_project_page(data, URL))
    except (FetchError, IntegrityError):
        return
    for file in files:
        assert isinstance(file.sha256, Sha256) or not file.sha256
        assert isinstance(file.metadata, Sha256) or not file.metadata
        assert file.size is None or file.size >= 0
        assert "@" not in urlsplit(file.url).netloc
    page = make_page({"format": FORMAT, "asked": 1.0}, group_files("own", files))
    found = page.files("own", None, None)
    assert all("/" not in file.filename and file.filename.isascii() for file in found)
    assert set(page.files("own", TAGS, None)) <= set(found)
    for distribution in found:
        wheel_rank(distribution.filename, TAGS)
        allows_python(distribution, {"python_full_version": "3.11.2"})


def check_cached(folder: Path, data: bytes) -> None:
    (folder / "own.page").write_bytes(data)
    page = load_page(folder / "own.page")
    assert page is None or page.asked == 1
    if page is not None:
        with suppress(DamagedPage):
            assert page.files("own", None, None) == whole_page().files("own", None, None)


def whole_page() -> Page:
    files = parse_project_page(json.dumps(JSON).encode(), URL)
    return make_page({"format": FORMAT, "asked": 1.0}, group_files("own", files))


def test_the_pages_that_are_damaged_are_valid(tmp_path: Path) -> None:
    for data in (json.dumps(JSON).encode(), HTML.encode()):
        page = make_page({"format": FORMAT, "asked": 1.0}, group_files("own", parse_project_page(data, URL)))
        assert len(page.files("own", None, None)) == 3
        (tmp_path / "own.page").write_bytes(page.dump())
        loaded = load_page(tmp_path / "own.page")
        assert loaded is not None
        assert loaded.files("own", None, None) == page.files("own", None, None)


@pytest.mark.parametrize("piece", ['<base href="http://[">', '<base href="//a\u2100b/">', "<![x[ y ]]>", "<![<"])
def test_html_that_python_cannot_parse_is_not_a_page(piece: str) -> None:
    with pytest.raises(FetchError, match="is not a page of a package index"):
        list(parse_project_page(f'<html>{piece}<a href="own-1.zip">'.encode(), URL))


def test_python_version_with_thousands_of_digits_rules_nothing_out() -> None:
    [entry] = JSON["files"][:1]
    data = json.dumps({"files": [{**entry, "requires-python": ">=" + "1" * 5000}]}).encode()
    [file] = make_page({}, group_files("own", parse_project_page(data, URL))).files("own", None, None)
    assert allows_python(file, {"python_full_version": "3.11.2"})


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.matrix)])
def test_damaged_page_is_read_or_refused(times: int) -> None:
    fixed = settings(max_examples=120 * times, deadline=None, derandomize=True, database=None)
    fixed(given(damaged_pages)(check_page))()


@pytest.mark.parametrize("times", [1, pytest.param(20, marks=pytest.mark.matrix)])
def test_damaged_cached_page_is_none_or_whole(tmp_path: Path, times: int) -> None:
    whole = whole_page().dump()

    @settings(max_examples=20 * times, deadline=None, derandomize=True, database=None)
    @given(damaged_bytes(whole) | st.binary(max_size=40))
    def check(data: bytes) -> None:
        check_cached(tmp_path, data)

    check()


@pytest.mark.matrix
@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("start", ["<html>", "<html><a href='x"])
def test_long_html_page_takes_time_in_proportion_to_its_length(piece: str, start: str) -> None:
    def seconds(size: int) -> float:
        data = (start + piece * (size // len(piece))).encode()
        began = time.process_time()
        with suppress(FetchError):
            list(parse_project_page(data, URL))
        return time.process_time() - began

    # What grows with the square would take 400 times as long.
    assert seconds(1_000_000) < 60 * max(seconds(50_000), 0.05)
