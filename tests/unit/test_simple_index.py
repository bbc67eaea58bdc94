"""Package indexes: parsing their pages, and which ones the user has set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from incamera.digest import Sha256
from incamera.errors import ConfigError, FetchError
from incamera.simple_index import PageFile, find_index_urls, parse_project_page

URL = "https://i.example/simple/own/"
HASH = Sha256("ab" * 32)
METADATA = Sha256("cd" * 32)


def files(page: str | bytes) -> list[PageFile]:
    return list(parse_project_page(page.encode() if isinstance(page, str) else page, URL))


def page_of(*entries: object, **more: object) -> str:
    return json.dumps({"meta": {"api-version": "1.1"}, "files": entries, **more})


def test_a_json_page_gives_every_field_of_a_file() -> None:
    [file] = files(
        page_of(
            {
                "filename": "own-1-py3-none-any.whl",
                "url": "../../f/own-1-py3-none-any.whl",
                "hashes": {"sha256": HASH.upper(), "md5": "x"},
                "size": 12,
                "requires-python": ">=3.9",
                "yanked": "broken",
                "core-metadata": {"sha256": METADATA},
                "upload-time": "2024-01-01T00:00:00Z",
                "gpg-sig": True,
            }
        )
    )
    assert file == PageFile(
        filename="own-1-py3-none-any.whl",
        url="https://i.example/f/own-1-py3-none-any.whl",
        sha256=HASH,
        size=12,
        requires_python=">=3.9",
        yanked="broken",
        metadata=METADATA,
        upload_time="2024-01-01T00:00:00Z",
    )


@pytest.mark.parametrize(("yanked", "reason"), [(False, None), (True, ""), ("why", "why")])
@pytest.mark.parametrize(
    ("key", "metadata", "sha256"), [("core-metadata", True, ""), ("dist-info-metadata", False, None)]
)
def test_yanked_and_metadata_may_be_booleans_or_strings(
    yanked: object, reason: str | None, key: str, metadata: bool, sha256: str | None
) -> None:
    entry = {"filename": "own-1.tar.gz", "url": "https://f.example/own-1.tar.gz", "hashes": {}, "yanked": yanked}
    [file] = files(page_of({**entry, key: metadata}))
    assert (file.yanked, file.metadata, file.sha256, file.size) == (reason, sha256, "", None)


def test_an_html_page_gives_all_fields_that_html_has() -> None:
    one, two = files(
        f"""<!DOCTYPE html><html><head><meta name="pypi:repository-version" content="1.1"></head><body>
        <a href="../../f/own-1-py3-none-any.whl#sha256={HASH}" data-requires-python="&gt;=3.9" data-yanked="bad &amp;
 old" data-core-metadata="sha256={METADATA}">own</a><br>
        <a href="https://u:p@f.example/own-1.0%2Blocal.tar.gz#md5=1" data-yanked data-dist-info-metadata="true">own</a>
        <a name="no link">x</a></body></html>"""
    )
    assert one == PageFile(
        filename="own-1-py3-none-any.whl",
        url="https://i.example/f/own-1-py3-none-any.whl",
        sha256=HASH,
        requires_python=">=3.9",
        yanked="bad &\n old",
        metadata=METADATA,
    )
    assert two == PageFile(
        filename="own-1.0+local.tar.gz",
        url="https://f.example/own-1.0%2Blocal.tar.gz",
        sha256="",
        yanked="",
        metadata="",
    )


def test_links_of_an_html_page_are_relative_to_its_base() -> None:
    [file] = files('<html><head><base href="https://b.example/x/"></head><a href="own-1.tar.gz">own</a></html>')
    assert file.url == "https://b.example/x/own-1.tar.gz"


def test_first_base_of_an_html_page_counts() -> None:
    link = '<a href="own-1.tar.gz">own</a>'
    [file] = files(f'<html><base href="/first/">{link}<base href="/second/"></html>')
    assert file.url == "https://i.example/first/own-1.tar.gz"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ["json", "html"])
def test_page_with_a_byte_order_mark_is_read(text: str, encoding: str) -> None:
    entry = {"filename": "own-1.tar.gz", "url": "own-1.tar.gz", "hashes": {"sha256": HASH}}
    page = page_of(entry) if text == "json" else f'<!DOCTYPE html><a href="own-1.tar.gz#sha256={HASH}">own</a>'
    [file] = files(page.encode(encoding))
    assert (file.filename, file.sha256) == ("own-1.tar.gz", HASH)


@pytest.mark.parametrize("size", [True, -1, 1.5, "7", 1 << 63, 10**30])
def test_size_that_no_file_has_counts_as_missing(size: object) -> None:
    entry = {"filename": "own-1.tar.gz", "url": "own-1.tar.gz", "hashes": {"sha256": HASH}, "size": size}
    [file] = files(page_of(entry))
    assert file.size is None


def test_requires_python_that_takes_seconds_to_compare_counts_as_missing() -> None:
    text = ">=3.9," * 1000 + "<4"
    entry = {"filename": "own-1.tar.gz", "url": "own-1.tar.gz", "hashes": {"sha256": HASH}, "requires-python": text}
    link = f'<!DOCTYPE html><a href="own-1.tar.gz#sha256={HASH}" data-requires-python="{text}">own</a>'
    assert [file.requires_python for page in (page_of(entry), link) for file in files(page)] == [None, None]


@pytest.mark.parametrize("url", ["https://[::/own-1.tar.gz", "https://h/a\nb", "https://h/\ud800", "https://h/\u202e"])
def test_file_with_an_address_that_is_none_is_left_out(url: str) -> None:
    valid = {"filename": "own-1.tar.gz", "url": "own-1.tar.gz", "hashes": {"sha256": HASH}}
    assert len(files(page_of({**valid, "url": url}, valid))) == 1


@pytest.mark.parametrize("text", ["\x01", "&#x202e;", "\x7f", "\x85"])
def test_link_with_characters_that_no_request_has_is_left_out(text: str) -> None:
    links = [f'<a href="{folder}/own-1.tar.gz#sha256={HASH}">own</a>' for folder in (f"a{text}b", "ab")]
    assert [file.url for file in files(f"<!DOCTYPE html>{''.join(links)}")] == [f"{URL}ab/own-1.tar.gz"]


@pytest.mark.parametrize(
    "page",
    [
        '{"detail": "log in"}',
        '{"files": {"a": 1}}',
        '{"files": ',
        "{" * 100_000,
        '{"meta": 7, "files": []}',
        "",
        "Service unavailable",
        b"\x80\x04\x95",
    ],
)
def test_a_page_that_is_not_of_an_index_is_an_error(page: str | bytes) -> None:
    with pytest.raises(FetchError, match=r"i\.example/simple/own/ is not a page of a package index"):
        files(page)


@pytest.mark.parametrize(
    "page",
    [
        '{"meta": {"api-version": "2.0"}, "files": []}',
        '<html><meta name="pypi:repository-version" content="2.0"></html>',
    ],
)
def test_an_unknown_major_version_of_the_protocol_is_refused(page: str) -> None:
    with pytest.raises(FetchError, match=r"version 2\.0"):
        files(page)


@pytest.mark.parametrize(
    "entry",
    [None, 7, [], {}, {"filename": "x"}, {"filename": "x", "url": "y", "hashes": []}, {"url": "//[", "hashes": {}}],
)
def test_a_malformed_entry_is_left_out_and_the_others_are_kept(entry: object) -> None:
    valid = {"filename": "own-1.tar.gz", "url": "own-1.tar.gz", "hashes": {"sha256": HASH}}
    assert [file.filename for file in files(page_of(entry, valid))] == ["own-1.tar.gz"]


def test_indexes_are_read_from_pips_variables_and_pip_conf(tmp_path: Path) -> None:
    config = tmp_path / ".config/pip"
    config.mkdir(parents=True)
    home = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config / "pip.conf")}
    (config / "pip.conf").write_text(
        "[global]\nindex-url = https://company.example/simple/\n"
        "extra-index-url =\n    https://one.example/simple\n    https://two.example/simple/\n"
    )
    own = ("https://one.example/simple", "https://two.example/simple")
    assert find_index_urls(home) == (*own, "https://company.example/simple")
    assert find_index_urls({**home, "PIP_INDEX_URL": "https://other.example/"}) == (*own, "https://other.example")
    extra = {**home, "PIP_EXTRA_INDEX_URL": "https://x.example https://y.example/ https://company.example/simple"}
    assert find_index_urls(extra) == ("https://x.example", "https://y.example", "https://company.example/simple")


def test_install_goes_before_global_in_pip_conf_and_a_broken_file_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "pip.conf"
    environment = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(path), "PIP_EXTRA_INDEX_URL": "https://x.example"}
    path.write_text("[global]\nindex-url = https://g.example\n[install]\nindex-url = https://i.example\n")
    assert find_index_urls(environment)[-1] == "https://i.example"
    path.write_text("index-url = https://no.section\n")
    assert "https://no.section" not in find_index_urls(environment)


@pytest.mark.parametrize("variable", ["PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"])
def test_index_whose_address_is_none_is_refused_without_its_login(variable: str) -> None:
    with pytest.raises(ConfigError, match=r"the package index \[::/simple cannot be one") as caught:
        find_index_urls({variable: "https://me:secret@[::/simple", "PIP_CONFIG_FILE": "/dev/null"})
    assert "secret" not in str(caught.value)


def test_folders_are_left_out_and_pypi_is_the_default() -> None:
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_EXTRA_INDEX_URL": "file:///srv/simple"}
    assert find_index_urls(environment) == ("https://pypi.org/simple",)
    web = {**environment, "PIP_INDEX_URL": "file:///srv/main", "PIP_EXTRA_INDEX_URL": "https://company.example/simple"}
    assert find_index_urls(web) == ("https://company.example/simple",)


@pytest.mark.parametrize("extra", ["", "file:///srv/simple"])
def test_index_that_is_a_folder_is_refused_instead_of_asking_pypi(extra: str) -> None:
    environment = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "file:///srv/main", "PIP_EXTRA_INDEX_URL": extra}
    with pytest.raises(ConfigError, match="the package index file:///srv/main is a folder"):
        find_index_urls(environment)
