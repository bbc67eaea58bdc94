"""Which proxy a server is reached by, as the environment says, and logins as HTTP wants them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from incamera.errors import ConfigError


def find_proxy(environment: Mapping[str, str], scheme: str, netloc: str) -> str:
    """Return the address of the proxy for *netloc*, or an empty text. Raises ConfigError for one of another kind."""

    def variable(name: str) -> str:
        return environment.get(name) or environment.get(name.upper()) or ""

    proxy = variable(f"{scheme}_proxy") or variable("all_proxy")
    if not proxy or _is_excepted(netloc, variable("no_proxy")):
        return ""
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    kind = proxy.partition("://")[0]
    if kind not in ("http", "https"):
        raise ConfigError(f"incamera speaks to no proxy of the kind {kind}", hint="name an http:// one")
    return proxy


def proxy_headers(proxy: str) -> dict[str, str]:
    """Return what is sent to *proxy* itself: the login in its address."""
    login, at, _ = urlsplit(proxy).netloc.rpartition("@")
    return {"Proxy-Authorization": basic_login(login)} if at else {}


def basic_login(login: str) -> str:
    """Return the header for *login*, `name:password` as it stands in a URL."""
    name, _, password = login.partition(":")
    return "Basic " + base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")


def _is_excepted(netloc: str, no_proxy: str) -> bool:
    """Does *no_proxy* (`localhost,.lan,10.0.0.1:80` or `*`) name the host?"""
    host = netloc.rpartition("@")[2].lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for word in no_proxy.lower().replace(",", " ").split():
        if word == "*" or word in (host, name) or name.endswith("." + word.lstrip("*").lstrip(".")):
            return True
    return False
