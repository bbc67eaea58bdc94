"""Names of images, as Docker reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera.errors import ConfigError
from incamera.image_name import parse_image_name

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "shown", "url"),
    [
        ("axisecp/acap-native-sdk:1.2", "axisecp/acap-native-sdk:1.2", "https://registry-1.docker.io/v2/axisecp/acap-native-sdk"),
        ("docker.io/a/b", "a/b:latest", "https://registry-1.docker.io/v2/a/b"),
        ("index.docker.io/a/b:x", "a/b:x", "https://registry-1.docker.io/v2/a/b"),
        ("ubuntu", "ubuntu:latest", "https://registry-1.docker.io/v2/library/ubuntu"),
        ("ghcr.io/a/b/c:x", "ghcr.io/a/b/c:x", "https://ghcr.io/v2/a/b/c"),
        ("host:5000/a", "host:5000/a:latest", "https://host:5000/v2/a"),
        ("localhost/a:1", "localhost/a:1", "http://localhost/v2/a"),
        ("127.0.0.1:5000/a__b/c-d:1", "127.0.0.1:5000/a__b/c-d:1", "http://127.0.0.1:5000/v2/a__b/c-d"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1", "http://[::1]:5000/v2/a"),
        (f"a/b:1@{DIGEST}", f"a/b:1@{DIGEST}", "https://registry-1.docker.io/v2/a/b"),
        ("127.0.0.1.example/a:1", "127.0.0.1.example/a:1", "https://127.0.0.1.example/v2/a"),
    ],
)  # fmt: skip
def test_name_says_which_registry_is_asked(text: str, shown: str, url: str) -> None:
    name = parse_image_name(text)
    assert (str(name), name.url) == (shown, url)
    assert parse_image_name(shown) == name


@pytest.mark.parametrize(
    "text",
    ["", ":", "a:", "A/b", "a/b:", "a//b", "/a", "a/", "a/../b", "a/b:x y", "a/b@", "a/b@sha256:x", f"a@{DIGEST}@x",
     "a/b:" + "x" * 129, "a/" + "b" * 300,
     "-a", "a/b\n", "https://a.example/b", "host:x/a", "me@host.example/a", "a/b?c"],
)  # fmt: skip
def test_name_that_no_image_can_have_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of an image"):
        parse_image_name(text)


@given(st.text(max_size=40) | st.text("a.:/@[]-_1", max_size=40))
def test_any_text_is_refused_or_read_so_that_it_can_be_read_again(text: str) -> None:
    try:
        name = parse_image_name(text)
    except ConfigError:
        return
    assert parse_image_name(str(name)) == name
    assert name.url.isascii()
    assert " " not in name.url
