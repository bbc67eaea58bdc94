"""A registry's HTTP API: tokens go to nobody else, digests are verified, and what was cut off goes on."""

from __future__ import annotations

import base64
import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.container_images import digest_of, image_of, make_layer

from incamera.digest import Sha256
from incamera.errors import FetchError, IntegrityError, StoreError
from incamera.http import Http, NotFound
from incamera.http_auth import Login
from incamera.image_name import parse_image_name
from incamera.oci.download import fetch_layers, missing_bytes, remove_layers
from incamera.oci.logins import find_login
from incamera.oci.registry import Registry, parse_token

if TYPE_CHECKING:
    from tests.unit.conftest import Web
    from tests.unit.oci.conftest import TokenRegistry

    from incamera.store import Store

IMAGE = image_of(make_layer({"a": b"a" * 40_000}), make_layer({"b": b"b"}))


def authorizations(web: Web) -> list[str | None]:
    return [headers.get("authorization") for headers in web.headers]


@pytest.mark.parametrize("index", [False, True])
def test_image_is_fetched_with_a_token_that_no_other_server_gets(
    token_registry: TokenRegistry, http: Http, store: Store, index: bool
) -> None:
    token_registry.add(IMAGE, index=index)
    registry = Registry(http, token_registry.name())
    digest, manifest = registry.find_manifest()
    assert f"sha256:{digest}" == digest_of(IMAGE.manifest)
    arrived: list[int] = []
    paths = fetch_layers(manifest.layers, registry, http, store, arrived.append)
    assert [path.read_bytes() for path in paths] == list(IMAGE.layers)
    assert sum(arrived) == sum(len(layer) for layer in IMAGE.layers)
    assert authorizations(token_registry.blobs) == [None, None]
    assert token_registry.given == 1
    remove_layers(store, manifest.layers)
    assert list((store.root / "caches/image-layers").iterdir()) == []


def test_expired_token_is_renewed(token_registry: TokenRegistry, http: Http, store: Store) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    token_registry.tokens = set()
    fetch_layers(manifest.layers, registry, http, store, None)
    assert 2 <= token_registry.given <= 3  # layers that are fetched at a time may both ask


def test_registry_that_demands_a_login_gets_it_only_at_its_token_server(
    token_registry: TokenRegistry, http: Http, store: Store
) -> None:
    token_registry.add(IMAGE)
    token_registry.login = "me:pass word"
    with pytest.raises(FetchError, match=r"does not give .*vendor/sdk to everybody"):
        Registry(http, token_registry.name()).find_manifest()
    with pytest.raises(FetchError, match="to the user 'you'") as caught:
        Registry(http, token_registry.name(), Login("you", "hunter2")).find_manifest()
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    registry = Registry(http, token_registry.name(), Login("me", "pass word"))
    _, manifest = registry.find_manifest()
    fetch_layers(manifest.layers, registry, http, store, None)
    basic = "Basic " + base64.b64encode(b"me:pass word").decode()
    sent = zip(token_registry.web.requests, authorizations(token_registry.web), strict=True)
    asked = [path for path, authorization in sent if authorization == basic]
    assert {path.partition("?")[0] for path in asked} == {"/token"}


def test_other_server_cannot_ask_for_a_login(token_registry: TokenRegistry, http: Http, store: Store) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name(), Login("me", "pass"))
    token_registry.login = "me:pass"
    _, manifest = registry.find_manifest()
    challenge = f'Bearer realm="{token_registry.blobs.url}/token",service="test"'
    for page in list(token_registry.blobs.pages):
        token_registry.blobs.pages[page] = token_registry.blobs.status(401, WWW_Authenticate=challenge)
    with pytest.raises(FetchError) as caught:
        fetch_layers(manifest.layers, registry, http, store, None)
    assert "secret" not in str(caught.value)
    assert not [path for path in token_registry.blobs.requests if path.startswith("/token")]
    assert set(authorizations(token_registry.blobs)) == {None}


@pytest.mark.parametrize(
    "realm",
    ["http://elsewhere.example/token", "ftp://127.0.0.1/token", "//x", "", "http://[::", "https://me:pw@127.0.0.1/t"],
)
def test_login_at_an_address_that_is_not_safe_is_refused(web: Web, http: Http, realm: str) -> None:
    name = parse_image_name(f"{web.url.removeprefix('http://')}/vendor/sdk:1.0")
    web.pages["/v2/vendor/sdk/manifests/1.0"] = web.status(401, WWW_Authenticate=f'Bearer realm="{realm}"')
    with pytest.raises(FetchError, match="sends its clients for a login to"):
        Registry(http, name, Login("me", "secret")).find_manifest()
    assert len(web.requests) == 1


def test_registry_with_another_kind_of_login_is_an_error(web: Web, http: Http) -> None:
    name = parse_image_name(f"{web.url.removeprefix('http://')}/vendor/sdk:1.0")
    demand = web.status(401, WWW_Authenticate='Basic realm="x"')
    web.pages["/v2/vendor/sdk/manifests/1.0"] = [demand, demand, IMAGE.manifest]
    with pytest.raises(FetchError, match="to everybody"):
        Registry(http, name).find_manifest()
    assert Registry(http, name, Login("me", "pass")).find_manifest()[1].layers
    assert web.headers[-1]["authorization"].startswith("Basic ")


NO_TOKENS = [b"", b"[]", b"{}", b'{"token": ""}', b'{"token": "a\\r\\nHost: x"}', b'{"token": 5}', b"[" * 9**5, b"\xff"]


@pytest.mark.parametrize("answer", NO_TOKENS, ids=range(len(NO_TOKENS)))
def test_answer_without_a_token_that_can_be_sent_is_an_error(answer: bytes) -> None:
    with pytest.raises(FetchError, match="gives no token"):
        parse_token(answer, "registry.example")
    assert parse_token(b'{"access_token": "abc.d-e_f="}', "registry.example") == "abc.d-e_f="


def test_image_of_another_digest_than_its_name_is_refused(token_registry: TokenRegistry, http: Http) -> None:
    token_registry.add(IMAGE)
    right = parse_image_name(f"{token_registry.name()}@{digest_of(IMAGE.manifest)}")
    assert f"sha256:{Registry(http, right).find_manifest()[0]}" == digest_of(IMAGE.manifest)
    token_registry.web.pages[f"/v2/vendor/sdk/manifests/{digest_of(IMAGE.manifest)}"] = b'{"layers": []}'
    token_registry.tokens = None
    with pytest.raises(IntegrityError, match="the sha256 is"):
        Registry(http, right).find_manifest()


def test_missing_image_is_an_error_and_the_tags_are_known(token_registry: TokenRegistry, http: Http) -> None:
    token_registry.add(IMAGE, "2.0")
    token_registry.tokens = None
    registry = Registry(http, token_registry.name("1.0"))
    with pytest.raises(NotFound):
        registry.find_manifest()
    assert registry.tags() == ["2.0"]


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"tags": 5}', b'{"tags": [1, null, "\\u001b[2J"]}'])
def test_list_of_tags_that_is_malformed_is_empty(web: Web, http: Http, answer: bytes) -> None:
    name = parse_image_name(f"{web.url.removeprefix('http://')}/vendor/sdk:1.0")
    web.pages["/v2/vendor/sdk/tags/list"] = answer
    assert Registry(http, name).tags() == []


def layer_page(token_registry: TokenRegistry, number: int = 0) -> str:
    return f"/{digest_of(IMAGE.layers[number])}?signature=secret"


def test_layer_that_was_cut_off_goes_on_where_it_ended(token_registry: TokenRegistry, http: Http, store: Store) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    data, page = IMAGE.layers[0], layer_page(token_registry)
    blobs = token_registry.blobs
    half = len(data) // 2
    blobs.pages[page] = [blobs.hanging_up(data[:half], len(data)), blobs.ranged(data)]
    arrived: list[int] = []
    fetch_layers(manifest.layers[:1], registry, http, store, arrived.append)
    assert sum(arrived) == len(data)
    assert blobs.headers[-1]["range"] == f"bytes={half}-"


def begun(store: Store, data: bytes) -> Path:
    path = store.root / "caches/image-layers" / f"{Sha256.of(IMAGE.layers[0])}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "beginning",
    [IMAGE.layers[0][:99], b"something else", IMAGE.layers[0] + b"more", IMAGE.layers[0]],
    ids=["beginning", "other", "more", "all"],
)
def test_layer_that_an_earlier_command_has_begun_is_completed(
    token_registry: TokenRegistry, http: Http, store: Store, beginning: bytes
) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    part = begun(store, beginning)
    expected = missing_bytes(store, manifest.layers[:1])
    arrived: list[int] = []
    (path,) = fetch_layers(manifest.layers[:1], registry, http, store, arrived.append)
    assert path.read_bytes() == IMAGE.layers[0]
    assert not part.exists()
    if beginning == IMAGE.layers[0][:99]:
        assert sum(arrived) == expected == len(IMAGE.layers[0]) - 99


@pytest.mark.parametrize("kind", ["whole", "wrong"])
def test_server_that_sends_no_ranges_sends_all_again(
    token_registry: TokenRegistry, http: Http, store: Store, kind: str
) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    data, blobs = IMAGE.layers[0], token_registry.blobs
    wrong = blobs.status(206, data[5:], Content_Range=f"bytes 5-{len(data) - 1}/{len(data)}")
    blobs.pages[layer_page(token_registry)] = [wrong, blobs.status(200, data)] if kind == "wrong" else data
    begun(store, data[:99])
    (path,) = fetch_layers(manifest.layers[:1], registry, http, store, None)
    assert path.read_bytes() == data


def test_layer_with_another_digest_is_refused_and_not_kept(
    token_registry: TokenRegistry, http: Http, store: Store
) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    token_registry.blobs.pages[layer_page(token_registry)] = bytes(len(IMAGE.layers[0]))
    with pytest.raises(IntegrityError, match=r"layer .*: the sha256 is"):
        fetch_layers(manifest.layers[:1], registry, http, store, None)
    assert list((store.root / "caches/image-layers").iterdir()) == []


def test_full_disk_is_an_error_of_the_store(token_registry: TokenRegistry, http: Http, store: Store) -> None:
    token_registry.add(IMAGE)
    registry = Registry(http, token_registry.name())
    _, manifest = registry.find_manifest()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(StoreError, match="no space left"):
            fetch_layers(manifest.layers[:1], registry, http, store, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("registry", "login"),
    [
        ("docker.io", Login("me", "a:b")),
        ("registry.example:5000", Login("you", "c")),
        ("other.example", None),
        ("broken.example", None),
    ],
)
def test_login_is_the_one_that_docker_has_kept(tmp_path: Path, registry: str, login: Login | None) -> None:
    auths = {
        "https://index.docker.io/v1/": {"auth": base64.b64encode(b"me:a:b").decode()},
        "registry.example:5000": {"auth": base64.b64encode(b"you:c").decode()},
        "broken.example": {"auth": "%"},
    }
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    assert find_login({"DOCKER_CONFIG": str(tmp_path), "HOME": "/"}, registry) == login
    podman = tmp_path / "containers"
    podman.mkdir()
    (tmp_path / "config.json").rename(podman / "auth.json")
    assert find_login({"XDG_RUNTIME_DIR": str(tmp_path), "HOME": "/"}, registry) == login
